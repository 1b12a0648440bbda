#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# A denial comes at once: for every resolver library, with search lists and ndots:5, and for
# connections that are denied at the address or at the handshake.
# shellcheck disable=SC2030,SC2031,SC2034
load helpers

setup_file() { lab_up; }
teardown_file() { lab_down; }

LIMIT_MS=$((1000 * SLOW))

# COMMAND resolves a name, with the resolv.conf of a Kubernetes pod. Exit 0 found, 1 or 2 not found.
quick() { # COMMAND... NAME
	local resolv=$BATS_TEST_TMPDIR/resolv.conf before
	printf 'nameserver %s\nsearch default.svc.corp.test svc.corp.test corp.test\noptions ndots:5\n' \
		"$R" >"$resolv"
	export SP_LAB_RESOLV=$resolv
	run outside "$@" good.test
	[[ $status -eq 0 && $output == *"$GOOD4"* ]] || fail "does not even work outside: $* good.test"
	run outside "$@" evil.test
	[[ $status -eq 0 && $output == *"$EVIL4"* ]] || fail "does not even work outside: $* evil.test"
	before=$(queries_at_R evil.test)
	[[ $before -gt 0 ]] || fail "resolver R saw no query for evil.test outside"

	run inside "$@" evil.test
	[[ $status -eq 1 || $status -eq 2 ]] || fail "not \"not found\": $*"
	[[ $(last_ms) -lt $LIMIT_MS ]] || fail "$(last_ms) ms: $* evil.test"
	echo "# denied in $(last_ms) ms" >&3
	[[ $(queries_at_R evil.test) -eq $before ]] || fail "a query reached the resolver"

	# The candidates of the search list before it are denied names; the last is allowed.
	run inside "$@" good.test
	[[ $status -eq 0 && $output == *"$GOOD4"* ]] || fail "the allowed name is not found: $*"
	[[ $(last_ms) -lt $LIMIT_MS ]] || fail "$(last_ms) ms: $* good.test"
	echo "# allowed in $(last_ms) ms" >&3
}

@test "instant: glibc, getaddrinfo" {
	quick "$CLIENTS/gai"
}

@test "instant: musl, getaddrinfo, static" {
	quick "$CLIENTS/gai-musl"
}

@test "instant: c-ares" {
	quick "$CLIENTS/cares"
}

@test "instant: getent" {
	quick getent ahostsv4
}

@test "instant: node, dns.resolve4 (c-ares) and dns.lookup (glibc)" {
	POLICY+=(--quiet)
	run -0 outside node -e 'require("dns").resolve4("evil.test", (e, a) => { console.log(e || a); process.exit(e ? 1 : 0); })'
	run inside node -e 'const t = process.hrtime.bigint();
require("dns").resolve4("evil.test", (e, a) => {
	console.log(e ? e.code : a, Number((process.hrtime.bigint() - t) / 1000000n)); })'
	[[ $status -eq 0 && $output == ENOTFOUND* ]] || fail "not ENOTFOUND"
	[[ ${output##* } -lt $LIMIT_MS ]] || fail "not at once"
	run inside node -e 'require("dns").lookup("evil.test", (e, a) => console.log(e ? e.code : a))'
	[[ $status -eq 0 && $output == ENOTFOUND* ]] || fail "not ENOTFOUND"
}

@test "instant: python" {
	POLICY+=(--quiet)
	run inside "$PYTHON" -c 'import socket, time
t = time.monotonic()
try: print(socket.getaddrinfo("evil.test", 443))
except socket.gaierror as e: print(e.args[0] == socket.EAI_NONAME, int((time.monotonic() - t) * 1000))'
	[[ $output == "True "* ]] || fail "not EAI_NONAME"
	[[ ${output##* } -lt $LIMIT_MS ]] || fail "not at once"
}

@test "instant: a denied query by dig: NXDOMAIN, EDE 15 and a text that names the rule" {
	POLICY=(--allow good.test --deny evil.test)
	run -0 outside dig +tries=1 evil.test
	run inside dig +tries=1 +time=2 evil.test
	[[ $output == *"status: NXDOMAIN"* ]] || fail "no NXDOMAIN"
	[[ $output == *"EDE: 15"* && $output == *deny* ]] || fail "no EDE 15 with a text"
	[[ $(last_ms) -lt $LIMIT_MS ]] || fail "$(last_ms) ms"
	run inside dig +noedns +tries=1 +time=2 evil.test
	[[ $output == *"status: NXDOMAIN"* && $output != *EDE* ]] || fail "an EDNS option that nobody asked for"
}

@test "instant: a denied query over TCP ends at once" {
	run -0 outside dig +tcp +tries=1 evil.test
	run inside dig +tcp +tries=1 +time=5 evil.test
	[[ $output != *"$EVIL4"* ]] || fail "answered"
	[[ $(last_ms) -lt $LIMIT_MS ]] || fail "$(last_ms) ms"
}

@test "instant: REFUSED when the policy says so" {
	cat >"$BATS_TEST_TMPDIR/policy.json" <<-JSON
		{ "version": 1, "rules": [ { "allow": ["good.test"] } ], "dns": { "denied_answer": "refused" } }
	JSON
	POLICY=(--policy "$BATS_TEST_TMPDIR/policy.json")
	run inside dig +tries=1 +time=2 evil.test
	[[ $output == *"status: REFUSED"* ]] || fail "no REFUSED"
	[[ $(last_ms) -lt $LIMIT_MS ]] || fail "$(last_ms) ms"
}

@test "instant: a denied connect, TCP and UDP" {
	local address
	for address in "$EVIL4" "$EVIL6" "::ffff:$EVIL4"; do
		run -0 outside "$PYTHON" "$E2E/clients/net.py" tcp "$address" 5432
		run inside "$PYTHON" "$E2E/clients/net.py" tcp "$address" 5432
		[[ $status -eq 1 && $(last_ms) -lt $LIMIT_MS ]] || fail "TCP to $address: $(last_ms) ms"
		run -0 outside "$PYTHON" "$E2E/clients/net.py" udp "$address" 5000
		run inside "$PYTHON" "$E2E/clients/net.py" udp "$address" 5000
		[[ $status -eq 1 && $(last_ms) -lt $LIMIT_MS ]] || fail "UDP to $address: $(last_ms) ms"
	done
}

@test "instant: a connection denied at the handshake is reset, within 10 ms at the median" {
	local times=() limit=$((10 * SLOW))
	POLICY=(--allow one.cdn.test)
	run -0 outside "$PYTHON" "$E2E/clients/net.py" tls two.cdn.test "$CDN4" 443
	for _ in 1 2 3 4 5 6 7; do
		run inside sh -c "getent ahostsv4 one.cdn.test >/dev/null; exec '$PYTHON' '$E2E/clients/net.py' tls two.cdn.test $CDN4 443"
		[[ $status -eq 1 && $output =~ ([0-9]+)\.[0-9]+\ (Connection|end) ]] || fail "not reset"
		times+=("${BASH_REMATCH[1]}")
		[[ ${BASH_REMATCH[1]} -lt $LIMIT_MS ]] || fail "not at once"
	done
	mapfile -t times < <(printf '%s\n' "${times[@]}" | sort -n)
	echo "# ms from ClientHello to error: ${times[*]}" >&3
	[[ ${times[3]} -le $limit ]] || fail "median ${times[3]} ms: ${times[*]}"
}

@test "instant: wget, git and curl give up at once and say something sensible" {
	run inside wget -q -O - -t 1 https://evil.test/
	[[ $status -eq 4 && $(last_ms) -lt $LIMIT_MS ]] || fail "wget: $(last_ms) ms"
	run inside git ls-remote https://evil.test/repo.git
	[[ $status -eq 128 && $output == *"resolve host"* && $(last_ms) -lt $LIMIT_MS ]] || fail "git: $(last_ms) ms"
	run inside curl -sS "https://$EVIL4/"
	[[ $status -eq 7 && $(last_ms) -lt $LIMIT_MS ]] || fail "curl: $(last_ms) ms"
}
