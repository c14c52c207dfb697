#!/bin/sh
# Health of a Ceph host with OSDs. Before a reboot: every placement group is clean, and Ceph says that this host's OSDs may
# stop. Otherwise: this host's OSDs are up. Needs jq, and a keyring that may read (mon 'allow r', osd 'allow r', mgr 'allow r').
#
#     health_script: /etc/reboot-coordinator/health.sh
#     health_timeout_sec: 60
#
# Drain and undo: ../hooks/ceph-noout.sh and ../hooks/ceph-noout-undo.sh.
set -eu

host=${HOST:-$(hostname -s)}
export CEPH_ARGS="--connect-timeout 10 ${CEPH_ARGS:-}"

# On lines of their own: of a pipe only the last command's failure counts.
tree=$(ceph osd tree-from "$host" --format json)
down=$(printf '%s' "$tree" | jq -r '.nodes | map(select(.type == "osd")) | if length == 0 then "all of them" else map(select(.status != "up").name) | join(" ") end')
[ -z "$down" ] || {
	echo "OSDs of $host are not up: $down" >&2
	exit 1
}
case ${RC_PHASE:-pre-lock} in
pre-lock | post-lock)
	status=$(ceph status --format json)
	unclean=$(printf '%s' "$status" | jq -r '[.pgmap.pgs_by_state[]? | select(.state_name | startswith("active+clean") | not) | "\(.count) \(.state_name)"] | join(", ")')
	[ -z "$unclean" ] || {
		echo "placement groups are not clean: $unclean" >&2
		exit 1
	}
	osds=$(ceph osd ls-tree "$host")
	# shellcheck disable=SC2086 # one word an OSD
	ceph osd ok-to-stop $osds >&2
	;;
esac
