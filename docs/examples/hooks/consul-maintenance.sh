#!/bin/sh
# Puts this node into Consul's maintenance mode before its reboot, so that nobody is sent to its services.
# consul-maintenance-undo.sh ends it. Maintenance that an operator began stays.
#
#     pre_reboot_hook:
#       command: [/usr/local/sbin/consul-maintenance.sh]
#       timeout_sec: 120
#     post_boot_hook:
#       command: [/usr/local/sbin/consul-maintenance-undo.sh]
set -eu

# How long clients may still go by what they looked up before.
pause=${PAUSE:-15}

# It prints nothing when nothing is in maintenance. With access lists: CONSUL_HTTP_TOKEN_FILE.
mode=$(consul maint)
case $mode in
'') consul maint -enable -reason "reboot-coordinator: ${RC_REASONS:-reboot}" >&2 ;;
*reboot-coordinator:*) ;;
*)
	echo "in maintenance already; it stays so: $mode" >&2
	exit 0
	;;
esac
sleep "$pause"
