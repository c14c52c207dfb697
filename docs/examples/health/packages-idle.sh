#!/bin/sh
# No package manager is at work, and none was interrupted: a reboot in the middle of an installation may start half a kernel.
# Knows dpkg, apt and unattended upgrades, rpm, dnf and zypper, transactional-update and tukit, pacman, apk, xbps, and rpm-ostree.
# Asked only before a reboot. What begins while a drain hook runs only the hook can see: let it end with this script.
#
#     health_script: /etc/reboot-coordinator/health.sh
set -eu

# For tests: another root of the file system, and another list of locks.
root=${ROOT:-}
locks=${LOCKS:-/proc/locks}

busy() {
	echo "$*; no reboot until that is over" >&2
	exit 1
}

case ${RC_PHASE:-pre-lock} in
pre-lock | post-lock | pre-reboot) ;;
*) exit 0 ;;
esac

# The kernel lists who holds which lock, by inode, whatever kind of lock it is and whoever holds it.
[ -r "$locks" ] || busy "$locks cannot be read, so nobody knows who is at work"
for file in var/lib/dpkg/lock-frontend var/lib/dpkg/lock run/unattended-upgrades.lock var/run/unattended-upgrades.lock \
	var/lib/rpm/.rpm.lock usr/lib/sysimage/rpm/.rpm.lock lib/apk/db/lock usr/lib/apk/db/lock var/db/xbps/.xbps.lock \
	run/tukit.lock var/run/tukit.lock; do
	[ -e "$root/$file" ] || continue
	inode=$(stat -c %i "$root/$file")
	! grep -q ":$inode " "$locks" || busy "a package manager holds /$file"
done

# pacman's lock is there or not. After a crash it stays, and somebody has to look anyway.
[ ! -e "$root/var/lib/pacman/db.lck" ] || busy "pacman is at work, or was interrupted: /var/lib/pacman/db.lck is there"

# These write down who they are.
for file in run/zypp.pid var/run/zypp.pid var/run/dnf.pid var/run/yum.pid \
	run/transactional-update.pid var/run/transactional-update.pid; do
	[ -s "$root/$file" ] || continue
	pid=$(tr -dc 0-9 <"$root/$file")
	[ -z "$pid" ] || [ ! -e "/proc/$pid" ] || busy "process $pid of /$file is at work"
done

# Packages that are unpacked and not configured: a kernel without its initrd may be among them.
if command -v dpkg >/dev/null && [ -e "$root/var/lib/dpkg/status" ]; then
	audit=$(dpkg --audit)
	[ -z "$audit" ] || busy "dpkg was interrupted: $audit
run dpkg --configure -a"
fi

if [ -e "$root/run/ostree-booted" ] && command -v rpm-ostree >/dev/null; then
	state=$(rpm-ostree status | sed -n 's/^State: //p')
	[ "$state" = idle ] || busy "rpm-ostree says: ${state:-no answer}"
fi
