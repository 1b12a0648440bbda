#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# SIGKILL of sallyport does not open the sandbox; the next start cleans up what it left.
# shellcheck disable=SC2030,SC2031,SC2034
load helpers

setup_file() { lab_up; }
teardown_file() { lab_down; }

# A PID namespace whose first process is in a mount namespace of its own: its bpffs is the one that counts.
CORNER=(unshare --mount --propagation private --pid --fork --kill-child=TERM --mount-proc)

# What sallyport keeps on this host: pins and cgroups.
leftovers() {
	find /sys/fs/bpf/sallyport 2>/dev/null | sort
	find /sys/fs/cgroup -type d -name '*sallyport*' 2>/dev/null | sort
}

# A start does not wait for what the kernel lets go of meanwhile, nor for the init of a PID namespace whose sallyport
# was killed: a later one removes it.
nothing_left() { # BEFORE
	local i
	for ((i = 0; i < 20 * SLOW; i++)); do
		[[ $(leftovers) != "$1" ]] || return 0
		sleep 0.2
		run inside true
	done
	fail "left: $(diff <(echo "$1") <(leftovers))"
}

# Pids below PID.
descendants() {
	local child
	# shellcheck disable=SC2013
	for child in $(cat /proc/"$1"/task/*/children 2>/dev/null); do
		echo "$child"
		descendants "$child"
	done
}

@test "survive: SIGKILL of sallyport leaves the sandbox enforced, and the next start cleans up" {
	local d=$BATS_TEST_TMPDIR pid before child
	# So that what the engine itself pins for good is there before.
	run inside true
	before=$(leftovers)

	cat >"$d/script" <<-SCRIPT
		getent ahostsv4 good.test >/dev/null
		echo \$\$ >'$d/child.pid'
		curl -sS -m 5 --cacert '$CA' https://good.test/ >'$d/before' 2>&1
		echo ready >'$d/ready'
		while ! test -e '$d/go'; do sleep 0.05; done
		curl -4 -sS -m 5 --cacert '$CA' https://good.test/ >'$d/good' 2>&1; echo \$? >>'$d/good'
		curl -sS -k -m 5 https://$EVIL4/ >'$d/bare' 2>&1; echo \$? >>'$d/bare'
		curl -sS -k -m 5 --resolve good.test:443:$EVIL4 https://good.test/ >'$d/sni' 2>&1; echo \$? >>'$d/sni'
		dig +tries=1 +time=1 @$R evil.test >'$d/query' 2>&1
		curl -sS -k -m 5 https://evil.test/ >'$d/name' 2>&1; echo \$? >>'$d/name'
		echo done >'$d/done'
		while ! test -e '$d/end'; do sleep 0.05; done
	SCRIPT
	setsid "$TOP/scripts/lab" exec "$LAB" "$SALLYPORT" run --quiet --allow good.test -- sh "$d/script" \
		</dev/null >"$d/log" 2>&1 3>&- &
	pid=$!
	echo "$pid" >"$d/sallyport.pid"
	wait_for_file "$d/ready" 20
	grep -q 'hello from good' "$d/before" || fail "good.test is denied: $(cat "$d/before" "$d/log")"
	run outside curl -sS -k -m 5 "https://$EVIL4/"
	[[ $status -eq 0 ]]

	child=$(command_of "$pid")
	kill -KILL "$pid"
	wait "$pid" || true
	kill -0 "$child" || fail "the command ended with sallyport"
	local queries
	queries=$(queries_at_R evil.test)
	capture_start "host $EVIL4 or host $EVIL6 or host $R"
	echo >"$d/go.tmp" && echo go >"$d/go"
	wait_for_file "$d/done" 30
	capture_stop
	tcpdump -n -r "$CAPTURE" "host $EVIL4 or host $EVIL6" 2>/dev/null | { ! grep . ; } || fail "packets arrived"
	[[ $(queries_at_R evil.test) -eq $queries ]] || fail "a denied query reached the resolver"
	[[ $(tail -n 1 "$d/good") -eq 0 ]] || fail "what was allowed is denied now: $(<"$d/good")"
	[[ $(tail -n 1 "$d/bare") -ne 0 && $(tail -n 1 "$d/sni") -ne 0 && $(tail -n 1 "$d/name") -ne 0 ]] ||
		fail "open: $(tail -n 1 "$d"/{bare,sni,name})"

	# Another start while a process is left: that sandbox stays enforced.
	run inside true
	run outside nsenter -t "$child" --net true
	rm -f "$d/done"
	[[ $(leftovers) != "$before" ]] || fail "the sandbox of a living process was removed"

	echo end >"$d/end"
	local i
	for ((i = 0; i < 100 * SLOW; i++)); do
		kill -0 "$child" 2>/dev/null || break
		sleep 0.05
	done
	run inside true
	[[ $status -eq 0 ]]
	nothing_left "$before"
}

@test "survive: a sandbox whose processes were all killed is removed by the next start" {
	local d=$BATS_TEST_TMPDIR pid before children
	run inside true
	before=$(leftovers)
	setsid "$TOP/scripts/lab" exec "$LAB" "$SALLYPORT" run --quiet --allow good.test -- \
		sh -c "echo \$\$ >'$d/child.pid'; sleep 300" </dev/null >"$d/log" 2>&1 3>&- &
	pid=$!
	echo "$pid" >"$d/sallyport.pid"
	wait_for_file "$d/child.pid" 20
	mapfile -t children < <(descendants "$pid")
	[[ $(leftovers) != "$before" ]] || fail "no cgroup or pin to be seen: this test cannot fail"
	kill -KILL "$pid" "${children[@]}"
	wait "$pid" || true
	sleep 0.2
	run inside true
	[[ $status -eq 0 ]]
	nothing_left "$before"
}

@test "survive: where process 1 reaps nobody, nothing is left of a killed sallyport either" {
	local d=$BATS_TEST_TMPDIR pid before left
	run inside true
	before=$(leftovers)
	# as in a container without an init: the command, and sallyport, stay zombies
	cat >"$d/one.py" <<-'SCRIPT'
		import os, signal, sys, time
		sallyport, directory = sys.argv[1:]
		pid = os.spawnv(os.P_NOWAIT, sallyport, [sallyport, "run", "--quiet", "--", "sh", "-c", f"""
		    (sleep 1; echo later >{directory}/later) &
		    echo ready >{directory}/ready
		    while ! test -e {directory}/end; do sleep 0.05; done"""])
		while not os.path.exists(f"{directory}/ready"):
		    time.sleep(0.05)
		os.kill(pid, signal.SIGKILL)
		with open(f"{directory}/end", "w") as file:
		    file.write("end")
		while True:
		    time.sleep(10)
	SCRIPT
	"$TOP/scripts/lab" exec "$LAB" env -u SUDO_UID -u SUDO_GID \
		unshare --mount --propagation private --pid --fork --kill-child=KILL --mount-proc "$PYTHON" "$d/one.py" "$SALLYPORT" "$d" \
		>"$d/log" 2>&1 3>&- &
	pid=$!
	echo "$pid" >"$d/sallyport.pid"
	wait_for_file "$d/end" 20
	[[ $(leftovers) != "$before" ]] || fail "no cgroup or pin to be seen: this test cannot fail"
	wait_for_file "$d/later" 20
	nothing_left "$before"
	kill -0 "$pid" || fail "process 1 has ended: this test cannot fail"
	mapfile -t left < <(descendants "$pid")
	kill -KILL "${left[@]}" "$pid"
}

@test "survive: what CMD leaves running stays enforced after sallyport ended" {
	local d=$BATS_TEST_TMPDIR
	run -0 outside curl -sS -k -m 5 "https://$EVIL4/"
	run -0 lab exec "$LAB" timeout $((20 * SLOW)) "$SALLYPORT" run --quiet --allow good.test -- sh -c \
		"setsid sh -c 'echo \$\$ >$d/left.pid; while ! test -e $d/go; do sleep 0.05; done
			curl -sS -k -m 5 https://$EVIL4/ >$d/out 2>&1; echo \$? >$d/status' </dev/null >/dev/null 2>&1 &
		while ! test -s $d/left.pid; do sleep 0.05; done" 3>&-
	capture_start "host $EVIL4"
	echo go >"$d/go"
	wait_for_file "$d/status" 20
	capture_stop
	[[ $(<"$d/status") -ne 0 && $(capture_count) -eq 0 ]] || fail "open: $(<"$d/out")"
	rm -f "$d/left.pid"
}

# Under `ip netns exec` /sys is private, and so was the bpffs: its last user was the sandbox's own mount namespace.
left_without_mounts() { # HOW UID...: what goes before sallyport
	local d=$BATS_TEST_TMPDIR/$1 uid=$2
	shift 2
	mkdir -m 777 "$d"
	# shellcheck disable=SC2046
	run -0 lab exec "$LAB" timeout $((20 * SLOW)) "$@" "$SALLYPORT" run --user "$uid:$uid" --allow good.test -- \
		$(client lastmount.py) "$d" "$EVIL4" 443 3>&-
	[[ $output == *"stays enforced"* ]] || fail "what is left is not said"
	capture_start "host $EVIL4"
	echo go >"$d/go"
	wait_for_file "$d/out" 20
	capture_stop
	[[ $(<"$d/freed") == all ]] || fail "the mounts were kept, so this says nothing: $(<"$d/freed")"
	[[ $(<"$d/out") != open && $(capture_count) -eq 0 ]] || fail "free: $(<"$d/out")"
}

@test "survive: what is left running in a private bpffs does not free itself by giving up its mounts" {
	run -0 outside curl -sS -k -m 5 "https://$EVIL4/"
	left_without_mounts private 65534 unshare --mount --propagation private sh -c \
		'mount -t bpf -o mode=700 bpf /sys/fs/bpf && exec "$@"' sh
	left_without_mounts fresh 65534 unshare --mount --propagation private sh -c \
		'umount -l /sys && mount -t sysfs sysfs /sys && exec "$@"' sh
	left_without_mounts hosts 65534
}

@test "survive: with every pin removed the sandbox stays enforced, and the next start has new ones" {
	local d=$BATS_TEST_TMPDIR
	run -0 outside curl -sS -k -m 5 "https://$EVIL4/"
	capture_start "host $EVIL4"
	# shellcheck disable=SC2016
	run lab exec "$LAB" timeout $((30 * SLOW)) "${CORNER[@]}" sh -c '
		mount -t bpf -o mode=700 bpf /sys/fs/bpf
		"$1" run --quiet --allow good.test -- sh -c "
			echo ready >$2/ready; while ! test -e $2/go; do sleep 0.05; done
			curl -sS -k -m 5 https://$3/; echo status \$?" &
		while ! test -s "$2/ready"; do sleep 0.05; done
		rm "$(echo /sys/fs/bpf/sallyport/*/map_events)"
		"$1" run --quiet -- echo half
		rm -r /sys/fs/bpf/sallyport
		"$1" run --quiet -- echo again
		echo go >"$2/go"
		wait' sh "$SALLYPORT" "$d" "$EVIL4" 3>&-
	capture_stop
	[[ $output == *half*again* ]] || fail "no start after that"
	[[ $output == *"status 7" && $(capture_count) -eq 0 ]] || fail "open"
}

# A denied request that nobody took back stays in the socket's queue when the program ends, and the
# kernel sends it again and again. It must not leave when the sandbox is removed.
@test "survive: bytes that were denied do not leave after the end of the sandbox" {
	local d=$BATS_TEST_TMPDIR pid child
	run -0 outside curl -sS -k -m 5 --resolve "secret.test:443:$GOOD4" https://secret.test/
	setsid "$TOP/scripts/lab" exec "$LAB" "$SALLYPORT" run --quiet --allow good.test -- sh -c "
		echo \$\$ >'$d/child.pid'
		while ! test -e '$d/go'; do sleep 0.05; done
		getent ahostsv4 good.test >/dev/null
		timeout 1 curl -sS -k --resolve secret.test:443:$GOOD4 https://secret.test/
		timeout 1 dig +tcp +tries=1 +time=1 evil.test
		echo done >'$d/done'" </dev/null >"$d/log" 2>&1 3>&- &
	pid=$!
	echo "$pid" >"$d/sallyport.pid"
	wait_for_file "$d/child.pid" 20
	child=$(command_of "$pid")
	# Without its process, nothing resets what was denied.
	kill -KILL "$pid"
	wait "$pid" || true
	local queries
	queries=$(queries_at_R evil.test)
	capture_start "tcp and (host $GOOD4 or host $R)"
	echo go >"$d/go"
	wait_for_file "$d/done" 30
	local i
	for ((i = 0; i < 100 * SLOW; i++)); do
		kill -0 "$child" 2>/dev/null || break
		sleep 0.05
	done
	rm -f "$d/child.pid"
	run inside true
	# Retransmissions come after 0.2 s, 0.4 s, 0.8 s, ...
	sleep 4
	capture_stop
	[[ $(capture_count) -gt 0 ]] || fail "not even a handshake: this test cannot fail"
	[[ $(capture_bytes) -eq 0 ]] || fail "bytes arrived: $(capture_text)"
	[[ $(queries_at_R evil.test) -eq $queries ]] || fail "a denied query reached the resolver"
}

@test "survive: pins of another build go when nobody uses them, and not before" {
	local other=/sys/fs/bpf/sallyport/v1-${BATS_ROOT_PID:-0}
	run inside true
	mkdir -m 700 "$other" "$other/boxes"
	exec 9<"$other"
	flock -s 9
	run -0 inside true
	[[ -d $other/boxes ]] || fail "the pins of a build in use were removed"
	exec 9>&-
	run -0 inside true
	[[ ! -e $other ]] || fail "they were left"
}
