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

@test "dns: an address before its CNAME, and a CNAME to a wildcard, teach what clients take; no more" {
	local name
	cat >"$BATS_TEST_TMPDIR/odd.py" <<-'PY'
		import socket, struct, sys
		def wire(n): return b"".join(bytes([len(x)]) + x.encode() for x in n.split(".")) + b"\0"
		def record(owner, kind, data): return wire(owner) + struct.pack(">HHIH", kind, 1, 60, len(data)) + data
		def a(owner, text): return record(owner, 1, socket.inet_aton(text))
		def cname(owner, to): return record(owner, 5, wire(to))
		s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		s.bind(("198.18.0.2", 53))
		open(sys.argv[1], "w").write("ready")
		while True:
		    q, peer = s.recvfrom(2000)
		    end = q.index(b"\0", 12) + 5
		    first = q[13:13 + q[12]].decode()
		    me = first + ".odd.test"
		    records = {"last": [a("x.cdn.test", "198.18.0.2"), cname(me, "x.cdn.test")],
		               "twice": [a("y.cdn.test", "198.18.0.2"), cname("x.cdn.test", "y.cdn.test"), cname(me, "x.cdn.test")],
		               "star": [cname(me, "*.good.test"), a("*.good.test", "198.18.0.2")],
		               "other": [a("z.cdn.test", "198.18.0.2"), cname(me, "x.cdn.test")],
		               "round": [cname(me, "x.cdn.test"), cname("x.cdn.test", me), a("z.cdn.test", "198.18.0.2")]}[first]
		    s.sendto(q[:2] + struct.pack(">HHHHH", 0x8180, 1, len(records), 0, 0) + q[12:end] + b"".join(records), peer)
	PY
	"$TOP/scripts/lab" serve "$LAB" "$PYTHON" "$BATS_TEST_TMPDIR/odd.py" "$BATS_TEST_TMPDIR/ready" 3>&- >/dev/null 2>&1 &
	echo $! >"$BATS_TEST_TMPDIR/odd.pid"
	wait_for_file "$BATS_TEST_TMPDIR/ready"
	policy '{ "version": 1, "rules": [ { "allow": ["*.odd.test"] } ], "dns": { "resolvers": ["198.18.0.2"] } }'
	for name in last twice star; do
		run inside dig +tries=1 @"$GOOD4" "$name.odd.test"
		event kind=answer reason=learned
	done
	for name in other round; do
		run inside dig +tries=1 @"$GOOD4" "$name.odd.test"
		no_event kind=answer reason=learned
	done
}
