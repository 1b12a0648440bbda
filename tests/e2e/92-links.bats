#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# The interface that packets leave by is one that the routes name, also when the routes change.
# shellcheck disable=SC2034
load helpers

setup_file() {
	lab_up
	ip netns add "sp-$LAB-cli-far"
}
teardown_file() {
	ip netns del "sp-$LAB-cli-far" 2>/dev/null || true
	lab_down
}

# A second link, as a VPN brings one up; its routes go with it.
link_up() {
	ip link add tun9 netns "sp-$LAB-cli" type veth peer name eth0 netns "sp-$LAB-cli-far"
	ip -n "sp-$LAB-cli-far" link set eth0 up
	ip -n "sp-$LAB-cli" link set tun9 up
	ip -n "sp-$LAB-cli" addr add 192.0.2.1/24 dev tun9
	ip -n "sp-$LAB-cli" neigh replace 192.0.2.2 lladdr 02:00:00:00:00:01 dev tun9 nud permanent
}
link_down() { ip -n "sp-$LAB-cli" link del tun9 2>/dev/null || true; }

route() { ip -n "sp-$LAB-cli" route "$@"; }

POLICY=(--quiet --allow 203.0.113.5:9999 --allow 203.0.113.6:9999)

watched() { # COMMAND...: that changes the routes while a sandbox sends; fails if it says another word than ok
	local file=$BATS_TEST_TMPDIR/go pid
	rm -f "$file"
	inside "$PYTHON" "$E2E/clients/links.py" watch 203.0.113.5 "$file" >"$BATS_TEST_TMPDIR/said" 2>&1 &
	pid=$!
	wait_for_file "$BATS_TEST_TMPDIR/said"
	"$@"
	echo >"$file"
	wait "$pid"
	output=$(<"$BATS_TEST_TMPDIR/said")
}

@test "links: a route that comes while a sandbox runs is followed, and one that goes" {
	link_up
	watched route add 203.0.113.0/24 via 192.0.2.2 dev tun9
	[[ $output == *"after ok" ]] || fail "not followed"
	# the kernel does not tell of the routes that go with a link
	watched link_down
	[[ $output == *"after ok" ]] || fail "not followed back"
}

@test "links: a whole link comes up while a sandbox runs" {
	up() {
		link_up
		route add 203.0.113.0/24 via 192.0.2.2 dev tun9
	}
	watched up
	[[ $output == *"after ok" ]] || fail "not followed"
	link_down
}

@test "links: by another link than the routes name: denied, with its reason; several routes: each" {
	link_up
	run inside "$PYTHON" "$E2E/clients/links.py" by tun9 203.0.113.5 203.0.113.6
	[[ $output == *"203.0.113.5 EPERM"*"203.0.113.6 EPERM"* ]] || fail "not denied"
	event reason=interface verdict=denied dst.addr=203.0.113.5
	run inside "$PYTHON" "$E2E/clients/links.py" by eth0 203.0.113.5
	[[ $output == *"203.0.113.5 ok"* ]] || fail "the right link"
	# one of lower preference counts too; another prefix does not
	route add 203.0.113.5/32 via 192.0.2.2 dev tun9 metric 50
	route add 203.0.113.5/32 via 198.18.0.254 dev eth0
	run inside "$PYTHON" "$E2E/clients/links.py" by tun9 203.0.113.5 203.0.113.6
	[[ $output == *"203.0.113.5 ok"*"203.0.113.6 EPERM"* ]] || fail "two routes"
	route del 203.0.113.5/32 dev eth0
	route del 203.0.113.5/32 dev tun9
	# several next hops
	route add 203.0.113.6/32 nexthop via 198.18.0.254 dev eth0 nexthop via 192.0.2.2 dev tun9
	run inside "$PYTHON" "$E2E/clients/links.py" by tun9 203.0.113.5 203.0.113.6
	[[ $output == *"203.0.113.5 EPERM"*"203.0.113.6 ok"* ]] || fail "next hops"
	route del 203.0.113.6/32
	link_down
}

@test "links: with policy routing any interface may be chosen, and says so only while it lasts" {
	link_up
	ip -n "sp-$LAB-cli" rule add to 203.0.113.99 table 1000
	run inside "$PYTHON" "$E2E/clients/links.py" by tun9 203.0.113.5
	ip -n "sp-$LAB-cli" rule del to 203.0.113.99 table 1000
	[[ $output == *"203.0.113.5 ok"* ]] || fail "denied under policy routing"
	run inside "$PYTHON" "$E2E/clients/links.py" by tun9 203.0.113.5
	[[ $output == *"203.0.113.5 EPERM"* ]] || fail "not denied any more"
	link_down
}

@test "links: audit_only says so, and lets it pass" {
	link_up
	run inside --mode audit_only -- "$PYTHON" "$E2E/clients/links.py" by tun9 203.0.113.5
	[[ $output == *"203.0.113.5 ok"* ]] || fail "blocked"
	event reason=interface verdict=would_deny
	link_down
}

@test "links: when run is killed the routes stay as they were" {
	local file=$BATS_TEST_TMPDIR/go pid
	link_up
	lab exec "$LAB" "$SALLYPORT" run "${POLICY[@]}" -- "$PYTHON" "$E2E/clients/links.py" watch 203.0.113.5 "$file" \
		>"$BATS_TEST_TMPDIR/said" 2>&1 3>&- &
	wait_for_file "$BATS_TEST_TMPDIR/said"
	pid=$(pgrep -f "^$SALLYPORT run .*watch 203.0.113.5 $file" | head -n 1)
	kill -KILL "$pid"
	route add 203.0.113.0/24 via 192.0.2.2 dev tun9
	echo >"$file"
	for ((i = 0; i < 100 * SLOW; i++)); do
		! grep -q after "$BATS_TEST_TMPDIR/said" || break
		sleep 0.1
	done
	output=$(<"$BATS_TEST_TMPDIR/said")
	[[ $output == *"before ok"*"after EPERM" ]] || fail "not as stated"
	link_down
}

@test "links: up to 4,096 prefixes of both families are kept; beyond them any interface may be chosen" {
	local n
	link_up
	for ((n = 0; n < 3900; n++)); do echo "route add 10.$((n / 256)).$((n % 256)).0/24 dev tun9"; done |
		ip -n "sp-$LAB-cli" -batch -
	run inside "$PYTHON" "$E2E/clients/links.py" by tun9 203.0.113.5
	[[ $output == *"203.0.113.5 EPERM"* ]] || fail "not denied below the bound"
	for ((n = 0; n < 300; n++)); do printf 'route add 2001:db8:ff:%x::/64 dev tun9\n' "$n"; done |
		ip -n "sp-$LAB-cli" -batch -
	run inside "$PYTHON" "$E2E/clients/links.py" by tun9 203.0.113.5
	[[ $output == *"203.0.113.5 ok"* ]] || fail "denied beyond the bound"
	link_down
	link_up
	run inside "$PYTHON" "$E2E/clients/links.py" by tun9 203.0.113.5
	[[ $output == *"203.0.113.5 EPERM"* ]] || fail "not denied any more"
	link_down
}
