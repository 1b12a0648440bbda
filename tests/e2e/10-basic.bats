#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Real clients against the lab: what the policy names works, everything else does not arrive.
# shellcheck disable=SC2030,SC2031,SC2034
load helpers

setup_file() { lab_up; }
teardown_file() { lab_down; }

# ---- allowed by name --------------------------------------------------------------------------

@test "allowed: curl over IPv4" {
	allowed curl -4 -sS --cacert "$CA" https://good.test/
	[[ $output == *"hello from good"* ]]
	event kind=dns verdict=allowed name=good.test
	event kind=handshake verdict=allowed name=good.test dst.addr="$GOOD4" dst.port=443
}

@test "allowed: curl over IPv6" {
	allowed curl -6 -sS --cacert "$CA" https://good.test/
	event kind=handshake verdict=allowed name=good.test dst.addr="$GOOD6"
}

@test "allowed: curl, plain HTTP" {
	allowed curl -sS http://good.test/
}

@test "allowed: a million bytes up and down" {
	allowed curl -sS --cacert "$CA" -o /dev/null -w '%{size_download}' https://good.test/million
	[[ $output == *1000000* ]]
	head -c 1000000 /dev/zero >"$BATS_TEST_TMPDIR/body"
	allowed curl -sS --cacert "$CA" --data-binary "@$BATS_TEST_TMPDIR/body" https://good.test/
	[[ $output == *"got 1000000 bytes"* ]]
}

@test "allowed: wget" {
	allowed wget -q -O - --ca-certificate="$CA" https://good.test/
}

@test "allowed: git clone over https" {
	run -0 outside env GIT_SSL_CAINFO="$CA" git clone -q https://good.test/repo.git "$BATS_TEST_TMPDIR/out"
	run -0 inside env GIT_SSL_CAINFO="$CA" git clone -q https://good.test/repo.git "$BATS_TEST_TMPDIR/in"
	diff -r "$BATS_TEST_TMPDIR/out/README" "$BATS_TEST_TMPDIR/in/README"
}

@test "allowed: openssl s_client" {
	SAME_OUTPUT=0 allowed openssl s_client -connect good.test:443 -servername good.test \
		-CAfile "$CA" -verify_return_error -brief
	[[ $output == *"CONNECTION ESTABLISHED"* ]]
}

@test "allowed: gnutls-cli" {
	SAME_OUTPUT=0 allowed sh -c "gnutls-cli --x509cafile='$CA' good.test </dev/null"
	[[ $output == *"Handshake was completed"* ]]
}

@test "allowed: python urllib" {
	allowed "$PYTHON" -c 'import ssl, sys, urllib.request as u
print(u.urlopen("https://good.test/", context=ssl.create_default_context(cafile=sys.argv[1]), timeout=10).read().decode())' "$CA"
}

@test "allowed: node fetch" {
	allowed env NODE_EXTRA_CA_CERTS="$CA" node -e \
		'fetch("https://good.test/").then(r => r.text()).then(console.log, e => { console.error(e); process.exit(1); })'
}

@test "allowed: dig over UDP, over TCP and over IPv6" {
	allowed dig +short +tries=1 good.test
	[[ $output == *"$GOOD4"* ]]
	allowed dig +short +tries=1 +tcp good.test
	[[ $output == *"$GOOD4"* ]]
	POLICY+=(--resolver "$R" --resolver "$R6")
	allowed dig +short +tries=1 "@$R6" good.test AAAA
	[[ $output == *"$GOOD6"* ]]
}

@test "allowed: a name that was looked up over DNS by TCP only" {
	allowed sh -c "dig +tcp +short good.test && curl -sS --cacert '$CA' --resolve good.test:443:$GOOD4 https://good.test/"
}

@test "allowed: through a CNAME chain whose other names no rule mentions" {
	POLICY=(--allow www.good.test)
	allowed curl -sS --cacert "$CA" https://www.good.test/
}

@test "allowed: upper case and a trailing dot are the same name" {
	allowed curl -sS --cacert "$CA" https://GOOD.test/
	allowed curl -sS --cacert "$CA" http://good.test./
}

@test "allowed: wildcards reach as deep as they say" {
	POLICY=(--allow '*.wild.test')
	allowed curl -4 -sS --cacert "$CA" https://a.wild.test/
	denied "port 80" curl -4 -sS -m 5 http://a.b.wild.test/
	POLICY=(--allow '**.wild.test')
	allowed curl -4 -sS --cacert "$CA" https://a.b.wild.test/
}

@test "allowed: an address rule, without any name" {
	POLICY=(--allow "$GOOD4" --allow "[$GOOD6]:443")
	allowed curl -sS "http://$GOOD4/"
	allowed curl -sS -k "https://[$GOOD6]/"
	denied "tcp port 80 and host $GOOD6" curl -sS -m 5 "http://[$GOOD6]/"
}

# ncat and socat send the address that they connect to as server name, the others what they are told.
literal() { # ADDRESS SERVER-NAME: TLS by each of them
	local at=$1 bracketed=$1
	[[ $1 != *:* ]] || bracketed="[$1]"
	cat <<-SCRIPT
		set -e
		openssl s_client -connect '$bracketed:443' -servername '$2' -brief </dev/null
		gnutls-cli --insecure -p 443 --sni-hostname '$2' '$at' </dev/null
		node -e "require('tls').connect({host: '$at', port: 443, servername: '$2', rejectUnauthorized: false},
			function () { this.destroy() }).on('error', () => process.exit(1))"
	SCRIPT
	[[ $1 != "$2" ]] || cat <<-SCRIPT
		ncat --ssl '$at' 443 </dev/null
		socat - 'OPENSSL:$bracketed:443,verify=0' </dev/null
	SCRIPT
}

@test "a server name that is an address: passes under an address rule, with deny rules too" {
	local at
	for at in "$GOOD4" "$GOOD6"; do
		POLICY=(--allow "[$GOOD6]:443" --allow "$GOOD4:443")
		SAME_OUTPUT=0 allowed sh -c "$(literal "$at" "$at")"
		# an address rule asks for no name: that of another address is as good as none
		SAME_OUTPUT=0 allowed sh -c "$(literal "$at" 198.18.0.66)"
		# where names are denied, handshakes are looked at
		POLICY=(--deny evil.test "${POLICY[@]}")
		SAME_OUTPUT=0 allowed sh -c "$(literal "$at" "$at")"
		SAME_OUTPUT=0 allowed sh -c "$(literal "$at" 2001:db8:5a11::66)"
		refused "tcp port 443" openssl s_client -connect good.test:443 -servername evil.test -brief
	done
}

@test "a server name that is an address: denied under a name rule, the very address too" {
	local at flag
	for flag in 4 6; do
		at=$GOOD4
		[[ $flag == 4 ]] || at=$GOOD6
		for name in "$at" "$EVIL4" "$EVIL6"; do
			refused "tcp port 443" sh -c "getent ahosts good.test >/dev/null
				openssl s_client -$flag -connect good.test:443 -servername $name -brief </dev/null"
			event kind=handshake verdict=denied reason=name_bad
		done
	done
	refused "tcp port 443" sh -c "getent ahosts good.test >/dev/null; ncat --ssl $GOOD4 443 </dev/null"
	event kind=handshake verdict=denied reason=name_bad
}

@test "allowed: a port beside 80 and 443 when the rule names it" {
	POLICY=(--allow good.test:5432 --allow "$GOOD4:5000")
	allowed sh -c "getent ahostsv4 good.test >/dev/null && '$PYTHON' '$E2E/clients/net.py' tcp $GOOD4 5432"
	allowed "$PYTHON" "$E2E/clients/net.py" udp "$GOOD4" 5000
	allowed "$PYTHON" "$E2E/clients/net.py" udp "$GOOD4" 5000 connected
}

@test "allowed: a ClientHello in segments of 1, 7 and 100 bytes" {
	local size
	for size in 1 7 100; do
		allowed sh -c "getent ahostsv4 good.test >/dev/null && '$PYTHON' '$E2E/clients/net.py' split good.test $GOOD4 443 $size"
	done
}

# ---- denied -----------------------------------------------------------------------------------

@test "denied: a name, in the kernel, before the query leaves" {
	local before
	denied "host $EVIL4 or host $EVIL6" curl -sS -m 10 http://evil.test/
	[[ $output == *"resolve host"* ]] || fail "curl's message is not sensible"
	[[ $status -eq 6 ]]
	event kind=dns verdict=denied name=evil.test
	before=$(queries_at_R evil.test)
	[[ $before -gt 0 ]]
	run inside getent ahosts evil.test
	[[ $status -eq 2 ]]
	run inside dig +tries=1 +time=2 evil.test
	[[ $output == *NXDOMAIN* && $output == *"EDE: 15"* ]] || fail "no NXDOMAIN with EDE 15"
	run inside dig +tcp +tries=1 +time=2 evil.test
	run inside dig +tries=1 +time=2 secret-in-the-name.evil.test TXT
	[[ $(queries_at_R evil.test) -eq $before ]] || fail "a query reached the resolver"
}

@test "denied: nothing leaves for a denied name, the query included" {
	# Every packet on the wire, not those to one address: what is left must be for good.test.
	capture_start "ip or ip6"
	run inside sh -c 'curl -sS -m 5 https://evil.test/; dig +tries=1 +time=1 evil.test; getent ahosts evil.test'
	capture_stop
	[[ $(capture_bytes) -eq 0 ]] || fail "bytes arrived: $(capture_text)"
}

@test "denied: deny beats a wider allow that comes after it" {
	POLICY=(--allow '**.test' --deny evil.test)
	allowed curl -sS --cacert "$CA" https://good.test/
	denied "host $EVIL4 or host $EVIL6" curl -sS -m 10 http://evil.test/
}

@test "denied: a bare IPv4 address" {
	denied "host $EVIL4" curl -sS -k -m 10 "https://$EVIL4/"
	[[ $output == *"onnect to"* ]] || fail "curl's message is not sensible"
	event kind=connect verdict=denied reason=not_learned dst.addr="$EVIL4" dst.port=443
}

@test "denied: a bare IPv6 address" {
	denied "host $EVIL6" curl -sS -k -m 10 "https://[$EVIL6]/"
	event verdict=denied dst.addr="$EVIL6" dst.port=443
}

@test "denied: a bare address in v4-mapped form" {
	denied "host $EVIL4" "$PYTHON" "$E2E/clients/net.py" tcp "::ffff:$EVIL4" 5432
	denied "host $EVIL4" "$PYTHON" "$E2E/clients/net.py" udp "::ffff:$EVIL4" 5000
}

@test "denied: the bare address of an allowed host that was not looked up" {
	denied "host $GOOD4" curl -sS -k -m 10 "https://$GOOD4/"
}

@test "denied: an allowed host on a port that the rule does not cover" {
	denied "port 5432 or port 22" sh -c \
		"getent ahostsv4 good.test >/dev/null && '$PYTHON' '$E2E/clients/net.py' tcp $GOOD4 5432"
	denied "port 5432 or port 22" sh -c \
		"getent ahostsv4 good.test >/dev/null && '$PYTHON' '$E2E/clients/net.py' tcp $GOOD4 22"
}

@test "denied: an allowed SNI to another address" {
	denied "host $EVIL4" curl -sS -k -m 10 --resolve "good.test:443:$EVIL4" https://good.test/
	denied "host $EVIL4" openssl s_client -connect "$EVIL4:443" -servername good.test -brief
	denied "host $EVIL6" openssl s_client -connect "[$EVIL6]:443" -servername good.test -brief
	# Also when the name was looked up before.
	denied "host $EVIL4" sh -c \
		"getent hosts good.test; curl -sS -k -m 10 --resolve good.test:443:$EVIL4 https://good.test/"
}

# A query for good.test to an address, on a connected socket.
ASK='import socket, sys
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(2)
s.connect((sys.argv[1], 53))
s.send(b"\1\2\1\0\0\1\0\0\0\0\0\0\4good\4test\0\0\1\0\1")
s.recv(512)'

@test "denied: a second resolver, over UDP, TCP and IPv6" {
	# dig does not heed that its send fails, and waits
	denied "host $R2" /usr/bin/python3 -c "$ASK" "$R2"
	denied "host $R2" dig +tries=1 +time=2 +tcp "@$R2" good.test
	denied "host $R26" /usr/bin/python3 -c "$ASK" "$R26"
	event verdict=denied reason=untrusted_resolver
}

@test "denied: an answer with a private address (rebinding)" {
	POLICY=(--allow private.test)
	denied "host $PRIVATE4 or host $PRIVATE6" curl -sS -k -m 10 https://private.test/
	event reason=rebinding
}

@test "allowed: a private answer when the policy lists its range" {
	cat >"$BATS_TEST_TMPDIR/policy.json" <<-JSON
		{ "version": 1, "rules": [ { "allow": ["private.test"] } ],
		  "dns": { "private_answers": ["10.0.0.0/8", "fd00::/8"] } }
	JSON
	POLICY=(--policy "$BATS_TEST_TMPDIR/policy.json")
	allowed curl -sS --cacert "$CA" https://private.test/
}

@test "denied: TLS without a server name" {
	refused "port 443" sh -c "getent hosts good.test >/dev/null
		openssl s_client -4 -connect good.test:443 -noservername -brief </dev/null"
	event kind=handshake verdict=denied reason=tls_no_sni
}

@test "denied: something else than TLS on port 443" {
	refused "tcp port 443" sh -c "getent ahostsv4 good.test >/dev/null
		'$PYTHON' '$E2E/clients/net.py' tcp $GOOD4 443"
	event verdict=denied reason=tls_not_tls
}

@test "denied: plain HTTP with the Host of another" {
	refused "tcp port 80" curl -4 -sS -m 10 -H 'Host: evil.test' http://good.test/
	event kind=handshake verdict=denied reason=default name=evil.test
	refused "tcp port 80" sh -c "getent ahostsv4 good.test >/dev/null
		'$PYTHON' '$E2E/clients/net.py' http $GOOD4 80 evil.test"
}

@test "denied: the second name of an address, by its server name" {
	POLICY=(--allow one.cdn.test)
	allowed curl -sS --cacert "$CA" https://one.cdn.test/
	refused "port 443" curl -sS -m 10 --cacert "$CA" \
		--connect-to two.cdn.test:443:one.cdn.test:443 https://two.cdn.test/
	event kind=handshake verdict=denied reason=default name=two.cdn.test
	refused "tcp port 80" curl -4 -sS -m 10 -H 'Host: two.cdn.test' http://one.cdn.test/
}

@test "denied: an allowed server name to an address that was learned for another allowed name" {
	POLICY=(--allow good.test --allow one.cdn.test)
	refused "tcp port 443 and host $CDN4" sh -c "getent ahostsv4 good.test; getent ahostsv4 one.cdn.test
		curl -sS -k -m 10 --resolve good.test:443:$CDN4 https://good.test/"
	event kind=handshake verdict=denied reason=sni_address
	refused "tcp port 80 and host $CDN4" sh -c "getent ahostsv4 good.test; getent ahostsv4 one.cdn.test
		'$PYTHON' '$E2E/clients/net.py' http $CDN4 80 good.test"
	event kind=handshake verdict=denied reason=host_address
}

@test "denied: UDP to a host and port that no rule covers" {
	denied "udp port 5000" "$PYTHON" "$E2E/clients/net.py" udp "$GOOD4" 5000
	denied "udp port 5000" "$PYTHON" "$E2E/clients/net.py" udp "$GOOD6" 5000
	denied "udp port 5000" "$PYTHON" "$E2E/clients/net.py" udp "$GOOD4" 5000 connected
}

@test "denied: QUIC, also to an allowed host" {
	denied "udp port 443" sh -c "getent ahostsv4 good.test >/dev/null
		'$PYTHON' '$E2E/clients/net.py' udp $GOOD4 443"
	event verdict=denied reason=quic
}

@test "denied: TCP Fast Open puts no data into a denied SYN" {
	denied "host $EVIL4" "$PYTHON" "$E2E/clients/net.py" fastopen "$EVIL4" 5432
}

@test "denied: a name that a rule allows by mistake only" {
	POLICY=(--allow good.test --allow '*.good.test')
	run outside dig +tries=1 xgood.test
	[[ $(queries_at_R xgood.test) -eq 1 ]]
	run inside getent ahosts xgood.test
	[[ $status -ne 0 ]]
	[[ $(queries_at_R xgood.test) -eq 1 ]] || fail "a query reached the resolver"
}

# ---- odd answers of a trusted resolver --------------------------------------------------------

odd() { # NAME ADDRESS
	echo "dig +short +tries=1 +time=2 @$R3 $1 >/dev/null; curl -sS -m 10 -k --resolve $1:443:$2 https://$1/"
}

@test "answers: truncated over UDP, then TCP" {
	POLICY=(--allow tc.test --resolver "$R3")
	allowed sh -c "$(odd tc.test "$GOOD4")"
	grep -q '^query tcp tc.test' "$LAB_DIR/odd_dns.log"
}

@test "answers: thirty addresses teach the last one too" {
	POLICY=(--allow many.test --resolver "$R3")
	allowed sh -c "$(odd many.test "$GOOD4")"
}

@test "answers: one with another id teaches nothing, the right one does" {
	POLICY=(--allow wrongid.test --resolver "$R3")
	allowed sh -c "$(odd wrongid.test "$GOOD4")"
	denied "host $EVIL4" sh -c "$(odd wrongid.test "$EVIL4")"
}

@test "answers: records of other names beside the answer teach nothing" {
	POLICY=(--allow extra.test --allow widen.test --resolver "$R3")
	allowed sh -c "$(odd extra.test "$GOOD4")"
	denied "host $EVIL4" sh -c "$(odd extra.test "$EVIL4")"
	allowed sh -c "$(odd widen.test "$GOOD4")"
	denied "host $EVIL4" sh -c "$(odd widen.test "$EVIL4")"
}

@test "answers: TTL 0 is enough for the connection that follows" {
	POLICY=(--allow ttl0.test --resolver "$R3")
	allowed sh -c "$(odd ttl0.test "$GOOD4")"
}

@test "answers: a private address in a mapped form, or beside a public one" {
	POLICY=(--allow mapped.test --allow mixed.test --resolver "$R3")
	denied "host $PRIVATE4" sh -c "dig +short +tries=1 @$R3 mapped.test AAAA
		'$PYTHON' '$E2E/clients/net.py' tcp ::ffff:$PRIVATE4 5432"
	denied "host $PRIVATE4" sh -c "$(odd mixed.test "$PRIVATE4")"
}
