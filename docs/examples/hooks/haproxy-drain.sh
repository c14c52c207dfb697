#!/bin/sh
# Takes this server out of a HAProxy before its reboot, and waits until its connections have ended. haproxy-undrain.sh brings it
# back, unless an operator had taken it out before. Needs socat, and HAProxy's admin socket: local, or over TCP
# ("stats socket ipv4@10.0.0.10:9999 level admin", on a network of administrators only: who reaches it rules HAProxy).
#
#     pre_reboot_hook:
#       command: [/usr/local/sbin/haproxy-drain.sh]
#       timeout_sec: 300
#     post_boot_hook:
#       command: [/usr/local/sbin/haproxy-undrain.sh]
set -eu

# As socat writes it: UNIX-CONNECT:/run/haproxy/admin.sock, or TCP:10.0.0.10:9999.
socket=${SOCKET:-TCP:10.0.0.10:9999}
# BACKEND/SERVER, as in HAProxy's configuration.
server=${SERVER:-web/$(hostname)}
# What this hook has done, across the boot.
mark=${STATE:-/var/lib/reboot-coordinator}/haproxy
# How often it is looked for connections, once a second.
tries=${TRIES:-120}

haproxy() { echo "$1" | socat -t 10 - "$socket"; }
# One field of the server's line: its status or its connections. No such server is an error.
field() {
	haproxy "show stat" | awk -F , -v server="$server" -v name="$1" '
		NR == 1 { sub(/^# /, ""); for (i = 1; i <= NF; i++) at[$i] = i; next }
		$1 "/" $2 == server { print $at[name]; found = 1 }
		END { exit !found }'
}

status=$(field status) || {
	echo "HAProxy knows no server $server" >&2
	exit 1
}
# A drain that is repeated finds what the first one did.
if [ ! -e "$mark" ]; then
	case $status in
	MAINT* | DRAIN*)
		echo "$server is out already ($status); it stays so" >&2
		exit 0
		;;
	esac
	mkdir -p "${mark%/*}"
	: >"$mark"
fi
haproxy "set server $server state drain" >&2
while connections=$(field scur) && [ "$connections" != 0 ]; do
	tries=$((tries - 1))
	[ "$tries" -gt 0 ] || {
		echo "$server still has $connections connections" >&2
		exit 1
	}
	sleep 1
done
