#!/bin/sh
# Before an OpenSearch (or Elasticsearch) node goes down: keeps the cluster from copying its replicas elsewhere meanwhile, and
# writes to disk what is in memory, so that recovery is short. When an operator had set the allocation before, it stays so.
#
#     pre_reboot_hook:
#       command: [/usr/local/sbin/opensearch-drain.sh]
#       timeout_sec: 120
#     post_boot_hook:
#       command: [/usr/local/sbin/opensearch-undrain.sh]
#       timeout_sec: 300
set -eu

url=${URL:-http://127.0.0.1:9200}
# What this hook has done, across the boot.
mark=${STATE:-/var/lib/reboot-coordinator}/opensearch

ask() { curl --fail --silent --show-error --max-time 30 --header 'Content-Type: application/json' "$@"; }

# A drain that is repeated finds what the first one did.
if [ ! -e "$mark" ]; then
	case $(ask "$url/_cluster/settings?flat_settings=true") in
	*'"cluster.routing.allocation.enable"'*)
		echo "the allocation is restricted already; it stays so" >&2
		exit 0
		;;
	esac
	mkdir -p "${mark%/*}"
	: >"$mark"
fi
ask --request PUT "$url/_cluster/settings" --data '{"persistent":{"cluster.routing.allocation.enable":"primaries"}}' >&2
# Shards that are busy are not written; that costs time later, and nothing else.
ask --request POST "$url/_flush" >&2 || echo "not everything was flushed" >&2
