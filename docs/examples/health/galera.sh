#!/bin/sh
# Health of a member of a Galera cluster (MariaDB, Percona XtraDB Cluster). Before a reboot: this node is synced, and every node
# is in the primary component. Otherwise: this node is synced again.
#
#     health_script: /etc/reboot-coordinator/health.sh
#
# The user needs no rights but to log in: CREATE USER reboot@localhost IDENTIFIED BY '...'.
set -eu

# How many nodes there are when all is well.
expected=${EXPECTED:-3}
# User and password. There is no HOME, hence no ~/.my.cnf.
login=${LOGIN:-/etc/reboot-coordinator/mysql.cnf}

status=$(mysql --defaults-file="$login" --connect-timeout=5 --batch --skip-column-names --execute \
	"SHOW GLOBAL STATUS WHERE Variable_name IN ('wsrep_cluster_status', 'wsrep_local_state_comment', 'wsrep_ready', 'wsrep_cluster_size')")

value() { printf '%s\n' "$status" | awk -v name="$1" '$1 == name { print $2 }'; }

[ "$(value wsrep_cluster_status)" = Primary ] || {
	echo "this node is not in the primary component: $(value wsrep_cluster_status)" >&2
	exit 1
}
if [ "$(value wsrep_ready)" != ON ] || [ "$(value wsrep_local_state_comment)" != Synced ]; then
	echo "this node is not synced: $(value wsrep_local_state_comment)" >&2
	exit 1
fi
case ${RC_PHASE:-pre-lock} in
pre-lock | post-lock)
	size=$(value wsrep_cluster_size)
	[ "${size:-0}" -ge "$expected" ] || {
		echo "the cluster has $size of $expected nodes" >&2
		exit 1
	}
	;;
esac
