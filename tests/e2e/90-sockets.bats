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

@test "sockets: what programs do every day goes on working" {
	run -0 outside "$PYTHON" "$E2E/clients/sockets.py" try ordinary
	run inside "$PYTHON" "$E2E/clients/sockets.py" try ordinary
	[[ $status -eq 0 ]] || fail "denied by mistake"
	POLICY=(--allow good.test --user 65534:65534)
	run inside "$PYTHON" "$E2E/clients/sockets.py" try ordinary
	[[ $status -eq 0 ]] || fail "denied by mistake"
}
