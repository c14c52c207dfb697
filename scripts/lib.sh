#!/usr/bin/env bash
# Functions that several scripts share. It is sourced, not run; who sources it has set `name`, which begins every message.

say() { printf '%s: %s\n' "${name:?}" "$*" >&2; }
fail() {
	say "$*"
	exit 1
}

# need "PROGRAM=PACKAGE [PACKAGE...]"...: sees to it that the programs are there. As root on a Debian system their packages are installed, and
# no service of theirs starts.
need() {
	local pair missing=()
	for pair in "$@"; do
		# shellcheck disable=SC2206 # one word a package
		command -v "${pair%%=*}" >/dev/null || missing+=(${pair#*=})
	done
	[ ${#missing[@]} -eq 0 ] && return
	if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
		fail "missing here: ${missing[*]} (names of Debian packages; root on Debian gets them installed)"
	fi
	say "installing ${missing[*]} with apt"
	install_quietly "${missing[@]}" || fail "apt could not install ${missing[*]}"
}

install_quietly() (
	export DEBIAN_FRONTEND=noninteractive
	policy=/usr/sbin/policy-rc.d
	if [ ! -e "$policy" ]; then
		trap 'rm -f "$policy"' EXIT
		printf '#!/bin/sh\nexit 101\n' >"$policy"
		chmod 755 "$policy"
	fi
	# Another apt may be at work; it is waited for.
	command=(apt-get -qq -o DPkg::Lock::Timeout=600 install --yes --no-install-recommends "$@")
	"${command[@]}" >/dev/null 2>&1 && return
	apt-get -qq -o DPkg::Lock::Timeout=600 update >&2
	"${command[@]}" >&2
)

# newest_etcd: the folder of the newest etcd that scripts/get-etcd has; it is fetched when there is none.
newest_etcd() {
	local found
	found=$(scripts/get-etcd --list)
	if [ -z "$found" ]; then
		say "fetching etcd"
		found=$(scripts/get-etcd)
	fi
	dirname "$(printf '%s\n' "$found" | sort -V | tail -n 1)"
}

# make_pki DIR ADDRESS...: a throw-away authority, a server's certificate for these addresses, and a client's.
make_pki() {
	local dir=$1 names="DNS:localhost" address
	shift
	for address in "$@"; do
		names+=",IP:$address"
	done
	mkdir -p "$dir"
	(
		cd "$dir"
		umask 077
		ec=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2)
		openssl req -x509 "${ec[@]}" -keyout ca.key -out ca.crt -subj "/CN=throw-away CA" -addext basicConstraints=critical,CA:true
		# The server's gateway is a client of the server itself.
		openssl req -x509 "${ec[@]}" -CA ca.crt -CAkey ca.key -keyout server.key -out server.crt -subj / \
			-addext "subjectAltName=critical,$names" -addext basicConstraints=CA:false -addext extendedKeyUsage=serverAuth,clientAuth
		openssl req -x509 "${ec[@]}" -CA ca.crt -CAkey ca.key -keyout client.key -out client.crt -subj / \
			-addext "subjectAltName=critical,DNS:client" -addext basicConstraints=CA:false -addext extendedKeyUsage=clientAuth
	) 2>"$dir/openssl.log" || fail "openssl could not make certificates: $(cat "$dir/openssl.log")"
}

# start_etcd BIN_DIR WORK_DIR ADDRESS CLIENT_PORT PEER_PORT: one member that wants certificates of WORK_DIR/pki from its clients.
# It dies with the script. Sets etcd_pid, and fills `etcdctl` with the command that reaches it.
start_etcd() {
	local bin=$1 work=$2 address=$3 client=$4 peer=$5 pki=$2/pki variable
	# Settings of the environment would override ours.
	for variable in ${!ETCD_*}; do
		[ "$variable" = ETCD_TEST_VERSIONS_DIR ] || unset "$variable"
	done
	setpriv --pdeathsig KILL -- "$bin/etcd" --name test --data-dir "$work/etcd" --log-level error \
		--listen-client-urls "https://$address:$client" --advertise-client-urls "https://$address:$client" \
		--listen-peer-urls "http://$address:$peer" --initial-advertise-peer-urls "http://$address:$peer" \
		--initial-cluster "test=http://$address:$peer" \
		--client-cert-auth --trusted-ca-file "$pki/ca.crt" --cert-file "$pki/server.crt" --key-file "$pki/server.key" \
		>"$work/etcd.log" 2>&1 &
	etcd_pid=$!
	etcdctl=(env ETCDCTL_API=3 "$bin/etcdctl" "--endpoints=https://$address:$client"
		"--cacert=$pki/ca.crt" "--cert=$pki/client.crt" "--key=$pki/client.key")
	local try
	for ((try = 0; try < 150; try++)); do
		"${etcdctl[@]}" get healthy >/dev/null 2>&1 && return
		kill -0 "$etcd_pid" 2>/dev/null || break
		sleep 0.2
	done
	fail "etcd did not start: $(tail -n 5 "$work/etcd.log")"
}
