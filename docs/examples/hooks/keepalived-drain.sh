#!/bin/sh
# Gives the address that keepalived holds for this host to another one before the reboot. keepalived-undrain.sh undoes it.
# keepalived has to look at the file:
#
#     vrrp_script maintenance { script "/usr/bin/test ! -e /run/maintenance"  interval 2  fall 1  rise 1 }
#     vrrp_instance ... { track_script { maintenance } }
#
#     pre_reboot_hook:
#       command: [/usr/local/sbin/keepalived-drain.sh]
#       timeout_sec: 90
#     post_boot_hook:
#       command: [/usr/local/sbin/keepalived-undrain.sh]
set -eu

address=${ADDRESS:-10.0.0.100}
flag=${FLAG:-/run/maintenance}
# How often it is looked whether the address is gone, once a second.
tries=${TRIES:-60}

echo "reboot of ${RC_NODE_NAME:-this node}: ${RC_REASONS:-}" >"$flag"
while ip -oneline address show | grep -qF " $address/"; do
	tries=$((tries - 1))
	[ "$tries" -gt 0 ] || {
		echo "this host still has $address: does another one run keepalived?" >&2
		exit 1
	}
	sleep 1
done
