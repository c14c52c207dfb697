#!/bin/sh
# Health of a host with a Consul agent. Before a reboot: no check in the datacenter is critical. Otherwise: none of this node is.
#
#     health_script: /etc/reboot-coordinator/health.sh
#
# Drain and undo: ../hooks/consul-maintenance.sh and ../hooks/consul-maintenance-undo.sh.
set -eu

url=${URL:-http://127.0.0.1:8500}
node=${NODE:-$(hostname)}

case ${RC_PHASE:-pre-lock} in
pre-lock | post-lock) path=/v1/health/state/critical ;;
*) path="/v1/health/node/$node" ;;
esac
# With access lists: --header @FILE, which holds "X-Consul-Token: ...".
checks=$(curl --fail --silent --show-error --max-time 10 "$url$path")
case $checks in
'[]') [ "$path" = /v1/health/state/critical ] || {
	echo "Consul knows no node $node" >&2
	exit 1
} ;;
*'"Status":"critical"'*)
	echo "critical: $(printf '%s' "$checks" | grep -o '"CheckID":"[^"]*"' | head -n 5 | tr '\n' ' ')" >&2
	exit 1
	;;
'['*) ;;
*)
	echo "Consul gave no list" >&2
	exit 1
	;;
esac
