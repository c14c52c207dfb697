#!/bin/sh
# Health of a Kubernetes node: it is Ready. Before a reboot every other node has to be Ready, too; after it this one is enough,
# for else two nodes with trouble would wait for each other.
#
#     health_script: /etc/reboot-coordinator/health.sh
#     health_timeout_sec: 30
set -eu

# Of a service account that may list nodes: ../kubernetes/rbac.yaml.
export KUBECONFIG="${KUBECONFIG:-/etc/reboot-coordinator/kubeconfig}"
node=${NODE:-$(hostname)}

ready() {
	kubectl get nodes --request-timeout=10s "$@" \
		--output 'jsonpath={range .items[*]}{.metadata.name}={.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}'
}

case ${RC_PHASE:-pre-lock} in
pre-lock | post-lock) nodes=$(ready) ;;
*) nodes=$(ready --field-selector "metadata.name=$node") ;;
esac

# No node at all is no answer.
[ -n "$nodes" ] || {
	echo "the API server names no node" >&2
	exit 1
}
if printf '%s\n' "$nodes" | grep -v '=True$' >&2; then
	echo "not every node is Ready" >&2
	exit 1
fi
