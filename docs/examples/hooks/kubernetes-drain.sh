#!/bin/sh
# Moves the pods of this Kubernetes node away before its reboot. kubernetes-uncordon.sh undoes it.
#
#     pre_reboot_hook:
#       command: [/usr/local/sbin/kubernetes-drain.sh]
#       timeout_sec: 600
#
# It runs after the commit: while it does, nobody else reboots. When it fails the reboot is called off, and the undo runs.
set -eu

# Of a service account that may drain nodes; the kubelet may not.
export KUBECONFIG=/etc/reboot-coordinator/kubeconfig

# Ends before the time limit of the hook does, so that it can say what it waited for.
kubectl drain "$(hostname)" --ignore-daemonsets --delete-emptydir-data --timeout=540s
