#!/bin/sh
# Lets this Kubernetes node take pods again: after its reboot, and when the reboot is called off. Not when somebody had cordoned it
# before the drain, and not when kubernetes-drain.sh drained nothing.
#
# It may run more than once. It is repeated until it succeeds: the API server may not be there yet.
set -eu

# Of a service account that may drain nodes; the kubelet may not.
export KUBECONFIG="${KUBECONFIG:-/etc/reboot-coordinator/kubeconfig}"
node=${NODE:-$(hostname)}

noted=$(kubectl get node "$node" --request-timeout=20s --output 'jsonpath={.metadata.annotations.reboot-coordinator/cordoned-before}')
case $noted in
'') exit 0 ;;
false) kubectl uncordon "$node" --request-timeout=20s ;;
*) echo "$node was cordoned before its drain, and stays so" >&2 ;;
esac
kubectl annotate node "$node" --request-timeout=20s reboot-coordinator/cordoned-before-
