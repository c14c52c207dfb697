#!/bin/sh
# Health of a host that serves HTTP: its unit runs, it answers, and its disk is not nearly full.
#
#     health_script: /etc/reboot-coordinator/health.sh
set -eu

unit=nginx.service
url=http://127.0.0.1/healthz
# In per cent.
fullest=95

systemctl is-active --quiet "$unit" || {
	echo "$unit does not run" >&2
	exit 1
}

# A limit of its own, so that the reason is "no answer" and not the time limit of the whole script.
curl --fail --silent --show-error --max-time 5 --output /dev/null "$url"

used=$(df --output=pcent / | tail -n 1 | tr -dc 0-9)
[ "$used" -lt "$fullest" ] || {
	echo "/ is $used% full: the next boot may fail" >&2
	exit 1
}
