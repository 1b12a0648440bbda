#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# What fails under sallyport: system calls and memory of its own, the process itself at each step, two
# dozen starts at once, every map full, clocks that jump. A command never gets out, and nothing is left.
# shellcheck disable=SC2030,SC2031,SC2034
load helpers

setup_file() {
	lab_up
	wide_up
	# It takes 20 s; the last test but two looks at the outcome.
	setsid "$TOP/scripts/lab" exec "$LAB" "$SALLYPORT" run --quiet --allow '**.wide.test:8080' \
		--resolver "$WIDE" --events "$LAB_DIR/pending.events" -- sh -c \
		"$(E2E=$LAB_DIR/e2e client full.py) pending $WIDE >$LAB_DIR/pending.out 2>&1; echo \$? >$LAB_DIR/pending.status" \
		</dev/null >"$LAB_DIR/pending.log" 2>&1 3>&- &
}
teardown_file() { lab_down; }

# Share of the system calls that is tried, drawn by a seed; all of them: SP_FAULTS=1. In a guest a start
# takes seconds (Linux 6.1 under TCG: 15 s with strace).
SHARE=${SP_FAULTS:-${SP_IN_VM:+0.02}}
SHARE=${SHARE:-0.1}

# A corner of the host for held.py: pins are in the bpffs of a PID namespace's first process.
CORNER=(unshare --mount --propagation private --pid --fork --kill-child=TERM --mount-proc)

faults() { # SET...
	local d=$BATS_TEST_TMPDIR/faults
	mkdir -p "$d"
	chmod 777 "$d"
	run -0 outside "$CLIENTS/timed" "$d/ms" curl -sS -k -m 5 "https://$EVIL4/"
	capture_start "host $EVIL4"
	run lab exec "$LAB" timeout -k 5 $((600 * SLOW)) "${CORNER[@]}" "$PYTHON" \
		"$TOP/tests/e2e/faults.py" --share "$SHARE" "$SALLYPORT" "$CLIENTS/probe" "$EVIL4" "$d" "$@" 3>&-
	capture_stop
	[[ $status -eq 0 ]] || fail "not as it must be"
	[[ $(capture_count) -eq 0 ]] || fail "packets arrived: $(capture_text)"
	printf '# %s\n' "${lines[@]}" >&3
}

# bats test_tags=any-kernel
@test "faults: a system call of the start fails: refused, with a word, and nothing is left" {
	faults errors
}

# bats test_tags=any-kernel
@test "faults: a system call fails while the programs are loaded" {
	SHARE=$(awk "BEGIN { print $SHARE / 6 }") faults cold
}

# bats test_tags=any-kernel
@test "faults: a step of the child before exec fails" {
	faults child
}

# bats test_tags=any-kernel
@test "faults: SIGKILL of sallyport at each step of start and end; of the child at each before exec" {
	faults kill killchild
}

# bats test_tags=any-kernel
@test "faults: the removal of a map fails at the end: the next start removes it" {
	faults ends
}

# bats test_tags=any-kernel
@test "faults: SIGSTOP and SIGCONT at each step, and interrupted calls, change nothing" {
	faults stop eintr
}

# bats test_tags=any-kernel
@test "faults: memory runs out in sallyport run" {
	faults memory
	SHARE=$(awk "BEGIN { print $SHARE / 10 }") faults coldmemory
}

# bats test_tags=any-kernel
@test "faults: twenty starts and ends at once, half of them killed" {
	faults crowd
}

# A policy from a pipe, a few bytes at a time; and cut off at many places.
# bats test_tags=any-kernel
@test "faults: a policy in short reads is read whole; one that is cut off is refused" {
	local d=$BATS_TEST_TMPDIR policy cut
	policy='{ "version": 1, "rules": [ { "allow": ["good.test"] } ], "name": "short" }'
	slowly() {
		local i
		for ((i = 0; i < ${#1}; i += 9)); do
			printf %s "${1:i:9}"
			sleep 0.005
		done
	}
	printf '#!/bin/bash\nexec %q run --quiet -p - -- getent ahostsv4 good.test\n' "$SALLYPORT" >"$d/run"
	chmod 755 "$d/run"
	slowly "$policy" | outside "$d/run" >"$d/out" 2>&1 || fail "not read: $(<"$d/out")"
	grep -q "$GOOD4" "$d/out" || fail "not in force: $(<"$d/out")"
	for ((cut = 0; cut < ${#policy}; cut += 15)); do
		run outside "$d/run" < <(slowly "${policy:0:cut}")
		[[ $status -eq 2 && $output == sallyport:* && $output != *"$GOOD4"* ]] || fail "cut at $cut"
	done
}

# ---- bounds: what SECURITY.md has in its tables -------------------------------------------------

# Writes a policy: what is learned lives 5 s (RULES is JSON).
short_lived() { # RULES
	cat >"$BATS_TEST_TMPDIR/policy.json" <<-JSON
		{ "version": 1, "rules": [ $1 ],
		  "dns": { "min_ttl": 1, "max_ttl": ${2:-5}, "resolvers": ["$WIDE", "$R"] } }
	JSON
	POLICY=(--json --policy "$BATS_TEST_TMPDIR/policy.json")
}

full() { # MODE [ARGUMENT]...: full.py in the sandbox
	local mode=$1
	shift
	# shellcheck disable=SC2046
	run inside $(client full.py) "$mode" "$WIDE" "$@"
	[[ $status -ne 77 ]] || skip "this kernel has no ${output##*# no }"
	[[ $status -eq 0 ]] || fail "$mode"
}

# The number of an "events_dropped" or the like in the summary that --json gives.
counted() { # KEY
	[[ $output =~ \"$1\":([0-9]+) ]] || fail "no $1"
	echo "${BASH_REMATCH[1]}"
}

# bats test_tags=any-kernel
@test "bounds: addresses: the 8,193rd is not learned; when some have expired there is room again" {
	short_lived '{ "allow": ["**.wide.test:8080"] }' $((5 * SLOW))
	full addresses
	event kind=answer verdict=denied reason=learned_full
	event kind=connect verdict=denied reason=not_learned dst.addr=198.19.195.80
}

# bats test_tags=any-kernel
@test "bounds: pairs: the 16,385th is not learned; when some have expired there is room again" {
	short_lived '{ "allow": ["**.wide.test:8080"] }' $((5 * SLOW))
	full pairs
	event kind=answer verdict=denied reason=learned_full
	event kind=connect verdict=denied reason=not_learned dst.addr=198.19.195.80
}

# bats test_tags=any-kernel
@test "bounds: names: beyond 4,096 connections go on, and their events lack the name" {
	POLICY=(--quiet --allow '**.wide.test:8080' --resolver "$WIDE")
	full names
	event kind=connect verdict=allowed dst.addr=198.19.195.80
	no_event kind=connect dst.addr=198.19.195.80 name=a50000.wide.test
}

@test "bounds: names of an address: the first of nine no longer opens a connection, until it is asked for again" {
	short_lived '{ "allow": ["a7-0.wide.test:8080"] }, { "allow": ["**.wide.test:9999"] }' 600
	full per_address
	event kind=connect verdict=denied dst.addr=198.19.0.7
}

@test "bounds: DNS over TCP: 128 queries of a segment are answered, 129 are refused" {
	short_lived '{ "allow": ["**.wide.test:8080"] }' 600
	full messages
	event kind=dns verdict=denied reason=dns_segment
}

@test "bounds: queries: when two of a socket wait already, the answers of others teach all the same" {
	POLICY=(--quiet --allow '**.wide.test:8080' --resolver "$WIDE")
	full waiting
	no_event verdict=denied
}

@test "bounds: handshakes in pieces: the 257th of a sandbox is refused; a buffer given back is used again" {
	POLICY=(--quiet --allow good.test --resolver "$WIDE" --resolver "$R")
	run inside sh -c "getent ahostsv4 good.test >/dev/null && exec $(client full.py) streams $WIDE"
	[[ $status -eq 0 ]] || fail "streams"
	event kind=handshake verdict=denied reason=streams_full
	event kind=handshake verdict=allowed
}

@test "bounds: a socket without memory left for options: its handshake is refused, not passed" {
	POLICY=(--quiet --allow good.test --resolver "$WIDE" --resolver "$R")
	run inside sh -c "getent ahostsv4 good.test >/dev/null && exec $(client full.py) memory $WIDE"
	[[ $status -ne 77 ]] || skip "this kernel has no TCP_MD5SIG"
	[[ $status -eq 0 ]] || fail "memory"
}

# The connections that the client's network namespace keeps track of.
tracked() { nsenter --net="/run/netns/sp-$LAB-cli" cat /proc/sys/net/netfilter/nf_conntrack_count; }

# Denials as many as COUNT; at most 256 in each 2^30 ns may have gone as far as connection tracking.
probed() { # MODE ADDRESS PORT [LEAST]
	local before after count=4000
	before=$(tracked)
	run inside "$PYTHON" "$E2E/clients/probes.py" "$1" "$2" "$3" "$count"
	[[ $status -eq 0 && $output =~ (^|$'\n')([0-9]+\.[0-9]+)" " && $output != *sent=* ]] || fail "$1 $2"
	after=$(tracked)
	# the first second and the last may be parts of one
	awk -v n=$((after - before)) -v all="$count" -v took="${BASH_REMATCH[2]}" -v least="${4:-1}" 'BEGIN {
		most = 256 * (int(took / 1.073741824) + 2)
		exit !(n >= least && n <= most && most < all)
	}' || fail "$1 $2: $((after - before)) of $count denials were tracked: $output"
}

# bats test_tags=any-kernel
@test "bounds: denials that only the packet hook can make: 256 a second reach connection tracking" {
	local address before least port=7000 netns=/run/netns/sp-$LAB-cli
	nsenter --net="$netns" nft 'add table inet sp_track; add chain inet sp_track out { type filter hook output priority 0; };
		add rule inet sp_track out ct state invalid accept' || skip "this kernel has no connection tracking"
	# shown outside: each is an entry
	before=$(tracked)
	for address in "$EVIL4" "$EVIL6"; do
		outside "$PYTHON" "$E2E/clients/probes.py" sendto "$address" 6999 1000 >&2
	done
	(($(tracked) - before >= 1900)) || fail "only $(($(tracked) - before)) entries outside"
	for address in "$EVIL4" "$EVIL6" "::ffff:$EVIL4"; do
		# a mapped address is looked at again by the hook of sendmsg(), before any packet
		least=1
		[[ $address != ::ffff:* ]] || least=0
		probed connected "$address" $((port++)) $least
		probed sendto "$address" $((port++))
		probed tcp "$address" $((port++))
	done
	nsenter --net="$netns" nft delete table inet sp_track
}

# The process that reads the rings is stopped; what is denied stays so, and what did not fit is counted.
@test "bounds: rings: with sallyport stopped denials go on, and what did not fit is counted by kind" {
	local d=$BATS_TEST_TMPDIR pid
	cat >"$d/script" <<-SCRIPT
		echo ready >'$d/ready'
		while ! test -e '$d/go'; do sleep 0.05; done
		$(client full.py) requests $WIDE 400 >'$d/requests' 2>&1; echo \$? >>'$d/requests'
		$(client full.py) datagrams $WIDE 2000 >'$d/datagrams' 2>&1; echo \$? >>'$d/datagrams'
		echo done >'$d/done'
		while ! test -e '$d/end'; do sleep 0.05; done
		$(client full.py) datagrams $WIDE 3
	SCRIPT
	setsid "$TOP/scripts/lab" exec "$LAB" "$SALLYPORT" run --json --events "$EVENTS" --allow good.test \
		--resolver "$WIDE" -- sh "$d/script" </dev/null >"$d/log" 2>&1 3>&- &
	pid=$!
	echo "$pid" >"$d/sallyport.pid"
	wait_for_file "$d/ready"
	capture_start "host $EVIL4 or (host $WIDE and port 53)"
	kill -STOP "$pid"
	echo go >"$d/go"
	wait_for_file "$d/done" 30
	capture_stop
	[[ $(tail -n 1 "$d/requests") -eq 0 ]] || fail "$(<"$d/requests")"
	[[ $(tail -n 1 "$d/datagrams") -eq 0 ]] || fail "$(<"$d/datagrams")"
	[[ $(capture_count) -eq 0 ]] || fail "packets arrived: $(capture_text)"
	kill -CONT "$pid"
	sleep 0.2
	: >"$EVENTS"
	echo end >"$d/end"
	wait "$pid" || true
	output=$(<"$d/log")
	# 128 KiB of events hold less than 700 records; 32 KiB of requests less than 90.
	[[ $(counted connect) -gt 1000 ]] || fail "events lost, but not counted"
	[[ $(counted requests_dropped) -gt 0 ]] || fail "requests lost, but not counted"
	echo "# lost and counted: $(counted connect) events of connections, $(counted requests_dropped) requests" >&3
	# Afterwards events come again.
	event kind=connect verdict=denied dst.addr="$EVIL4"
}

# bats test_tags=any-kernel
@test "bounds: a reader of events that does not read: 1 MiB is kept, the rest counted; denials are not slower" {
	local fifo=$BATS_TEST_TMPDIR/fifo
	mkfifo "$fifo"
	exec 9<>"$fifo"
	# shellcheck disable=SC2046
	run inside --events "$fifo" --resolver "$WIDE" -- $(client full.py) datagrams "$WIDE" 6000
	[[ $status -eq 0 ]] || fail "datagrams"
	[[ $output =~ ([0-9]+)" events were not written" && ${BASH_REMATCH[1]} -gt 1000 ]] || fail "lost, but not said"
	[[ $(last_ms) -lt $((5000 * SLOW)) ]] || fail "$(last_ms) ms"
}

# bats test_tags=any-kernel
@test "bounds: denials on the terminal: 768 different ones, then they are only counted" {
	# shellcheck disable=SC2046
	run inside --resolver "$WIDE" -- $(client flood.py) denied 1 "$WIDE"
	[[ $(grep -c 'denied x[0-9]*.evil.test' <<<"$output") -eq 768 ]] || fail "not 768"
	[[ $output == *"further denials are only counted"* ]] || fail "not said"
	[[ $output =~ ([0-9]+)" denied (768 different)" && ${BASH_REMATCH[1]} -gt 768 ]] || fail "not counted"
}

# bats test_tags=any-kernel
@test "bounds: a policy with one resolver, range, level or byte too many is refused" {
	local d=$BATS_TEST_TMPDIR one
	"$PYTHON" - "$d" <<-'PYTHON'
		import json, sys
		def write(name, text):
		    open(f"{sys.argv[1]}/{name}.json", "w").write(text)
		def dns(key, values):
		    return json.dumps({"version": 1, "dns": {key: values}})
		for name, more in (("fits", 0), ("over", 1)):
		    write(f"resolvers-{name}", dns("resolvers", [f"192.0.2.{n}" for n in range(8 + more)]))
		    write(f"private-{name}", dns("private_answers", [f"10.{n}.0.0/16" for n in range(16 + more)]))
		    text = '{"version": 1}'
		    write(f"size-{name}", text + " " * ((64 << 20) + more - len(text)))
		write("depth-over", '{"version": 1, "rules": ' + "[" * 64 + "]" * 64 + "}")
	PYTHON
	for one in resolvers private size; do
		run "$SALLYPORT" check "$d/$one-fits.json"
		[[ $status -eq 0 ]] || fail "$one: what fits is refused"
	done
	for one in resolvers private size depth; do
		run "$SALLYPORT" run -p "$d/$one-over.json" -- touch "$d/ran"
		[[ $status -eq 2 && $output == *sallyport:* && ! -e $d/ran ]] || fail "$one: not refused"
	done
}

# 20 s is how long a query is waited for: started by setup_file.
# bats test_tags=any-kernel
@test "bounds: queries without an answer: beyond two of a socket the 4,097th is not sent; after 20 s there is room again" {
	wait_for_file "$LAB_DIR/pending.status" 40
	output=$(<"$LAB_DIR/pending.out")
	[[ $(<"$LAB_DIR/pending.status") -eq 0 ]] || fail "pending"
	EVENTS=$LAB_DIR/pending.events
	event kind=dns verdict=denied reason=pending_full
}

# The bound of the host: by what slots are, directories in bpffs with an owner that lives. 2,048 real
# sandboxes would take minutes.
# bats test_tags=any-kernel
@test "bounds: with 2,048 sandboxes there is no other: exit 1, the command is not started" {
	local d=$BATS_TEST_TMPDIR
	cat >"$d/slots.py" <<-'PYTHON'
		import fcntl, os, resource, subprocess, sys
		sys.path.insert(0, sys.argv[1])
		import held
		held.own_mounts()
		cgroup = held.enter_cgroup("slots")
		run = [sys.argv[2], "run", "--quiet", "--", "touch", sys.argv[3]]
		try:
		    subprocess.run(run, check=True)
		    os.unlink(sys.argv[3])
		    build = os.path.join(held.BPFFS, "sallyport", os.listdir(held.BPFFS + "/sallyport")[0])
		    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
		    owners = []
		    for slot in range(held.SLOTS):
		        os.mkdir(f"{build}/boxes/{slot}")
		        owners.append(os.open(f"{build}/boxes/{slot}", os.O_RDONLY))
		        fcntl.flock(owners[-1], fcntl.LOCK_EX)
		    last = subprocess.run(run, stdin=subprocess.DEVNULL, capture_output=True, text=True)
		    print(last.returncode, last.stderr.strip(), os.path.exists(sys.argv[3]))
		    for slot, owner in enumerate(owners):
		        os.close(owner)
		        os.rmdir(f"{build}/boxes/{slot}")
		    subprocess.run(run, check=True)
		    print("then", os.path.exists(sys.argv[3]), held.leftovers(cgroup))
		finally:
		    held.leave_cgroup(cgroup)
	PYTHON
	run -0 lab exec "$LAB" timeout $((60 * SLOW)) "${CORNER[@]}" "$PYTHON" \
		"$d/slots.py" "$TOP/tests/e2e" "$SALLYPORT" "$d/ran" 3>&-
	[[ ${lines[0]} == "1 sallyport: there are already 2048 sandboxes on this host False" ]] || fail "not refused"
	[[ ${lines[1]} == "then True []" ]] || fail "does not recover"
}

# bats test_tags=any-kernel
@test "soak: some seconds of churn beside sandboxes that come and go: flat, and nothing is left" {
	run env SALLYPORT="$SALLYPORT" "$TOP/tests/soak/run" --seconds $((12 * SLOW)) \
		--out "$BATS_TEST_TMPDIR/soak" 3>&-
	[[ $status -eq 0 ]] || fail "soak"
	printf '# %s\n' "${lines[@]:0:3}" >&3
}

# ---- clocks -------------------------------------------------------------------------------------

# What is learned lives by CLOCK_MONOTONIC. Setting the clock is for a guest only.
@test "faults: the clock is set forward and back: what is learned lives as long as it did" {
	[[ ${SP_IN_VM:-} ]] || skip "sets the clock: only in a VM"
	local d=$BATS_TEST_TMPDIR
	short_lived '{ "allow": ["**.wide.test:8080"] }' 5
	cat >"$d/script" <<-SCRIPT
		set -e
		address=\$(dig +short @$WIDE a9.wide.test)
		reach() { $(client net.py) tcp \$address 8080; }
		reach
		echo >'$d/forward'; while ! test -e '$d/forward.done'; do sleep 0.1; done
		reach
		echo >'$d/back'; while ! test -e '$d/back.done'; do sleep 0.1; done
		reach
		# used until now, so it is kept for a minute more
		sleep 67
		! reach
		echo as it must be
	SCRIPT
	{
		wait_for_file "$d/forward" 20
		date -s '+10 days' >/dev/null
		touch "$d/forward.done"
		wait_for_file "$d/back" 20
		date -s '-20 days' >/dev/null
		touch "$d/back.done"
	} 3>&- &
	run inside sh "$d/script"
	date -s '+10 days' >/dev/null
	[[ $status -eq 0 && $output == *"as it must be"* ]] || fail "not as without"
}
