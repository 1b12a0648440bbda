#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# loopback "own": a sandbox reaches its own listeners on 127/8 and ::1 and nobody else's.
# shellcheck disable=SC2030,SC2031,SC2034
load helpers

setup_file() {
	lab_up
	nsenter --net="/run/netns/sp-$LAB-cli" "$PYTHON" "$E2E/clients/listen.py" "$LAB_DIR/foreign" \
		127.0.0.1 127.0.0.9 ::1 >/dev/null 2>&1 3>&- &
	echo $! >"$BATS_FILE_TMPDIR/foreign.pid"
	wait_for_file "$LAB_DIR/foreign.ready"
}

teardown_file() {
	[[ ! -s $BATS_FILE_TMPDIR/foreign.pid ]] || kill "$(<"$BATS_FILE_TMPDIR/foreign.pid")" 2>/dev/null || true
	lab_down
}

arrived() {
	wc -l <"$LAB_DIR/foreign.log"
}

# The oracle is the foreign listener itself: it logs every connection and datagram.
foreign_denied() { # tcp|udp ADDRESS
	local before
	before=$(arrived)
	run outside "$PYTHON" "$E2E/clients/net.py" "$1" "$2" 7777
	[[ $status -eq 0 && $(arrived) -gt $before ]] || fail "does not even work outside"
	before=$(arrived)
	run inside "$PYTHON" "$E2E/clients/net.py" "$1" "$2" 7777
	[[ $status -ne 0 ]] || fail "works inside"
	[[ $(last_ms) -lt $((1000 * SLOW)) ]] || fail "not at once: $(last_ms) ms"
	sleep 0.2
	[[ $(arrived) -eq $before ]] || fail "it arrived"
}

@test "loopback: own listener, TCP and UDP, IPv4 and IPv6" {
	local address
	for address in 127.0.0.1 127.0.0.5 ::1; do
		run inside "$PYTHON" "$E2E/clients/listen.py" --self "$address"
		[[ $status -eq 0 ]] || fail "own listener on $address is not reached"
	done
}

@test "loopback: own listener on all addresses" {
	run inside "$PYTHON" "$E2E/clients/listen.py" --self 0.0.0.0 127.0.0.1
	[[ $status -eq 0 ]] || fail "0.0.0.0"
	run inside "$PYTHON" "$E2E/clients/listen.py" --self :: ::1
	[[ $status -eq 0 ]] || fail "::"
}

@test "loopback: a foreign TCP listener on 127.0.0.1, 127.0.0.9 and ::1" {
	foreign_denied tcp 127.0.0.1
	event verdict=denied reason=loopback_foreign
	foreign_denied tcp 127.0.0.9
	foreign_denied tcp ::1
	foreign_denied tcp ::ffff:127.0.0.1
}

@test "loopback: a foreign UDP listener" {
	foreign_denied udp 127.0.0.1
	foreign_denied udp ::1
}

@test "loopback: a foreign listener through the address of the host's own interface" {
	nsenter --net="/run/netns/sp-$LAB-cli" "$PYTHON" "$E2E/clients/listen.py" "$LAB_DIR/eth" \
		198.18.0.1 >/dev/null 2>&1 3>&- &
	echo $! >"$BATS_TEST_TMPDIR/eth.pid"
	wait_for_file "$LAB_DIR/eth.ready"
	run -0 outside "$PYTHON" "$E2E/clients/net.py" tcp 198.18.0.1 7777
	run inside "$PYTHON" "$E2E/clients/net.py" tcp 198.18.0.1 7777
	[[ $status -ne 0 ]] || fail "works inside"
	[[ $(last_ms) -lt $((1000 * SLOW)) ]] || fail "not at once"
}

@test "loopback: nothing listens: refused at once, as anywhere" {
	run inside "$PYTHON" "$E2E/clients/net.py" tcp 127.0.0.1 7
	[[ $status -eq 1 && $(last_ms) -lt $((1000 * SLOW)) ]] || fail "$(last_ms) ms"
}

@test "loopback: allow and deny" {
	echo '{ "version": 1, "loopback": "allow", "rules": [] }' >"$BATS_TEST_TMPDIR/allow.json"
	echo '{ "version": 1, "loopback": "deny", "rules": [] }' >"$BATS_TEST_TMPDIR/deny.json"
	POLICY=(--policy "$BATS_TEST_TMPDIR/allow.json")
	allowed "$PYTHON" "$E2E/clients/net.py" tcp 127.0.0.1 7777
	POLICY=(--policy "$BATS_TEST_TMPDIR/deny.json")
	foreign_denied tcp 127.0.0.1
	run inside "$PYTHON" "$E2E/clients/listen.py" --self 127.0.0.1
	[[ $status -ne 0 ]] || fail "own listener is reached under deny"
}

@test "loopback: inbound from outside is answered, or not under inbound: deny" {
	local d=$BATS_TEST_TMPDIR pid
	echo '{ "version": 1, "inbound": "deny", "rules": [] }' >"$d/deny.json"
	for POLICY in "--quiet" "--policy=$d/deny.json"; do
		rm -f "$d/in.ready"
		"$TOP/scripts/lab" exec "$LAB" timeout $((30 * SLOW)) "$SALLYPORT" run "$POLICY" -- \
			timeout $((20 * SLOW)) "$PYTHON" "$E2E/clients/listen.py" "$d/in" 198.18.0.1 >/dev/null 2>&1 3>&- &
		pid=$!
		wait_for_file "$d/in.ready" 20
		run lab serve "$LAB" "$PYTHON" "$E2E/clients/net.py" tcp 198.18.0.1 7777
		kill "$pid" # timeout, which tells sallyport, which tells the command
		wait "$pid" || true
		if [[ $POLICY == --quiet ]]; then
			[[ $status -eq 0 ]] || fail "inbound is not answered"
		else
			[[ $status -ne 0 ]] || fail "inbound is answered under deny"
		fi
	done
}

@test "loopback: 400 connections one after the other, over 200 ports that are in TIME_WAIT" {
	local range
	range=$(outside cat /proc/sys/net/ipv4/ip_local_port_range)
	nsenter --net="/run/netns/sp-$LAB-cli" sh -c 'echo "40000 40199" >/proc/sys/net/ipv4/ip_local_port_range'
	run inside "$PYTHON" "$E2E/clients/listen.py" --again 127.0.0.1
	nsenter --net="/run/netns/sp-$LAB-cli" sh -c "echo '$range' >/proc/sys/net/ipv4/ip_local_port_range"
	[[ $status -eq 0 ]] || fail "some are refused"
	no_event verdict=denied
}

@test "loopback: own listener by the addresses of the host's interface" {
	local address
	for address in 198.18.0.1 2001:db8:5a11::1; do
		run -0 outside "$PYTHON" "$E2E/clients/listen.py" --self "$address"
		run inside "$PYTHON" "$E2E/clients/listen.py" --self "$address"
		[[ $status -eq 0 ]] || fail "own listener on $address is not reached"
	done
	run inside "$PYTHON" "$E2E/clients/listen.py" --self 0.0.0.0 198.18.0.1
	[[ $status -eq 0 ]] || fail "0.0.0.0, by 198.18.0.1"
}

@test "loopback: rules that open it: one address, or a network within it, and no wider one" {
	local allow
	for allow in 127.0.0.1 127.0.0.1:7777 127.0.0.0/8 127.0.0.0/30; do
		POLICY=(--allow 0.0.0.0/0 --allow "$allow")
		allowed "$PYTHON" "$E2E/clients/net.py" tcp 127.0.0.1 7777
		allowed "$PYTHON" "$E2E/clients/net.py" udp 127.0.0.1 7777
	done
	POLICY=(--allow ::/0 --allow ::1)
	allowed "$PYTHON" "$E2E/clients/net.py" tcp ::1 7777
	POLICY=(--allow 0.0.0.0/0 --allow ::/0 --allow 126.0.0.0/7)
	foreign_denied tcp 127.0.0.1
	event verdict=denied reason=loopback_foreign
	foreign_denied udp 127.0.0.9
	foreign_denied tcp ::1
	run inside "$PYTHON" "$E2E/clients/listen.py" --self 127.0.0.1
	[[ $status -eq 0 ]] || fail "own listener is not reached"
}

@test "loopback: the addresses of the host's interface: a rule for one address opens it, and no wider one" {
	nsenter --net="/run/netns/sp-$LAB-cli" "$PYTHON" "$E2E/clients/listen.py" "$LAB_DIR/wide" \
		198.18.0.1 2001:db8:5a11::1 >/dev/null 2>&1 3>&- &
	echo $! >"$BATS_TEST_TMPDIR/wide.pid"
	wait_for_file "$LAB_DIR/wide.ready"
	local address kind
	for address in 198.18.0.1 2001:db8:5a11::1; do
		for kind in tcp udp; do
			POLICY=(--allow 0.0.0.0/0 --allow ::/0 --allow 198.18.0.0/24 --allow 2001:db8:5a11::/64)
			run inside "$PYTHON" "$E2E/clients/net.py" "$kind" "$address" 7777
			[[ $status -ne 0 ]] || fail "$kind to $address works inside"
			event verdict=denied reason=loopback_foreign "dst.addr=$address"
			POLICY=(--allow "$address")
			allowed "$PYTHON" "$E2E/clients/net.py" "$kind" "$address" 7777
		done
	done
	# what leaves the host is what it was
	POLICY=(--allow 198.18.0.0/24)
	allowed "$PYTHON" "$E2E/clients/net.py" udp "$GOOD4" 5000
}

@test "loopback: an address that a name has, and the host gets afterwards, opens no foreign listener; private_answers does" {
	local late=$BATS_TEST_TMPDIR/late four=198.18.0.9 six=2001:db8:5a11::9 way policy address protocol user before
	mkdir -p "$late"
	chmod 1777 "$late"
	policy='{ "version": 1, "rules": [ { "allow": ["**.odd.test"], "keep_addresses": %s, "ports": [7777],
		"protocol": ["tcp", "udp"] } ], "dns": { "resolvers": ["198.18.0.55"], "private_answers": [%s] } }'
	ip -n "sp-$LAB-cli" address add $four/32 dev eth0
	ip -n "sp-$LAB-cli" address add $six/128 dev eth0 nodad
	nsenter --net="/run/netns/sp-$LAB-cli" "$PYTHON" "$E2E/clients/listen.py" "$LAB_DIR/late" $four $six \
		>/dev/null 2>&1 3>&- &
	echo $! >"$BATS_TEST_TMPDIR/late.pid"
	wait_for_file "$LAB_DIR/late.ready"
	for way in true: false: 'false:"198.18.0.9/32", "2001:db8:5a11::9/128"'; do
		# shellcheck disable=SC2059
		printf "$policy" "${way%%:*}" "${way#*:}" >"$BATS_TEST_TMPDIR/policy.json"
		for user in root nobody; do
			POLICY=(--policy "$BATS_TEST_TMPDIR/policy.json" --user "$user")
			rm -f "$late/ready" "$late/done"
			ip -n "sp-$LAB-cli" address del $four/32 dev eth0
			ip -n "sp-$LAB-cli" address del $six/128 dev eth0
			( # gives the host the addresses when the sandbox has learned them
				for _ in $(seq $((200 * SLOW))); do
					[[ ! -e $late/ready ]] || break
					sleep 0.05
				done
				ip -n "sp-$LAB-cli" address add $four/32 dev eth0
				ip -n "sp-$LAB-cli" address add $six/128 dev eth0 nodad
				touch "$late/done"
			) 3>&- &
			before=$(wc -l <"$LAB_DIR/late.log")
			# shellcheck disable=SC2016
			run inside sh -c 'dig +short +tries=1 @198.18.0.55 a.c6120009.odd.test
				dig +short +tries=1 @198.18.0.55 AAAA a.20010db85a1100000000000000000009.odd.test
				touch "$0/ready"; until [ -e "$0/done" ]; do sleep 0.05; done
				for address in 198.18.0.9 2001:db8:5a11::9; do for protocol in tcp udp; do
					"$1" "$2" $protocol $address 7777 && echo "reached by $protocol"
				done; done; true' "$late" "$PYTHON" "$E2E/clients/net.py"
			[[ $output == *198.18.0.9*2001:db8:5a11::9* ]] || fail "not learned: $output"
			sleep 0.2
			if [[ -n ${way#*:} ]]; then
				[[ $(wc -l <"$LAB_DIR/late.log") -ge $((before + 4)) ]] || fail "private_answers: denied: $output"
			else
				[[ $output != *reached* && $(wc -l <"$LAB_DIR/late.log") -eq $before ]] || fail "it arrived: $output"
				event kind=connect verdict=denied reason=loopback_foreign
			fi
		done
	done
}

@test "loopback: UDP servers that set SO_REUSEADDR; SO_REUSEPORT is another matter" {
	run inside "$PYTHON" "$E2E/clients/listen.py" --self 127.0.0.1
	[[ $status -eq 0 ]] || fail "with SO_REUSEADDR"
	run inside "$PYTHON" "$E2E/clients/listen.py" --group 127.0.0.1
	[[ $status -eq 1 ]] || fail "with SO_REUSEPORT"
	event verdict=denied reason=loopback_shared
}

# Three clients outside, one after the other, are answered by what the sandbox runs at PORT.
served() { # PORT COMMAND...
	local d=$BATS_TEST_TMPDIR port=$1 pid n
	shift
	timeout $((60 * SLOW)) "$TOP/scripts/lab" exec "$LAB" "$SALLYPORT" run --quiet "${POLICY[@]}" -- "$@" \
		>"$d/served" 2>&1 3>&- &
	pid=$!
	wait_for_listener "sp-$LAB-cli" "udp/0.0.0.0/$port" || { kill "$pid" && return 1; }
	for n in 1 2 3; do
		run lab serve "$LAB" "$PYTHON" "$E2E/clients/net.py" udp 198.18.0.1 "$port"
		[[ $status -eq 0 ]] || break
	done
	kill "$pid" 2>/dev/null || true
	wait "$pid" || true
	[[ $status -eq 0 ]] || fail "client $n is not answered: $output $(<"$d/served")"
}

@test "loopback: UDP servers that take a socket of their own for each client, by SO_REUSEADDR" {
	POLICY=(--allow 198.18.0.0/24)
	served 7778 "$PYTHON" "$E2E/clients/listen.py" --each 0.0.0.0 100
	echo "{ \"version\": 1, \"loopback\": \"deny\", \"rules\": [{\"allow\": [\"198.18.0.0/24\"]}] }" >"$BATS_TEST_TMPDIR/deny.json"
	POLICY=(--policy "$BATS_TEST_TMPDIR/deny.json")
	served 5998 socat UDP4-LISTEN:5998,fork,reuseaddr SYSTEM:cat
}

@test "loopback: UDP ports are shared only for that, and then are nobody's within" {
	run inside "$PYTHON" "$E2E/clients/listen.py" --reuse 0.0.0.0 "$GOOD4"
	[[ $status -eq 0 ]] || fail "IPv4: $output"
	event verdict=denied reason=loopback_shared
	run inside "$PYTHON" "$E2E/clients/listen.py" --reuse :: "$GOOD6"
	[[ $status -eq 0 ]] || fail "IPv6: $output"
}

# A server and a client of one sandbox, each moved to the cgroup below the sandbox's that is named.
nested() { # ADDRESS COUNT SERVER-CGROUP CLIENT-CGROUP
	local base=$BATS_TEST_TMPDIR/nested pid command server root cgroup status=0
	rm -f "$base".*
	: >"$EVENTS"
	root=$(awk '/ - cgroup2 / && $4 == "/" { print $5; exit }' /proc/self/mountinfo)
	"$TOP/scripts/lab" exec "$LAB" timeout $((120 * SLOW)) "$SALLYPORT" run --quiet --events "$EVENTS" -- \
		"$PYTHON" "$E2E/clients/nested.py" "$base" "$1" "$2" >"$base.out" 2>&1 3>&- &
	pid=$!
	wait_for_file "$base.ready" || { kill "$pid" && return 1; }
	command=$(command_of "$(command_of "$pid")")
	server=$(cat "/proc/$command/task"/*/children)
	cgroup=$root$(sed -n 's/^0:://p' "/proc/$command/cgroup")
	mkdir -p "$cgroup/$3" "$cgroup/$4"
	echo "$server" >"$cgroup/$3/cgroup.procs"
	echo "$command" >"$cgroup/$4/cgroup.procs"
	echo go >"$base.go"
	wait "$pid" || status=$?
	[[ $status -eq 0 ]] || fail "$1, server in $3, client in $4: status $status: $(<"$base.out")"
	event verdict=denied reason=loopback_foreign dst.port=7777
	no_event verdict=denied dst.port=7778
	[[ ! -d $cgroup ]] || fail "$cgroup is left"
}

@test "loopback: own listeners in cgroups below the sandbox's, and foreign ones" {
	local before
	before=$(arrived)
	nested 127.0.0.1 300 a/b .
	nested 127.0.0.1 300 . a
	nested ::1 300 a b/c/d
	[[ $(arrived) -eq $before ]] || fail "the host's listener was reached"
}
