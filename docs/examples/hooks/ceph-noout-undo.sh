#!/bin/sh
# Lets Ceph move data of this host again, if ceph-noout.sh forbade it.
set -eu

host=${HOST:-$(hostname -s)}
mark=${STATE:-/var/lib/reboot-coordinator}/ceph-noout
export CEPH_ARGS="--connect-timeout 10 ${CEPH_ARGS:-}"

[ -e "$mark" ] || exit 0
ceph osd unset-group noout "$host" >&2
rm "$mark"
