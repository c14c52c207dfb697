#!/bin/sh
# Health of an OpenSearch (or Elasticsearch) node. Before a reboot: the cluster is green, with every node in it. Otherwise: this
# node answers and belongs to a cluster of that size again; green comes later, when the shards have recovered.
#
#     health_script: /etc/reboot-coordinator/health.sh
#     post_boot_settle_sec: 60
#
# Drain and undo: ../hooks/opensearch-drain.sh and ../hooks/opensearch-undrain.sh.
set -eu

url=${URL:-http://127.0.0.1:9200}
# How many nodes there are when all is well.
expected=${EXPECTED:-3}

# For https: --cacert and --netrc-file; there is no HOME.
health=$(curl --fail --silent --show-error --max-time 10 "$url/_cluster/health")
field() { printf '%s' "$health" | sed -n "s/.*\"$1\":\"\{0,1\}\([a-z0-9]*\).*/\1/p"; }

nodes=$(field number_of_nodes)
[ "${nodes:-0}" -ge "$expected" ] || {
	echo "the cluster has ${nodes:-no} of $expected nodes" >&2
	exit 1
}
case ${RC_PHASE:-pre-lock} in
pre-lock | post-lock)
	[ "$(field status)" = green ] || {
		echo "the cluster is $(field status)" >&2
		exit 1
	}
	;;
esac
