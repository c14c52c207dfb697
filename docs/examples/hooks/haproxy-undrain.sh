#!/bin/sh
# Brings this server back into HAProxy, if haproxy-drain.sh took it out. HAProxy's own checks decide when it gets requests.
set -eu

socket=${SOCKET:-TCP:10.0.0.10:9999}
server=${SERVER:-web/$(hostname)}
mark=${STATE:-/var/lib/reboot-coordinator}/haproxy

[ -e "$mark" ] || exit 0
answer=$(echo "set server $server state ready" | socat -t 10 - "$socket")
# It says nothing when it obeys.
[ -z "$answer" ] || {
	echo "HAProxy: $answer" >&2
	exit 1
}
rm "$mark"
