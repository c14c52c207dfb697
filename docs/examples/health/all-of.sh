#!/bin/sh
# Several health scripts as one: all in a folder, in the order of their names. The first that fails decides.
#
#     health_script: /etc/reboot-coordinator/health.sh
#     health_timeout_sec: 60          # for all of them together
#
# The folder and what is in it must belong to root, and nobody else may write there.
set -eu

folder=${FOLDER:-/etc/reboot-coordinator/health.d}

ran=0
for script in "$folder"/*; do
	if [ ! -f "$script" ] || [ ! -x "$script" ]; then continue; fi
	"$script" || {
		code=$?
		echo "$script ended with $code" >&2
		exit "$code"
	}
	ran=$((ran + 1))
done
# None at all is no answer.
[ "$ran" -gt 0 ] || {
	echo "$folder holds no executable file" >&2
	exit 1
}
