#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Questions and answers that are not of the usual kind: what clients accept works, and teaches no more than it may.
# shellcheck disable=SC2034
load helpers

setup_file() { lab_up; }
teardown_file() { lab_down; }

policy() { # JSON
	echo "$1" >"$BATS_TEST_TMPDIR/policy.json"
	POLICY=(--policy "$BATS_TEST_TMPDIR/policy.json")
}

@test "dns: a name that resolves to an address of this host teaches nothing" {
	policy '{ "version": 1, "rules": [ { "allow": ["**.odd.test"] } ], "dns": { "resolvers": ["198.18.0.55"] } }'
	run inside dig +short +tries=1 @"$R3" a.c6120001.odd.test
	[[ $output == *198.18.0.1* ]] || fail "no answer"
	event kind=answer reason=rebinding
	run inside dig +short +tries=1 @"$R3" a.c6120002.odd.test
	event kind=answer reason=learned
	policy '{ "version": 1, "rules": [ { "allow": ["**.odd.test"] } ],
		"dns": { "resolvers": ["198.18.0.55"], "private_answers": ["198.18.0.1/32"] } }'
	run inside dig +short +tries=1 @"$R3" a.c6120001.odd.test
	event kind=answer reason=learned
}

@test "dns: an allowed name asked with a type that is not allowed: it exists, without data; a denied one does not" {
	POLICY=(--allow good.test)
	run inside dig +tries=1 good.test TYPE48
	[[ $output == *"status: NOERROR"* && $output == *"ANSWER: 0"* && $output == *"EDE: 15"* ]] || fail "not empty"
	event kind=dns verdict=denied reason=dns_type name=good.test
	run inside dig +tries=1 evil.test TYPE48
	[[ $output == *"status: NXDOMAIN"* ]] || fail "not NXDOMAIN"
	[[ $(queries_at_R evil.test) -eq 0 ]] || fail "the query left"
}

@test "dns: HTTPS and SVCB records are withheld, unless the policy says outer" {
	local before
	POLICY=(--allow good.test)
	before=$(queries_at_R good.test)
	run inside dig +tries=1 good.test HTTPS
	[[ $output == *"status: NOERROR"* && $output == *"ANSWER: 0"* && $output == *"EDE: 15"* ]] || fail "not empty"
	event kind=dns verdict=denied reason=dns_stripped name=good.test
	run inside dig +tries=1 good.test SVCB
	event kind=dns verdict=denied reason=dns_stripped name=good.test
	run inside dig +tcp +tries=1 good.test HTTPS
	[[ $status -ne 0 ]] || fail "answered over TCP"
	[[ $(queries_at_R good.test) -eq $before ]] || fail "a query left"
	policy '{ "version": 1, "rules": [ { "allow": ["good.test"] } ], "tls": { "ech": "outer" } }'
	run inside dig +tries=1 good.test HTTPS
	no_event kind=dns verdict=denied
	[[ $(queries_at_R good.test) -gt $before ]] || fail "no query left"
}

@test "dns: over TCP, the length in one write and the query in the next" {
	cat >"$BATS_TEST_TMPDIR/two.py" <<-'PY'
		import socket, struct, sys
		name = b"".join(bytes([len(x)]) + x.encode() for x in sys.argv[2].split(".")) + b"\0"
		q = struct.pack(">HHHHHH", 7, 0x100, 1, 0, 0, 0) + name + struct.pack(">HH", 1, 1)
		s = socket.create_connection((sys.argv[1], 53), 4)
		s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
		for _ in range(2):
		    s.send(struct.pack(">H", len(q)))
		    s.send(q)
		    print("answer of", len(s.recv(4096)), "bytes")
	PY
	POLICY=(--allow good.test)
	run -0 inside "$PYTHON" "$BATS_TEST_TMPDIR/two.py" "$R" good.test
	event kind=answer reason=learned
	run inside "$PYTHON" "$BATS_TEST_TMPDIR/two.py" "$R" evil.test
	[[ $status -ne 0 && $(queries_at_R evil.test) -eq 0 ]] || fail "not denied"
}
