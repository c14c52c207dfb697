#!/bin/sh
# Before this member of an etcd cluster goes down: gives the leadership to another one, so that nobody waits for an election. A
# member that does not lead has nothing to do. There is nothing to undo either.
#
#     pre_reboot_hook:
#       command: [/usr/local/sbin/etcd-leader-away.sh]
#       timeout_sec: 60
#
# Health before it: ../health/etcd-member.sh.
set -eu

export ETCDCTL_API=3
# This host's member. With TLS: https, and ETCDCTL_CACERT, ETCDCTL_CERT and ETCDCTL_KEY beside it.
export ETCDCTL_ENDPOINTS="${ENDPOINT:-http://127.0.0.1:2379}"

status=$(etcdctl endpoint status --command-timeout=5s --write-out=fields)
leads=$(printf '%s\n' "$status" | awk -F ' : ' '
	$1 == "\"MemberID\"" { own = $2 }
	$1 == "\"Leader\"" { leader = $2 }
	END { print own == "" || leader == "" ? "unknown" : own "" == leader "" ? "yes" : "no" }')
case $leads in
yes) ;;
no) exit 0 ;;
*)
	echo "etcd does not say who leads" >&2
	exit 1
	;;
esac
# The second field in every version.
own=$(etcdctl endpoint status --command-timeout=5s --write-out=simple | cut -d, -f2 | tr -d ' ')
others=$(etcdctl member list --command-timeout=5s | awk -F ', ' -v own="$own" '$1 != own && $2 == "started" && $NF == "false" { print $1 }')
for other in $others; do
	etcdctl move-leader "$other" --command-timeout=10s >&2 && exit 0
done
echo "this member leads and no other one took over" >&2
exit 1
