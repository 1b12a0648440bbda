#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Sockets and options that would carry bytes past the packet hook, or hide them from it. As root
# without capabilities, as root with all of them (--keep-caps), and as uid 65534.
# shellcheck disable=SC2030,SC2031,SC2034
load helpers

# The neighbours are looked up first: a packet that waits for that arrives in the wrong capture.
setup_file() {
	lab_up
	"$TOP/scripts/lab" exec "$LAB" curl -sS -o /dev/null -m 10 "http://[2001:db8:5a11::66]/"
	"$TOP/scripts/lab" exec "$LAB" curl -sS -o /dev/null -m 10 http://198.18.0.66/
}
teardown_file() { lab_down; }

# Every TECHNIQUE works outside; inside each is refused and no packet arrives.
refuse() { # FILTER TECHNIQUE...
	local filter=$1
	shift
	capture_start "$filter"
	run outside "$PYTHON" "$E2E/clients/sockets.py" try "$@"
	capture_stop
	[[ $status -eq 0 ]] || fail "does not even work outside"
	if [[ $filter != "$NOTHING" ]]; then
		[[ $(tcpdump -n -r "$CAPTURE" 2>/dev/null | wc -l) -ge $# ]] || fail "not all are seen outside"
	fi
	capture_start "$filter"
	run inside "$PYTHON" "$E2E/clients/sockets.py" try "$@"
	capture_stop
	# 1: none of them works (3: some do).
	[[ $status -eq 1 && -s $BATS_TEST_TMPDIR/ms ]] || fail "not refused inside"
	[[ $(tcpdump -n -r "$CAPTURE" 2>/dev/null | wc -l) -eq 0 ]] || fail "it arrived: $(capture_text)"
}

three_ways() { # FILTER TECHNIQUE...
	POLICY=(--allow good.test)
	refuse "$@"
	POLICY=(--allow good.test --user 65534:65534)
	refuse "$@"
}

# For techniques that send nothing.
NOTHING="port 1"
WIRE="(ip host 198.18.0.66 or ip6 host 2001:db8:5a11::66) and not (icmp6 and ip6[40] >= 133)"

@test "sockets: raw" {
	three_ways "$WIRE" raw_icmp raw_udp raw_hdrincl raw6_icmp
}

@test "sockets: raw, in a sandbox that keeps its capabilities" {
	POLICY=(--allow good.test --keep-caps)
	refuse "$WIRE" raw_icmp raw_udp raw_hdrincl raw6_icmp ping
}

@test "sockets: ping, which needs no privilege" {
	three_ways "$WIRE" ping ping6
}

@test "sockets: AF_PACKET" {
	three_ways "$WIRE" packet
	POLICY=(--allow good.test --keep-caps)
	refuse "$WIRE" packet
}

@test "sockets: UDP-Lite" {
	outside "$PYTHON" "$E2E/clients/sockets.py" try udplite || skip "this kernel has no UDP-Lite"
	three_ways "$WIRE" udplite
}

@test "sockets: binding to port 53, TCP and UDP" {
	refuse "$NOTHING" bind53_udp bind53_tcp6
	POLICY=(--allow good.test --keep-caps)
	refuse "$NOTHING" bind53_udp bind53_tcp6
	event kind=socket verdict=denied reason=bind_dns
}

@test "sockets: options: UDP_SEGMENT, SO_MARK, SO_ZEROCOPY, IP_OPTIONS, IPV6_RTHDR, low TTL, IP_TRANSPARENT" {
	three_ways "$NOTHING" udp_segment mark zerocopy ip_options ttl hops6 transparent
	event kind=socket verdict=denied reason=socket_option
	outside "$PYTHON" "$E2E/clients/sockets.py" try rthdr || skip "this kernel refuses the routing header by itself; the other options were tested"
	three_ways "$NOTHING" rthdr
}

@test "sockets: options, in a sandbox that keeps its capabilities" {
	POLICY=(--allow good.test --keep-caps)
	refuse "$NOTHING" udp_segment mark zerocopy ip_options ttl hops6 transparent
}

@test "sockets: TCP_ULP is for kTLS alone, whether the other protocol is loaded or not" {
	local user
	for user in 65534:65534 0:0; do
		POLICY=(--allow good.test --user "$user")
		run -0 inside "$PYTHON" -c '
import errno, socket
for name in b"smc", b"espintcp", b"tlsx", b"t", b"tls":
    for family in socket.AF_INET, socket.AF_INET6:
        try:
            socket.socket(family).setsockopt(socket.IPPROTO_TCP, 31, name)
        except OSError as error:
            print(name.decode(), errno.errorcode[error.errno])'
		[[ $(grep -c "EPERM" <<<"$output") -eq 8 && $output != *"tls EPERM"* ]] || fail "not so: $output"
		event kind=socket verdict=denied reason=socket_option
	done
}

@test "sockets: what programs do every day goes on working" {
	run -0 outside "$PYTHON" "$E2E/clients/sockets.py" try ordinary
	run inside "$PYTHON" "$E2E/clients/sockets.py" try ordinary
	[[ $status -eq 0 ]] || fail "denied by mistake"
	POLICY=(--allow good.test --user 65534:65534)
	run inside "$PYTHON" "$E2E/clients/sockets.py" try ordinary
	[[ $status -eq 0 ]] || fail "denied by mistake"
}

@test "sockets: datagrams with a control message, connected and not, as QUIC stacks send them" {
	local address
	POLICY=(--allow "$GOOD4" --allow "$GOOD6")
	for address in "$GOOD4" "$GOOD6" "::ffff:$GOOD4"; do
		run -0 outside "$CLIENTS/datagrams" control "$address" 5000
		run inside "$CLIENTS/datagrams" control "$address" 5000
		[[ $status -eq 0 ]] || fail "$address: denied by mistake"
		no_event verdict=denied
	done
	POLICY=(--allow good.test)
	run inside "$CLIENTS/datagrams" control "$EVIL4" 5000
	[[ $status -ne 0 ]] || fail "works inside"
	event verdict=denied "dst.addr=$EVIL4"
	no_event dst.addr=0.0.0.0
}

@test "sockets: SO_BROADCAST is accepted, as Go and Java set it on each datagram socket, and is not done" {
	local address
	POLICY=(--allow 198.18.0.0/24 --allow "$GOOD6")
	for address in "$GOOD4" "$GOOD6"; do
		allowed "$CLIENTS/datagrams" broadcast "$address" 5000
	done
	run inside "$CLIENTS/datagrams" broadcast 198.18.0.255 5000
	[[ $status -ne 0 && $output == *"Permission denied"* ]] || fail "a broadcast is sent"
	run inside "$CLIENTS/datagrams" broadcast 224.0.0.1 5000
	[[ $status -ne 0 ]] || fail "a multicast is sent"
	event verdict=denied reason=multicast
}

@test "sockets: a datagram connect that sends nothing is no denial, port 53 included (Go 1.23)" {
	local expected
	run -0 outside "$CLIENTS/datagrams" go "$GOOD4" "$GOOD6" "$EVIL4" 127.0.0.1
	expected=$output
	run inside "$CLIENTS/datagrams" go "$GOOD4" "$GOOD6" "$EVIL4" 127.0.0.1
	[[ $status -eq 0 && $output == *"$expected"* ]] || fail "another source address than outside"
	no_event verdict=denied
	capture_start "udp port 53 and host $EVIL4"
	run outside "$PYTHON" "$E2E/clients/net.py" udp "$EVIL4" 53 connected
	[[ $(capture_bytes) -gt 0 ]] || sleep 0.5
	capture_stop
	[[ $(capture_bytes) -gt 0 ]] || fail "the capture does not see it outside"
	capture_start "udp port 53 and host $EVIL4"
	run inside "$PYTHON" "$E2E/clients/net.py" udp "$EVIL4" 53 connected
	capture_stop
	[[ $status -ne 0 && $output == *"Operation not permitted"* ]] || fail "the first datagram is not denied"
	[[ $(capture_bytes) -eq 0 ]] || fail "bytes arrived: $(capture_text)"
	event verdict=denied reason=untrusted_resolver
}
