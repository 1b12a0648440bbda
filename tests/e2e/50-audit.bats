#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# audit_only blocks nothing, and says what it would have denied.
# shellcheck disable=SC2030,SC2031,SC2034
load helpers

setup_file() { lab_up; }
teardown_file() { lab_down; }

setup() {
	EVENTS=$BATS_TEST_TMPDIR/events
	: >"$EVENTS"
	chmod 777 "$BATS_TEST_TMPDIR"
	POLICY=(--mode audit_only --allow good.test)
}

@test "audit_only: an allowed name is allowed" {
	allowed curl -sS --cacert "$CA" https://good.test/
	no_event verdict=denied
	no_event verdict=would_deny
}

@test "audit_only: a denied name" {
	allowed curl -sS --cacert "$CA" https://evil.test/
	event kind=dns verdict=would_deny name=evil.test
	no_event verdict=denied
}

@test "audit_only: a bare address, over TCP and UDP" {
	allowed curl -sS -k "https://$EVIL4/"
	event verdict=would_deny dst.addr="$EVIL4" dst.port=443
	allowed curl -sS -k "https://[$EVIL6]/"
	event verdict=would_deny dst.addr="$EVIL6"
	allowed "$PYTHON" "$E2E/clients/net.py" udp "$EVIL4" 5000
	event verdict=would_deny dst.port=5000
	no_event verdict=denied
}

@test "audit_only: an allowed SNI to another address, no SNI, another Host" {
	allowed curl -sS -k --resolve "good.test:443:$EVIL4" https://good.test/
	event verdict=would_deny dst.addr="$EVIL4"
	SAME_OUTPUT=0 allowed sh -c "getent hosts good.test >/dev/null
		openssl s_client -4 -connect good.test:443 -noservername -brief </dev/null"
	event verdict=would_deny reason=tls_no_sni
	allowed curl -4 -sS -H 'Host: evil.test' http://good.test/
	event kind=handshake verdict=would_deny name=evil.test
	no_event verdict=denied
}

@test "audit_only: a second resolver, and a private answer" {
	allowed dig +short +tries=1 "@$R2" good.test
	event verdict=would_deny reason=untrusted_resolver
	allowed curl -sS -k https://private.test/
	no_event verdict=denied
}

@test "audit_only: raw and ping sockets, options" {
	run inside --keep-caps -- "$PYTHON" "$E2E/clients/sockets.py" try ping raw_icmp udp_segment ip_options ordinary
	[[ $status -eq 0 ]] || fail "blocked"
	event kind=socket verdict=would_deny
	no_event verdict=denied
}

@test "audit_only: the exit status is still the command's" {
	run inside sh -c 'exit 17'
	[[ $status -eq 17 ]]
}
