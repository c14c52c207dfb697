#!/bin/sh
# Moves the pods of this Kubernetes node away before its reboot. kubernetes-uncordon.sh undoes it. A node that an operator had
# cordoned before stays cordoned afterwards: what there was before is noted on the node itself, as an annotation.
#
#     pre_reboot_hook:
#       command: [/usr/local/sbin/kubernetes-drain.sh]
#       timeout_sec: 600
#     post_boot_hook:
#       command: [/usr/local/sbin/kubernetes-uncordon.sh]
#       timeout_sec: 120
#
# It runs after the commit: while it does, nobody else reboots. When it fails the reboot is called off, and the undo runs.
# The rights it needs: ../kubernetes/rbac.yaml. Health: ../health/kubernetes-node.sh.
set -eu

# Of a service account that may drain nodes; the kubelet may not.
export KUBECONFIG="${KUBECONFIG:-/etc/reboot-coordinator/kubeconfig}"
node=${NODE:-$(hostname)}

# A drain that is repeated finds its own cordon, so only the first one says what was before.
noted=$(kubectl get node "$node" --request-timeout=20s --output 'jsonpath={.metadata.annotations.reboot-coordinator/cordoned-before}')
if [ -z "$noted" ]; then
	before=$(kubectl get node "$node" --request-timeout=20s --output 'jsonpath={.spec.unschedulable}')
	kubectl annotate node "$node" --request-timeout=20s "reboot-coordinator/cordoned-before=${before:-false}"
fi
# Ends before the time limit of the hook does, so that it can say what it waited for.
kubectl drain "$node" --ignore-daemonsets --delete-emptydir-data --timeout="${TIMEOUT:-540s}"
