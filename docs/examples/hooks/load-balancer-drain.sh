#!/bin/sh
# Takes this host out of a load balancer that asks for a health page: the page says "down" while a file exists (in nginx:
# `if (-f /run/maintenance) { return 503; }`). load-balancer-undrain.sh undoes it.
#
#     pre_reboot_hook:
#       command: [/usr/local/sbin/load-balancer-drain.sh]
#       timeout_sec: 300
set -eu

flag=${FLAG:-/run/maintenance}
# How long the load balancer takes to notice, and requests that were begun to end.
pause=${PAUSE:-60}
# Says whether a package manager is at work; here is where packages put it.
idle=${IDLE:-/usr/libexec/reboot-coordinator/packages-idle.sh}

echo "reboot of ${RC_NODE_NAME:-this node}: ${RC_REASONS:-}" >"$flag"
sleep "$pause"
# Nobody asks again after this hook. When an installation began meanwhile the reboot is called off, and the undo runs.
"$idle"
