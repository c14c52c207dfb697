#!/bin/sh
# Lets the cluster place shards as it likes again, if opensearch-drain.sh restricted it. Fails, and is repeated, until OpenSearch
# answers.
set -eu

url=${URL:-http://127.0.0.1:9200}
mark=${STATE:-/var/lib/reboot-coordinator}/opensearch

[ -e "$mark" ] || exit 0
curl --fail --silent --show-error --max-time 30 --header 'Content-Type: application/json' \
	--request PUT "$url/_cluster/settings" --data '{"persistent":{"cluster.routing.allocation.enable":null}}' >&2
rm "$mark"
