#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Questions and answers that are not of the usual kind: what clients accept works, and teaches no more than it may.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034
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
		event kind=answer reason=answer_owner owner=z.cdn.test
	done
}

@test "dns: addresses of another name, to which no CNAME leads: not taught, and the event says whose they are" {
	POLICY=(--allow flat.test --resolver "$R3")
	run inside dig +short +tries=1 @"$R3" flat.test
	[[ $output == *198.18.0.2* ]] || fail "no answer"
	event kind=answer verdict=denied reason=answer_owner name=flat.test owner=edge.cdn.test
	run -0 inside dig +short +tries=1 +tcp @"$R3" flat.test
	event kind=answer verdict=denied reason=answer_owner name=flat.test owner=edge.cdn.test
}

# All addresses that a C library finds for a name, and a connection to the last of each family.
every_address() { # NAME COUNT
	cat >"$BATS_TEST_TMPDIR/every.py" <<-'PY'
		import socket, sys
		found = {each[4][0] for each in socket.getaddrinfo(sys.argv[1], 80, type=socket.SOCK_STREAM)}
		print(len(found), "addresses")
		for host in ("198.18.0.2", "2001:db8:5a11::2"):
		    assert host in found, host
		    socket.create_connection((host, 80), 4).close()
		sys.exit(len(found) != int(sys.argv[2]))
	PY
	"$PYTHON" "$BATS_TEST_TMPDIR/every.py" "$@"
}

@test "dns: a name with 100 IPv4 and 100 IPv6 addresses, and with 560 of each: all are learned" {
	local count name
	export SP_LAB_RESOLV=$BATS_TEST_TMPDIR/resolv.conf BATS_TEST_TMPDIR PYTHON
	echo "nameserver $R3" >"$SP_LAB_RESOLV"
	export -f every_address
	for count in 100 560; do # of AAAA as many as there is room for in 16,896 bytes
		name=lots-$count.test
		POLICY=(--allow "$name")
		run -0 outside bash -c "every_address $name $((2 * count))"
		run -0 inside bash -c "every_address $name $((2 * count))"
		no_event verdict=denied
		event kind=answer reason=learned addresses="$count"
	done
	# in one datagram
	POLICY=(--allow lots-100.test)
	run -0 inside sh -c "dig +tries=1 +ignore +bufsize=4096 lots-100.test AAAA | grep -c 2001:db8 && nc -z -w 4 $GOOD6 80" ||
		fail "$output"
}

@test "dns: of a name with more addresses than are read, the event says so; what was not read is denied" {
	local name=lots-1030.test
	POLICY=(--allow "$name" --resolver "$R3")
	run inside dig +short +tries=1 +tcp @"$R3" "$name" A
	[[ $output == *"$GOOD4"* ]] || fail "no answer"
	event kind=answer verdict=denied reason=answer_long name="$name"
	run inside sh -c "dig +short +tries=1 +tcp @$R3 $name A >/dev/null; nc -z -w 4 $GOOD4 80"
	[[ $status -ne 0 ]] || fail "the last address is reached"
	event kind=connect verdict=denied reason=not_learned
	# and of one that is too long to be read at all
	run inside dig +short +tries=1 +tcp @"$R3" lots-1100.test A
	[[ $output != *"$GOOD4"* ]] || fail "not denied"
	POLICY=(--allow lots-1100.test --resolver "$R3")
	run inside dig +short +tries=1 +tcp @"$R3" lots-1100.test A
	event kind=answer verdict=denied reason=answer_long
	run inside dig +short +tries=1 +ignore +bufsize=32000 @"$R3" lots-1100.test A
	event kind=answer verdict=denied reason=answer_long
}

@test "dns: a program that resolves once and connects for ever: expired, unless its rule says keep_addresses" {
	local late=$BATS_TEST_TMPDIR/late.py
	cat >"$late" <<-'PY'
		import http.client, socket, sys, time
		found = [socket.getaddrinfo(sys.argv[1], 80, family, socket.SOCK_STREAM)[0][4][0]
		         for family in (socket.AF_INET, socket.AF_INET6)]
		time.sleep(3.5)
		for host in found:
		    connection = http.client.HTTPConnection(host, 80, timeout=4)
		    connection.request("GET", "/", headers={"Host": sys.argv[1]})
		    print(connection.getresponse().status)
	PY
	export SP_LAB_RESOLV=$BATS_TEST_TMPDIR/resolv.conf
	echo "nameserver $R3" >"$SP_LAB_RESOLV"
	policy '{ "version": 1, "rules": [ { "allow": ["brief.test"] } ], "dns": { "min_ttl": 1 } }'
	run inside "$PYTHON" "$late" brief.test
	[[ $status -ne 0 ]] || fail "not denied"
	event kind=connect verdict=denied reason=expired
	policy '{ "version": 1, "rules": [ { "allow": ["brief.test"], "keep_addresses": true } ], "dns": { "min_ttl": 1 } }'
	run -0 inside "$PYTHON" "$late" brief.test
	no_event verdict=denied
	# of the names of that rule, and of no others
	policy '{ "version": 1, "rules": [ { "allow": ["good.test"], "keep_addresses": true }, { "allow": ["brief.test"] } ],
		"dns": { "min_ttl": 1 } }'
	run inside "$PYTHON" "$late" brief.test
	[[ $status -ne 0 ]] || fail "not denied"
}

# Waits for DIR/ready, does what the words say, and leaves DIR/done.
change_resolv() { # DIR SHELL-WORDS
	rm -f "$1/ready" "$1/done"
	(
		for _ in $(seq $((200 * SLOW))); do
			[[ ! -e $1/ready ]] || break
			sleep 0.05
		done
		eval "$2"
		touch "$1/done"
	) 3>&- &
}

# In a sandbox (R2 answers 198.18.0.66): says that it is ready, and waits for the change; then for `dig @ADDRESS` to be answered, or for a few s.
AFTER_CHANGE='touch "$0/ready"; until [ -e "$0/done" ]; do sleep 0.05; done
for i in 1 2 3 4; do dig +short +tries=1 +time=1 @"$1" good.test >"$0/out" && break; sleep 0.3; done; cat "$0/out"'

follow_dir() { # -> $follow: where a user other than root can make files, and cannot change the resolv.conf
	follow=$BATS_TEST_TMPDIR/follow
	mkdir -p "$follow"
	chmod 1777 "$follow"
	export SP_LAB_RESOLV=$BATS_TEST_TMPDIR/resolv.conf
	echo "nameserver $R" >"$SP_LAB_RESOLV"
	POLICY=(--allow good.test --user nobody)
}

@test "dns: resolv.conf changes while the command runs: its resolvers are followed, the old ones are trusted 20 s more" {
	local follow
	follow_dir
	change_resolv "$follow" "printf 'nameserver %s\nnameserver %s\n' $R2 $R26 >$SP_LAB_RESOLV"
	run -0 inside sh -c "getent ahostsv4 good.test && $AFTER_CHANGE"'
		getent ahostsv4 good.test && dig +short +tries=1 @"$2" good.test && dig +short +tries=1 @"$3" good.test &&
		sleep 20.5 && dig +short +tries=1 @"$1" good.test && ! dig +short +tries=1 +time=1 @"$3" good.test' \
		"$follow" "$R2" "$R26" "$R"
	[[ $output == *"/etc/resolv.conf has changed: the resolvers are now $R2, $R26"* ]] || fail "nothing is said"
	event kind=connect verdict=denied reason=untrusted_resolver
}

@test "dns: resolv.conf changes, and the command could have done it (root, its own file): not followed" {
	local follow
	follow_dir
	change_resolv "$follow" "echo nameserver $R2 >$SP_LAB_RESOLV"
	run inside sh -c "$AFTER_CHANGE; dig +short +tries=1 @$R good.test" "$follow" "$R2"
	[[ $output == *198.18.0.2* ]] || fail "the resolver of before is not trusted any more"
	follow_dir
	POLICY=(--allow good.test)
	change_resolv "$follow" "echo nameserver $R2 >$SP_LAB_RESOLV"
	run inside sh -c "$AFTER_CHANGE" "$follow" "$R2"
	[[ $output != *198.18.0.66* ]] || fail "root: followed"
	event kind=connect verdict=denied reason=untrusted_resolver
	follow_dir
	chown nobody "$SP_LAB_RESOLV"
	change_resolv "$follow" "echo nameserver $R2 >$SP_LAB_RESOLV"
	run inside sh -c "$AFTER_CHANGE" "$follow" "$R2"
	[[ $output != *198.18.0.66* ]] || fail "its own file: followed"
	event kind=connect verdict=denied reason=untrusted_resolver
}

# With /etc and what it links to as directories of the test's: files are replaced, as DHCP clients and VPNs do.
@test "dns: resolv.conf is a link whose target is replaced, goes and comes back, is empty, a directory, too long" {
	local follow etc=$BATS_TEST_TMPDIR/etc lease=$BATS_TEST_TMPDIR/lease
	follow_dir
	mkdir -p "$etc" "$lease"
	cp -a /etc/passwd /etc/group /etc/nsswitch.conf "$etc/"
	ln -s "$lease/resolv.conf" "$etc/resolv.conf"
	echo "nameserver $R" >"$lease/resolv.conf"
	chmod 755 "$BATS_TEST_TMPDIR" "$etc" "$lease"
	links() { # WORDS RESOLVER: what a dig at it says after the change
		change_resolv "$follow" "$1"
		: >"$EVENTS"
		chmod 666 "$EVENTS"
		run lab exec "$LAB" sh -c 'umount /etc/resolv.conf; mount --bind "$0" /etc && exec "$@"' "$etc" \
			timeout $((40 * SLOW)) "$SALLYPORT" run --events "$EVENTS" "${POLICY[@]}" -- sh -c "$AFTER_CHANGE" "$follow" "$2" 3>&-
	}
	new="echo nameserver $R2 >$lease/new; mv $lease/new $lease/resolv.conf"
	links "$new" "$R2"
	[[ $output == *198.18.0.66* ]] || fail "replaced: not followed"
	for bad in "rm $lease/resolv.conf" ": >$lease/resolv.conf" "rm $lease/resolv.conf; mkdir $lease/resolv.conf" \
		"head -c 70000 /dev/zero | tr '\\0' '#' >$lease/new; echo >>$lease/new; echo nameserver $R2 >>$lease/new; mv $lease/new $lease/resolv.conf"; do
		rm -rf "$lease/resolv.conf"
		echo "nameserver $R" >"$lease/resolv.conf"
		links "$bad" "$R"
		[[ $output == *198.18.0.2* ]] || fail "$bad: the old resolver is gone"
		rm -rf "$lease/resolv.conf"
		echo "nameserver $R" >"$lease/resolv.conf"
		links "$bad" "$R2"
		[[ $output != *198.18.0.66* ]] || fail "$bad: followed"
		rm -rf "$lease/resolv.conf"
		echo "nameserver $R" >"$lease/resolv.conf"
		links "$bad; sleep 0.4; rm -rf $lease/resolv.conf; $new" "$R2"
		[[ $output == *198.18.0.66* ]] || fail "$bad: what came behind it is not followed"
	done
	# the user can change where it leads
	chown nobody "$lease"
	rm -rf "$lease/resolv.conf"
	echo "nameserver $R" >"$lease/resolv.conf"
	links "$new" "$R2"
	[[ $output != *198.18.0.66* ]] || fail "its own directory: followed"
}
