#!/bin/sh
# Health of a host that is a member of the etcd cluster: before this one goes, every member has to answer, since a cluster of
# three works with two and not with one.
#
#     health_script: /etc/reboot-coordinator/health.sh
#     health_timeout_sec: 30
set -eu

# The members' own view of who belongs to the cluster.
export ETCDCTL_API=3 ETCDCTL_ENDPOINTS=http://127.0.0.1:2379

# It ends with 1 when one of them does not answer.
etcdctl endpoint health --cluster --command-timeout=5s >&2
