#!/bin/sh
# Nobody is logged in. Asked only before a reboot: afterwards somebody may well have logged in, to look.
#
#     health_script: /etc/reboot-coordinator/health.sh
set -eu

case ${RC_PHASE:-pre-lock} in
pre-lock | post-lock) ;;
*) exit 0 ;;
esac
sessions=$(who)
[ -z "$sessions" ] || {
	printf 'logged in:\n%s\n' "$sessions" >&2
	exit 1
}
