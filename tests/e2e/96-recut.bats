#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Streams that are cut into segments over real sockets get the verdict that they get whole: a sample of
# what tests/unit/test_recut.c does with all of them. Many connections in one sandbox, because starting
# one takes seconds in a guest.
# shellcheck disable=SC2030,SC2031,SC2034
load helpers

SINK=198.18.0.4

setup_file() {
	lab_up
	cp -r "$TOP/tests/vectors" "$LAB_DIR/e2e/vectors"
	chmod -R a+rX "$LAB_DIR/e2e/vectors"
	lab serve "$LAB" ip addr add $SINK/15 dev eth0
	nsenter --net="/run/netns/sp-$LAB-srv" "$PYTHON" "$TOP/tests/e2e/clients/recut.py" serve $SINK 443 80 53 \
		</dev/null >"$LAB_DIR/sink.out" 2>&1 3>&- 4>&- &
	echo $! >"$LAB_DIR/sink.pid"
	wait_for_listener "sp-$LAB-srv" tcp/$SINK/443 tcp/$SINK/80 tcp/$SINK/53
	# names that the vectors carry, without a look-up
	cat >"$LAB_DIR/recut.json" <<-JSON
		{"version": 1,
		 "rules": [{"allow": ["api.github.com"], "ports": [80, 443]}],
		 "dns": {"resolvers": ["$SINK"], "static": {"api.github.com": ["$SINK"]}}}
	JSON
}

teardown_file() {
	[[ ! -s $LAB_DIR/sink.pid ]] || kill "$(<"$LAB_DIR/sink.pid")" 2>/dev/null || true
	lab_down
}

# Outside every case passes, and is cut where it says; inside each gets its verdict, whole or cut.
recut() { # PORT CASE...
	local port=$1 where
	shift
	POLICY=(--policy "$LAB_DIR/recut.json")
	for where in outside inside; do
		capture_start "tcp and host $SINK"
		run "$where" "$PYTHON" "$E2E/clients/recut.py" send $SINK "$port" "$LAB_DIR/e2e/vectors" "$@"
		capture_stop
		[[ $status -eq 0 ]] || fail "the client failed $where"
		[[ ${#lines[@]} -ge $# ]] || fail "not all cases were tried $where"
		echo "$output" >"$BATS_TEST_TMPDIR/$where"
		run "$PYTHON" "$E2E/clients/recut.py" check "$CAPTURE" "$BATS_TEST_TMPDIR/$where" "$where" \
			"$LAB_DIR/e2e/vectors"
		[[ $status -eq 0 ]] || fail "$where"
	done
}

cuts() { # VERDICT NAME CUTS...: cases, the first of them uncut
	local verdict=$1 name=$2 cut
	shift 2
	for cut in - "$@"; do echo "$verdict:$name:$cut"; done
}

@test "re-cut: ClientHellos that are allowed, and that are not" {
	local cases
	mapfile -t cases < <(
		cuts + tls/client-openssl 1 4 5 6 9 100 318 319 5,9 1,2,3 every1 every64
		cuts + tls/client-chrome 1448 5,1000 every100
		cuts + tls/records-openssl-of-200 37 5,42 204,206 every37 every1
		cuts - tls/sni-evil-prefix 1 5 43 100 5,9 every1 every20
		cuts - tls/no-sni 1 40 every10
		cuts - tls/sni-twice 1 5,60 every10
		cuts - tls/records-name-bad 5 every20
		# the name is not in the first record
		cuts - tls/records-openssl-of-32 37 every37
	)
	recut 443 "${cases[@]}"
	event kind=handshake verdict=denied reason=tls_no_sni
	event kind=handshake verdict=denied reason=tls_sni_malformed
}

@test "re-cut: request heads that are allowed, and that are not" {
	local cases
	mapfile -t cases < <(
		cuts + http/client-curl 1 4 10 16 30,40 every1 every7
		cuts + http/length-before-host 1 20 every5
		cuts - http/host-evil-prefix 1 4 20 25,30 every1 every7
		cuts - http/host-two 1 30 every9
		cuts - http/length-and-transfer 1 30 every9
		cuts - http/bare-lf-smuggled-host 1 30 every9
	)
	recut 80 "${cases[@]}"
	event kind=handshake verdict=denied reason=http_host
	event kind=handshake verdict=denied reason=http_framing
}

@test "re-cut: DNS over TCP is decided in whole messages, behind their length or with it, or denied" {
	local cases
	mapfile -t cases < <(
		cuts + dns/query-all-other-bits
		echo "+:dns/query-all-other-bits:2" # the length by itself, as hickory writes it
		for at in 1 3 14 20 1,2 every1 every5; do echo "-:dns/query-all-other-bits:$at"; done
		cuts - dns/query-qdcount-2 1 2 every7
	)
	recut 53 "${cases[@]}"
	event verdict=denied reason=dns_segment
}
