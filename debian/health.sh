#!/bin/sh
# Whether this node works and may be rebooted now: exit 0. Anything else, or no answer in time, means no: it does not reboot,
# and after a reboot it keeps the others waiting until it says 0.
#
# As shipped it asks systemd whether everything on this host has started and nothing has failed, and whether no package manager
# is at work. Add what this host is for,
# such as a request that its service has to answer. More examples are in /usr/share/doc/reboot-coordinator/examples/health/.
set -eu

if ! command -v systemctl >/dev/null; then
	echo "systemd does not run this host: say in $0 what healthy means here" >&2
	exit 1
fi

# "degraded" and "starting" are not healthy; the list says what failed.
if ! state=$(systemctl is-system-running); then
	echo "systemd says: ${state:-no answer}" >&2
	systemctl --failed --plain --no-legend >&2 || true
	exit 1
fi

# A reboot in the middle of an installation may start half a kernel.
idle=/usr/libexec/reboot-coordinator/packages-idle.sh
if ! [ -x "$idle" ]; then
	echo "$idle is missing: install the package again, or take this question out of $0" >&2
	exit 1
fi
"$idle"
