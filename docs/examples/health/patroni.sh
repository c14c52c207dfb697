#!/bin/sh
# Health of a PostgreSQL server under Patroni. Before a reboot: there is one leader, and a replica other than this one streams
# without much lag. Otherwise: PostgreSQL here runs as leader or replica. Needs jq and curl.
#
#     health_script: /etc/reboot-coordinator/health.sh
#
# Drain: ../hooks/patroni-switchover.sh.
set -eu

url=${URL:-http://127.0.0.1:8008}
name=${NAME:-$(hostname)}
# In bytes. A replica that is further behind does not count.
lag=${LAG:-16777216}

case ${RC_PHASE:-pre-lock} in
pre-lock | post-lock) ;;
*)
	curl --fail --silent --show-error --max-time 5 --output /dev/null "$url/health"
	exit
	;;
esac
# On its own line: of a pipe only the last command's failure counts.
cluster=$(curl --fail --silent --show-error --max-time 5 "$url/cluster")
printf '%s' "$cluster" | jq -e --arg name "$name" --argjson lag "$lag" '
	[.members[] | select(.role == "leader" and .state == "running")] as $leaders
	| [.members[] | select(.role != "leader" and .name != $name and (.state == "streaming" or .state == "running")
		and ((.lag | type) == "number") and .lag <= $lag)] as $replicas
	| ($leaders | length) == 1 and ($leaders[0].name != $name or ($replicas | length) > 0)
	' >/dev/null || {
	echo "there is no leader, or nobody who could take over from $name" >&2
	exit 1
}
