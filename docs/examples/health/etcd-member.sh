#!/bin/sh
# Health of a host that is a member of an etcd cluster. Before a reboot: the voting members that would be left are enough for a
# majority of all, and none is away already. Otherwise: this member answers, so that a member in trouble does not hold up the
# return of another.
#
#     health_script: /etc/reboot-coordinator/health.sh
#     health_timeout_sec: 30
#
# A drain hook that moves the leader away first: ../hooks/etcd-leader-away.sh.
set -eu

export ETCDCTL_API=3
# This host's member. With TLS: https, and ETCDCTL_CACERT, ETCDCTL_CERT and ETCDCTL_KEY beside it.
export ETCDCTL_ENDPOINTS="${ENDPOINT:-http://127.0.0.1:2379}"

case ${RC_PHASE:-pre-lock} in
pre-lock | post-lock) ;;
*)
	etcdctl endpoint health --command-timeout=5s >&2
	exit
	;;
esac

# The last field is "true" for a learner, which has no vote.
voters=$(etcdctl member list --command-timeout=5s | grep -c ', false$') || {
	echo "etcd names no members" >&2
	exit 1
}
# Ends with 1 when one does not answer; what counts is how many do.
answers=$(etcdctl endpoint health --cluster --command-timeout=5s 2>&1 | grep -c 'is healthy') || answers=0
left=$((answers - 1))
majority=$((voters / 2 + 1))
if [ "$answers" -lt "$voters" ] || [ "$left" -lt "$majority" ]; then
	echo "$answers of $voters members answer; without this one $left would be left, and a majority is $majority" >&2
	exit 1
fi
