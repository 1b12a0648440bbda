#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Resolvers behind a NAT of the client's own host: the packet hook sees another port or address.
# shellcheck disable=SC2030,SC2031,SC2034
load helpers

setup_file() {
	lab_up
	# Docker's way: a resolver on 127.0.0.11 of which only the DNAT rule knows the port.
	nsenter --net="/run/netns/sp-$LAB-cli" dnsmasq -C /dev/null -k -R -h --user=root --pid-file= \
		--bind-interfaces --listen-address=127.0.0.11 --port=35353 --log-queries \
		--log-facility="$LAB_DIR/nat.log" --local=/test/ --server="$R" \
		--host-record=good.test,198.18.0.2 --host-record=evil.test,198.18.0.66 >/dev/null 2>&1 3>&- &
	echo $! >"$BATS_FILE_TMPDIR/nat.pid"
	wait_for_listener "sp-$LAB-cli" udp/127.0.0.11/35353 tcp/127.0.0.11/35353
	nsenter --net="/run/netns/sp-$LAB-cli" nft -f - <<-NFT
		table ip nat {
			chain output {
				type nat hook output priority -100;
				ip daddr 127.0.0.11 udp dport 53 dnat to 127.0.0.11:35353
				ip daddr 127.0.0.11 tcp dport 53 dnat to 127.0.0.11:35353
				ip daddr 198.18.0.99 udp dport 53 dnat to 198.18.0.53:53
				ip daddr 198.18.0.99 tcp dport 53 dnat to 198.18.0.53:53
				ip daddr 203.0.113.9 tcp dport 443 dnat to 198.18.0.66:443
			}
		}
	NFT
	echo 'nameserver 127.0.0.11' >"$LAB_DIR/nat.conf"
	echo 'nameserver 198.18.0.99' >"$LAB_DIR/nat2.conf"
}

teardown_file() {
	[[ ! -s $BATS_FILE_TMPDIR/nat.pid ]] || kill "$(<"$BATS_FILE_TMPDIR/nat.pid")" 2>/dev/null || true
	lab_down
}

nat_queries() {
	grep -cE "query\[[A-Z0-9=]+\] $1 " "$LAB_DIR/nat.log" || true
}

@test "nat: 127.0.0.11, port rewritten: names are allowed and taught" {
	export SP_LAB_RESOLV=$LAB_DIR/nat.conf
	allowed curl -4 -sS --cacert "$CA" https://good.test/
	allowed dig +short +tries=1 +tcp good.test
}

@test "nat: 127.0.0.11 by --resolver" {
	export SP_LAB_RESOLV=$LAB_DIR/nat.conf
	POLICY+=(--resolver 127.0.0.11)
	allowed curl -4 -sS --cacert "$CA" https://good.test/
}

@test "nat: 127.0.0.11: denied names are answered at once and reach no resolver" {
	local before
	export SP_LAB_RESOLV=$LAB_DIR/nat.conf
	denied "host $EVIL4" curl -4 -sS -m 10 http://evil.test/
	[[ $status -eq 6 ]] || fail "not \"could not resolve\""
	before=$(nat_queries evil.test)
	[[ $before -gt 0 ]]
	run inside dig +tries=1 +time=2 evil.test
	[[ $output == *NXDOMAIN* ]] || fail "no NXDOMAIN"
	run inside dig +tcp +tries=1 +time=2 evil.test
	[[ $(nat_queries evil.test) -eq $before ]] || fail "a query reached the resolver"
	[[ $(last_ms) -lt $((1000 * SLOW)) ]] || fail "not at once"
}

@test "nat: a resolver at another address" {
	export SP_LAB_RESOLV=$LAB_DIR/nat2.conf
	allowed curl -4 -sS --cacert "$CA" https://good.test/
	denied "host $EVIL4" curl -4 -sS -m 10 http://evil.test/
	[[ $(last_ms) -lt $((1000 * SLOW)) ]]
}

@test "nat: the resolver's hidden port cannot be dialled instead" {
	export SP_LAB_RESOLV=$LAB_DIR/nat.conf
	local before
	run -0 outside dig +short +tries=1 +time=2 -p 35353 @127.0.0.11 good.test
	before=$(nat_queries evil.test)
	run inside dig +short +tries=1 +time=2 -p 35353 @127.0.0.11 evil.test
	[[ $status -ne 0 ]] || fail "answered"
	[[ $(nat_queries evil.test) -eq $before ]] || fail "a query reached the resolver"
}

@test "nat: a DNAT to a denied address does not open it" {
	denied "host $EVIL4" curl -sS -k -m 10 https://203.0.113.9/
}
