#!/bin/sh
# Lets this Kubernetes node take pods again: after its reboot, and when the reboot is called off.
#
#     post_boot_hook:
#       command: [/usr/local/sbin/kubernetes-uncordon.sh]
#       timeout_sec: 120
#
# It may run more than once, and also when nothing was drained. It is repeated until it succeeds: the API server may not be there
# yet.
set -eu

# Of a service account that may drain nodes; the kubelet may not.
export KUBECONFIG=/etc/reboot-coordinator/kubeconfig

kubectl uncordon "$(hostname)"
