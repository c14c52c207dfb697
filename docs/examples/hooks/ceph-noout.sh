#!/bin/sh
# Before a Ceph host goes down: keeps Ceph from moving its data elsewhere meanwhile (noout, for this host only, since Nautilus).
# When an operator had set it before, it stays afterwards. Needs jq, and a keyring with mon 'allow rw'.
#
#     pre_reboot_hook:
#       command: [/usr/local/sbin/ceph-noout.sh]
#       timeout_sec: 60
#     post_boot_hook:
#       command: [/usr/local/sbin/ceph-noout-undo.sh]
#       timeout_sec: 120
set -eu

host=${HOST:-$(hostname -s)}
# What this hook has done, across the boot.
mark=${STATE:-/var/lib/reboot-coordinator}/ceph-noout
export CEPH_ARGS="--connect-timeout 10 ${CEPH_ARGS:-}"

# A drain that is repeated finds what the first one did.
[ ! -e "$mark" ] || exit 0
flags=$(ceph osd dump --format json)
set_before=$(printf '%s' "$flags" | jq -r --arg host "$host" '.crush_node_flags[$host] // [] | index("noout") != null')
case $set_before in
false) ;;
true)
	echo "noout is set for $host already; it stays" >&2
	exit 0
	;;
*)
	echo "Ceph does not say which flags are set" >&2
	exit 1
	;;
esac
mkdir -p "${mark%/*}"
: >"$mark"
ceph osd set-group noout "$host" >&2
