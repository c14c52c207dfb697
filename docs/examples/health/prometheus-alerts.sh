#!/bin/sh
# Health by alerts: before a reboot no critical alert fires anywhere; otherwise none of this host does. No answer is a "no".
#
#     health_script: /etc/reboot-coordinator/health.sh
#
# Leave out the alerts that a reboot itself raises, or the next one waits until they end. That may be what you want.
set -eu

url=${URL:-http://127.0.0.1:9090}
node=${NODE:-$(hostname)}
ignored=${IGNORED:-Watchdog|InfoInhibitor|Reboot.*}

labels="alertstate=\"firing\",severity=\"critical\",alertname!~\"$ignored\""
case ${RC_PHASE:-pre-lock} in
pre-lock | post-lock) ;;
*) labels="$labels,instance=~\"$node(:[0-9]+)?\"" ;;
esac
answer=$(curl --fail --silent --show-error --max-time 10 --get --data-urlencode "query=count(ALERTS{$labels})" "$url/api/v1/query")
case $answer in
*'"status":"success"'*'"result":[]'*) ;;
*)
	echo "alerts fire: $answer" >&2
	exit 1
	;;
esac
