#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# A lab as anybody would make it: ip netns (exec included), dnsmasq, openssl; nothing of scripts/lab.
# shellcheck disable=SC2030,SC2031,SC2034
load helpers

N=stranger-${BATS_ROOT_PID:-0}

setup_file() {
	need_sallyport
	export D=$BATS_FILE_TMPDIR
	mkdir -p "/etc/netns/$N-c"
	ip netns add "$N-c"
	ip netns add "$N-s"
	ip link add eth0 netns "$N-c" type veth peer name eth0 netns "$N-s"
	ip -n "$N-c" addr add 203.0.113.1/24 dev eth0
	ip -n "$N-s" addr add 203.0.113.2/24 dev eth0
	ip -n "$N-s" addr add 203.0.113.53/24 dev eth0
	ip -n "$N-s" addr add 203.0.113.66/24 dev eth0
	ip -n "$N-c" link set lo up
	ip -n "$N-c" link set eth0 up
	ip -n "$N-s" link set eth0 up
	echo nameserver 203.0.113.53 >"/etc/netns/$N-c/resolv.conf"
	openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=good.test \
		-addext subjectAltName=DNS:good.test -keyout "$D/key.pem" -out "$D/ca.pem" 2>/dev/null
	ip netns exec "$N-s" dnsmasq -C /dev/null -k -R -h --user=root --pid-file= --bind-interfaces \
		--listen-address=203.0.113.53 --address=/good.test/203.0.113.2 \
		--address=/evil.test/203.0.113.66 >/dev/null 2>&1 3>&- &
	echo $! >"$D/dns.pid"
	ip netns exec "$N-s" openssl s_server -accept 443 -www -quiet -key "$D/key.pem" \
		-cert "$D/ca.pem" >/dev/null 2>&1 3>&- &
	echo $! >"$D/tls.pid"
	local i
	for ((i = 0; i < 40 * SLOW; i++)); do
		stranger curl -s --cacert "$D/ca.pem" https://good.test/ >/dev/null && break
		sleep 0.1
	done
}

teardown_file() {
	local file
	for file in "$D"/*.pid; do
		[[ ! -s $file ]] || kill "$(<"$file")" 2>/dev/null || true
	done
	ip netns del "$N-c" 2>/dev/null || true
	ip netns del "$N-s" 2>/dev/null || true
	rm -rf "/etc/netns/$N-c"
	rmdir /etc/netns 2>/dev/null || true
}

stranger() {
	ip netns exec "$N-c" timeout -k 2 $((30 * SLOW)) "$@" 3>&-
}

# Works outside; under sallyport it ends with the status that is curl's own for it, soon.
pair() { # EXPECTED_STATUS COMMAND...
	local expected=$1 from
	shift
	run stranger "$@"
	[[ $status -eq 0 ]] || fail "does not even work outside: $*"
	from=${EPOCHREALTIME/./}
	run stranger "$SALLYPORT" run --allow good.test --resolver 203.0.113.53 -- "$@"
	[[ $status -eq $expected ]] || fail "status $status, not $expected: $*"
	[[ $((${EPOCHREALTIME/./} - from)) -lt $((4000000 * SLOW)) ]] || fail "not at once: $*"
}

@test "a stranger's lab: the allowed name works" {
	pair 0 curl -sS -m 10 --cacert "$D/ca.pem" https://good.test
}

@test "a stranger's lab: the denied name" {
	pair 6 curl -sS -m 10 -k https://evil.test
}

@test "a stranger's lab: the bare address" {
	pair 7 curl -sS -m 10 -k https://203.0.113.66
	[[ $output == *"onnect to"* ]]
}

@test "a stranger's lab: an allowed SNI to another address" {
	pair 7 curl -sS -m 10 -k --resolve good.test:443:203.0.113.66 https://good.test
}

@test "a stranger's lab: a foreign resolver" {
	# The same server by its other address: dnsmasq with bind-interfaces refuses it, so a second one.
	ip netns exec "$N-s" dnsmasq -C /dev/null -k -R -h --user=root --pid-file= --bind-interfaces \
		--listen-address=203.0.113.66 --address=/good.test/203.0.113.66 >/dev/null 2>&1 3>&- &
	echo $! >"$D/dns2.pid"
	wait_for_listener "$N-s" udp/203.0.113.66/53
	run -0 stranger dig +short +tries=2 +time=2 @203.0.113.66 good.test
	run stranger "$SALLYPORT" run --allow good.test --resolver 203.0.113.53 -- \
		dig +short +tries=1 +time=1 @203.0.113.66 good.test
	[[ $status -ne 0 && $output != *"203.0.113.66"$'\n'* ]] || fail "it answers"
}
