#!/bin/sh
# Before a PostgreSQL server under Patroni goes down: when it is the leader, another one takes over first. A replica has nothing
# to do, and there is nothing to undo.
#
#     pre_reboot_hook:
#       command: [/usr/local/sbin/patroni-switchover.sh]
#       timeout_sec: 120
set -eu

url=${URL:-http://127.0.0.1:8008}
name=${NAME:-$(hostname)}
# How often it is looked whether the other one leads, once a second.
tries=${TRIES:-60}

# Without --fail: the answer's status is the answer.
role() { curl --silent --show-error --max-time 5 --output /dev/null --write-out '%{http_code}' "$url/$1"; }

[ "$(role leader)" = 200 ] || {
	# Not the leader, but only if Patroni says so.
	[ "$(role replica)" = 200 ] && exit 0
	echo "Patroni says neither leader nor replica" >&2
	exit 1
}
# With restapi.authentication: --user, from a file (--config).
curl --fail --silent --show-error --max-time 30 --request POST --header 'Content-Type: application/json' \
	--data "{\"leader\":\"$name\"}" "$url/switchover" >&2
until [ "$(role replica)" = 200 ]; do
	tries=$((tries - 1))
	[ "$tries" -gt 0 ] || {
		echo "this server did not become a replica" >&2
		exit 1
	}
	sleep 1
done
