#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# `sallyport run` as a way to start a program: statuses, signals, descriptors, rights, terminal.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034
load helpers

setup_file() { lab_up; }
teardown_file() { lab_down; }

# In the lab, without `timed` between sallyport and the command.
bare() {
	lab exec "$LAB" timeout -k 2 $((30 * SLOW)) "$SALLYPORT" run --quiet "$@" 3>&-
}

@test "run: the exit status is the command's" {
	local n
	run -127 bare -- sh -c 'exit 127'
	for n in 0 1 2 42 126 255; do
		run bare --allow good.test -- sh -c "exit $n"
		[[ $status -eq $n ]] || fail "not $n"
	done
}

@test "run: killed by a signal is 128 + its number" {
	run bare -- sh -c 'kill -KILL $$'
	[[ $status -eq 137 ]] || fail "not 137"
	run bare -- sh -c 'kill -TERM $$'
	[[ $status -eq 143 ]] || fail "not 143"
}

@test "run: 127 for a command that is missing, 126 for one that cannot be executed" {
	run -127 bare -- /no/such/command
	[[ $output == *"/no/such/command"* ]] || fail "not 127 with its name"
	run -127 bare -- no-such-command-anywhere
	echo data >"$BATS_TEST_TMPDIR/file"
	run bare -- "$BATS_TEST_TMPDIR/file"
	[[ $status -eq 126 && $output == *"$BATS_TEST_TMPDIR/file"* ]] || fail "not 126 with its name"
	run bare -- "$BATS_TEST_TMPDIR"
	[[ $status -eq 126 ]] || fail "a directory: not 126"
	# ping of many a distribution: it wants CAP_NET_RAW, and the kernel refuses it without
	cp "$(type -P true)" "$BATS_TEST_TMPDIR/capable"
	"$PYTHON" -c 'import os, struct, sys; os.setxattr(sys.argv[1], "security.capability", struct.pack("<5I", 0x2000001, 1 << 13, 0, 0, 0))' \
		"$BATS_TEST_TMPDIR/capable" || return 0
	run bare -- "$BATS_TEST_TMPDIR/capable"
	[[ $status -eq 126 && $output == *"capable: cannot execute: Operation not permitted: a file with capabilities"* ]] ||
		fail "not 126 with the reason"
	run bare
	[[ $status -eq 2 ]] || fail "no command: not 2"
}

# bats test_tags=any-kernel
@test "run: arguments, environment and directory arrive as they are" {
	cd "$BATS_TEST_TMPDIR"
	run -0 env SP_T='a b' "$TOP/scripts/lab" exec "$LAB" "$SALLYPORT" run --quiet -- \
		sh -c 'printf "<%s>" "$@"; echo "$SP_T"; pwd' x '' 'a  b' --allow '*' $'\n' 3>&-
	[[ $output == $'<><a  b><--allow><*><\n>a b\n'"$BATS_TEST_TMPDIR" ]] || fail "changed"
}

@test "run: standard input, output and error are passed through, a million bytes each way" {
	head -c 1000000 /dev/urandom >"$BATS_TEST_TMPDIR/in"
	bare -- cat <"$BATS_TEST_TMPDIR/in" >"$BATS_TEST_TMPDIR/out"
	cmp "$BATS_TEST_TMPDIR/in" "$BATS_TEST_TMPDIR/out"
	bare -- sh -c 'echo to-err >&2; echo to-out' 2>"$BATS_TEST_TMPDIR/err" >"$BATS_TEST_TMPDIR/out"
	grep -qx to-err "$BATS_TEST_TMPDIR/err"
	grep -qx to-out "$BATS_TEST_TMPDIR/out"
	[[ $(grep -c to-out "$BATS_TEST_TMPDIR/err") -eq 0 ]]
	# A reader that goes away ends the writer, as in any pipe.
	bare -- yes 2>/dev/null | head -n 1 | grep -qx y
}

@test "run: signals are forwarded" {
	local signal pid out=$BATS_TEST_TMPDIR/out i
	for signal in TERM INT HUP USR1 USR2; do
		rm -f "$out"
		# A session of its own: who sends the signal must not be of the same group.
		setsid "$TOP/scripts/lab" exec "$LAB" "$SALLYPORT" run --quiet -- "$PYTHON" -c '
import signal, sys, time
def got(number, frame):
    open(sys.argv[1] + ".got", "w").write(str(number))
    sys.exit(33)
signal.signal(getattr(signal, "SIG" + sys.argv[2]), got)
open(sys.argv[1], "w").write("ready")
while True: time.sleep(0.2)  # a signal just before a last sleep is never handled (CPython)' "$out" "$signal" 3>&- >/dev/null 2>&1 &
		pid=$!
		echo "$pid" >"$BATS_TEST_TMPDIR/run.pid"
		wait_for_file "$out" 20
		kill "-$signal" "$pid"
		i=0
		wait "$pid" || i=$?
		[[ $i -eq 33 && -s $out.got ]] || fail "$signal: status $i"
		rm -f "$out.got" "$BATS_TEST_TMPDIR/run.pid"
	done
}

# Who sends is outside the sandbox, whatever its process group: a script's kill, a supervisor, timeout, sudo.
@test "run: signals of a process of the same group are passed on" {
	local d=$BATS_TEST_TMPDIR command
	command="import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(33))
open(sys.argv[1], 'w').write('ready')
# a signal just before a last sleep is never handled (CPython)
while True: time.sleep(0.2)"
	# a script's kill $!
	run -33 timeout $((30 * SLOW)) sh -c '"$@" & p=$!; while ! test -s "$0"; do sleep 0.05; done; kill $p; wait $p' \
		"$d/script" "$TOP/scripts/lab" exec "$LAB" "$SALLYPORT" run --quiet -- "$PYTHON" -c "$command" "$d/script" 3>&-
	# Popen.terminate()
	run -33 timeout $((30 * SLOW)) "$PYTHON" -c '
import os, subprocess, sys, time
p = subprocess.Popen(sys.argv[2:])
while not os.path.exists(sys.argv[1]) or not os.path.getsize(sys.argv[1]): time.sleep(0.05)
p.terminate()
sys.exit(p.wait())' "$d/popen" "$TOP/scripts/lab" exec "$LAB" "$SALLYPORT" run --quiet -- "$PYTHON" -c "$command" "$d/popen" 3>&-
	# timeout --foreground stays in the group
	run timeout --foreground $((SLOW > 2 ? 8 : 3 * SLOW)) "$TOP/scripts/lab" exec "$LAB" "$SALLYPORT" run --quiet -- sleep 60 3>&-
	[[ $status -eq 124 ]] || fail "timeout --foreground: $status"
	# a negative one: kill(0) of the command is not sent back to it
	run -0 timeout $((30 * SLOW)) setsid -w "$TOP/scripts/lab" exec "$LAB" "$SALLYPORT" run --quiet -- "$PYTHON" -c '
import os, signal, time
count = 0
def got(*_):
    global count
    count += 1
signal.signal(signal.SIGUSR1, got)
os.kill(0, signal.SIGUSR1)
time.sleep(0.5)
print("signals", count)' 3>&-
	[[ $output == *"signals 1"* ]] || fail "not once: $output"
}

# In its PID namespace the shell has no number for the group that it was started in.
@test "run: after an interactive shell the terminal is the caller's again, also from what is left" {
	local script=$BATS_TEST_TMPDIR/script end
	for end in 'exit' "$PYTHON -c 'import os, signal, time
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTTOU])
if os.fork() == 0:
    os.setpgid(0, 0); os.tcsetpgrp(0, os.getpid()); open(\"$BATS_TEST_TMPDIR/took\", \"w\").write(\"x\"); time.sleep(3)
    os._exit(0)
while not os.path.exists(\"$BATS_TEST_TMPDIR/took\"): time.sleep(0.05)'"; do
		# without job control, as a script is: nobody else takes it back
		{
			printf '%s exec %s %s run -q -- ' "$TOP/scripts/lab" "$LAB" "$SALLYPORT"
			if [[ $end == exit ]]; then echo "bash --norc -ic 'set -m; sleep 0.1; exit 0'"; else echo "$end"; fi
			echo 'read line && echo "got <$line>"'
		} >"$script"
		run -0 "$PYTHON" "$E2E/clients/terminal.py" sh "$script" 3>&-
		[[ $output == *"got <typed>"* ]] || fail "the terminal is gone: $output"
	done
}

# PID 1 of a PID namespace, as in a container.
@test "run: as PID 1 it reaps what nobody waits for" {
	run -0 timeout $((30 * SLOW)) unshare --pid --fork --mount-proc "$SALLYPORT" run --quiet --mode audit_only -- sh -c '
		(sh -c "sleep 0.1 & exec sleep 0.2" &); sleep 1
		grep -lE "^[0-9]+ .* Z 1 " /proc/[0-9]*/stat; echo end' 3>&-
	[[ $output == end ]] || fail "zombies: $output"
}

@test "run: what the command leaves in the PID namespace goes on and is reaped; --kill-left ends it" {
	local d=$BATS_TEST_TMPDIR i
	run -5 bare -- sh -c "(setsid sh -c 'sleep 0.3 & sleep 0.6; grep -lE \"^[0-9]+ .* Z 1 \" /proc/[0-9]*/stat >$d/zombies
		echo late >$d/late' </dev/null >/dev/null 2>&1 &); exit 5"
	wait_for_file "$d/late" 20
	[[ ! -s $d/zombies ]] || fail "not reaped"
	run lab exec "$LAB" "$SALLYPORT" run --kill-left -- sh -c \
		"setsid sh -c 'sleep 2; echo late >$d/killed' </dev/null >/dev/null 2>&1 & sleep 0.2" 3>&-
	[[ $status -eq 0 && $output == *"left and killed"* ]] || fail "not said: $output"
	sleep 2.5
	[[ ! -e $d/killed ]] || fail "went on"
}

@test "run: processes outside: root sees none, --share pids gives them back" {
	run -0 bare -- sh -c 'ls -d /proc/[0-9]*; cat /proc/1/comm'
	[[ $output == *sallyport-init* && $(grep -c '/proc/' <<<"$output") -le 4 ]] || fail "$output"
	run -0 bare --share pids -- sh -c 'cat /proc/$PPID/comm'
	[[ $output == sallyport ]] || fail "$output"
	run -0 bare --mode audit_only -- sh -c 'cat /proc/$PPID/comm'
	[[ $output == sallyport ]] || fail "audit_only: $output"
}

# bats test_tags=any-kernel
@test "run: bad policies: exit 2, the place is said, the command is not started" {
	local file name policy=$BATS_TEST_TMPDIR
	: >"$policy/empty.json"
	echo '{ "version": 1, "rules": [' >"$policy/truncated.json"
	echo '{ "version": 1, "rulez": [] }' >"$policy/unknown-key.json"
	echo '{ "version": 1, "rules": [], "rules": [] }' >"$policy/duplicate.json"
	printf '{ "version": 1, "name": "\xff\xfe", "rules": [] }' >"$policy/utf8.json"
	echo '{ "version": 1, "rules": [ { "allow": ["x.test:65536"] } ] }' >"$policy/port.json"
	echo '{ "version": 1, "rules": [ { "allow": ["x.test"], "ports": [65536] } ] }' >"$policy/ports.json"
	echo '{ "version": 1, "rules": [ { "allow": ["10.0.0.1/8"] } ] }' >"$policy/host-bits.json"
	printf '{ "version": 1, "rules": [ { "allow": ["%064d.test"] } ] }' 0 >"$policy/label.json"
	echo '{ "version": 1, "rules": [] } x' >"$policy/behind.json"
	echo '{ "version": 1, /* no */ "rules": [] }' >"$policy/comment.json"
	echo '[]' >"$policy/array.json"
	echo '{ "version": 2, "rules": [] }' >"$policy/version.json"
	{ printf '{ "version": 1, "rules": '; head -c 100000 /dev/zero | tr '\0' '['; } >"$policy/deep.json"
	truncate -s 100M "$policy/large.json"
	echo '{ "version": 1, "rules": [ { "prompt": ["**"] } ] }' >"$policy/prompt.json"
	echo '{ "version": 1, "rules": [ { "decide": ["a.test"], "by": { "unix": "/x" } } ] }' >"$policy/decide.json"
	echo '{ "version": 1, "quic": "inspect", "rules": [] }' >"$policy/quic.json"
	for file in "$policy"/*.json "$policy/missing.json"; do
		name=${file##*/}
		run lab exec "$LAB" timeout $((20 * SLOW)) "$SALLYPORT" run --policy "$file" -- \
			touch "$policy/started" 3>&-
		[[ $status -eq 2 ]] || fail "$name: not 2"
		[[ $output == *"$name"* ]] || fail "$name: not named"
		[[ ! -e $policy/started ]] || fail "$name: the command was started"
	done
	for file in --allow=x..test --allow=x.test:0 --deny='bad name.test' --default=maybe --mode=off \
		--resolver=nowhere --no-such-option; do
		run lab exec "$LAB" timeout $((20 * SLOW)) "$SALLYPORT" run "$file" -- touch "$policy/started" 3>&-
		[[ $status -eq 2 && ! -e $policy/started ]] || fail "$file: not 2"
	done
}

# The second policy would win without a word, and what the first denies be allowed.
@test "run: a second policy is refused, and an option is no argument" {
	local d=$BATS_TEST_TMPDIR words
	echo '{ "version": 1, "rules": [] }' >"$d/p.json"
	for words in "-p $d/p.json -p $d/p.json" "--allow --quiet" "-d -q" "--resolver --"; do
		# shellcheck disable=SC2086
		run -2 lab exec "$LAB" "$SALLYPORT" run $words -- touch "$d/started" 3>&-
		[[ $output == "sallyport: run: "* && ! -e $d/started ]] || fail "$words: $output"
	done
	run -2 "$SALLYPORT" explain -p "$d/p.json" -p "$d/p.json" a.test
}

@test "run: in a working directory that was removed there is nothing, and nothing above it" {
	local d=$BATS_TEST_TMPDIR/gone user
	for user in 0:0 65534:65534; do
		mkdir "$d"
		run lab exec "$LAB" sh -c 'cd "$1" && rmdir "$1" && shift && exec "$@"' sh "$d" \
			"$SALLYPORT" run --quiet --user "$user" -- sh -c 'ls -A . 2>&1; cd .. && ls -A; cd / && echo root: && ls -d etc' 3>&-
		[[ $(grep -cx etc <<<"$output") -eq 1 && $output == *"root:"*etc ]] || fail "$user: $output"
	done
}

@test "run: a policy from standard input" {
	run -0 lab exec "$LAB" "$SALLYPORT" run --quiet --policy - -- curl -sS --cacert "$CA" https://good.test/ \
		3>&- <<<'{ "version": 1, "rules": [ { "allow": ["good.test"] } ] }'
	[[ $output == *"hello from good"* ]]
}

@test "run: no policy at all denies everything" {
	POLICY=()
	denied "ip or ip6" curl -4 -sS -m 5 http://good.test/
	denied "host $GOOD4" curl -sS -m 5 "http://$GOOD4/"
}

@test "run: descriptors from 3 on are closed, sockets among them" {
	run -0 lab exec "$LAB" bash -c 'exec 5<>/dev/tcp/198.18.0.66/5432 7</etc/passwd 9>&1
exec "$@"' x "$SALLYPORT" run --quiet -- ls -l /proc/self/fd 3>&-
	[[ $output != *socket* && $output != *passwd* ]] || fail "inherited"
	# 0, 1, 2 and the directory that ls reads.
	[[ $(grep -c ' -> ' <<<"$output") -eq 4 ]] || fail "more than 0, 1, 2"
}

@test "run: no_new_privs, seccomp, and the capabilities are gone" {
	run -0 bare -- cat /proc/self/status
	[[ $output == *$'NoNewPrivs:\t1'* ]] || fail "no_new_privs is not set"
	[[ $output == *$'Seccomp:\t2'* ]] || fail "no seccomp filter"
	local line set value bit bits=(12 13 21 38 39) # net_admin net_raw sys_admin perfmon bpf
	for set in CapInh CapPrm CapEff CapBnd CapAmb; do
		line=$(grep "^$set:" <<<"$output")
		value=$((16#${line##*$'\t'}))
		for bit in "${bits[@]}"; do
			[[ $((value >> bit & 1)) -eq 0 ]] || fail "capability $bit is in $set"
		done
	done
}

@test "run: the command cannot leave the cgroup, nor touch cgroup2, bpffs or the parent" {
	run bare --allow good.test -- sh -c 'for f in $(find /sys/fs/cgroup -maxdepth 3 -name cgroup.procs 2>/dev/null); do
		echo $$ >"$f" 2>/dev/null && echo "moved by $f"; done
	cat /proc/self/cgroup; ls /sys/fs/bpf/sallyport 2>&1; rm -rf /sys/fs/bpf/sallyport 2>&1; true'
	# As root without capabilities the files still belong to it: what counts is whether a move opens.
	run inside sh -c 'for f in $(find /sys/fs/cgroup -maxdepth 3 -name cgroup.procs 2>/dev/null); do
		echo $$ >"$f"; done 2>/dev/null; exec curl -sS -k -m 3 https://198.18.0.66/'
	[[ $status -ne 0 ]] || fail "left the sandbox"
}

@test "run: socket families other than UNIX, INET, INET6 and NETLINK(ROUTE) are refused" {
	run inside "$PYTHON" "$E2E/clients/sockets.py" families
	[[ $status -eq 0 ]] || fail "a family is open"
	run inside ip -br link
	[[ $status -eq 0 ]] || fail "NETLINK(ROUTE) is refused"
}

@test "run: as another user" {
	run -0 bare --user nobody --allow good.test -- sh -c 'id -u; id -G; echo "$HOME"'
	[[ ${lines[0]} == "$(id -u nobody)" && ${lines[1]} == "$(id -g nobody)" ]] || fail "not nobody"
	run -0 bare --user 12345:23456 -- sh -c 'id -u; id -g; grep CapEff /proc/self/status'
	[[ ${lines[0]} == 12345 && ${lines[1]} == 23456 && ${lines[2]} == *0000000000000000 ]] || fail "$output"
	POLICY=(--allow good.test --user nobody)
	allowed curl -sS --cacert "$CA" https://good.test/
	denied "host $EVIL4" curl -sS -k -m 10 "https://$EVIL4/"
	run bare --user no-such-user -- true
	[[ $status -eq 2 || $status -eq 1 ]] || fail "unknown user: $status"
}

@test "run: under sudo the command runs as the calling user" {
	run -0 env SUDO_UID=65534 SUDO_GID=65534 SUDO_USER=nobody "$TOP/scripts/lab" exec "$LAB" \
		"$SALLYPORT" run --quiet -- id -u 3>&-
	[[ $output == 65534 ]] || fail "not the calling user"
}

@test "run: not root: says what is needed" {
	run setpriv --reuid 65534 --regid 65534 --clear-groups "$SALLYPORT" run -- true 3>&-
	[[ $status -eq 1 && $output == *root* ]] || fail "not said"
}

# bats test_tags=any-kernel
@test "run: on a terminal the command has it" {
	run -0 "$PYTHON" "$E2E/clients/terminal.py" "$TOP/scripts/lab" exec "$LAB" "$SALLYPORT" run \
		--allow good.test -- sh -c 'test -t 0 && test -t 1 && stty size && read line && echo "got <$line>"' 3>&-
	[[ $output == *"got <typed>"* ]] || fail "no terminal"
}

@test "run: Ctrl-C on a terminal reaches the command once" {
	run -0 "$PYTHON" "$E2E/clients/terminal.py" --interrupt "$TOP/scripts/lab" exec "$LAB" "$SALLYPORT" run \
		-- "$PYTHON" -c 'import signal, time
count = 0
def got(*_):
    global count
    count += 1
signal.signal(signal.SIGINT, got)
print("ready", flush=True)
until = time.monotonic() + 2
while time.monotonic() < until: time.sleep(0.1)
print("interrupts", count)' 3>&-
	[[ $output == *"interrupts 1"* ]] || fail "not once"
}

@test "run: two sandboxes at a time know nothing of each other's answers" {
	# One looks the name up; the other dials the address.
	lab exec "$LAB" timeout $((30 * SLOW)) "$SALLYPORT" run --quiet --allow good.test -- sh -c \
		"getent ahostsv4 good.test && echo x >'$BATS_TEST_TMPDIR/up'; while ! test -e '$BATS_TEST_TMPDIR/end'; do sleep 0.1; done" \
		>/dev/null 3>&- &
	local pid=$!
	wait_for_file "$BATS_TEST_TMPDIR/up" 20
	capture_start "host $GOOD4 and tcp"
	run inside curl -sS -k -m 3 --resolve "good.test:443:$GOOD4" https://good.test/
	capture_stop
	: >"$BATS_TEST_TMPDIR/end"
	wait "$pid"
	[[ $status -ne 0 && $(capture_count) -eq 0 ]] || fail "learned from a neighbour"
}

@test "run: nothing is left: cgroups, pins, processes" {
	leftovers() {
		find /sys/fs/bpf/sallyport 2>/dev/null | sort
		find /sys/fs/cgroup -type d -name '*sallyport*' 2>/dev/null | sort
	}
	run bare -- true
	local before
	before=$(leftovers)
	run bare --allow good.test -- true
	run -127 bare --allow good.test -- /no/such
	run bare --allow good.test -- sh -c 'exit 3'
	[[ $(leftovers) == "$before" ]] || fail "left: $(diff <(echo "$before") <(leftovers))"
}

@test "run: --events - writes NDJSON to standard output, denials a line each to standard error" {
	run --separate-stderr lab exec "$LAB" timeout $((30 * SLOW)) "$SALLYPORT" run --events - --allow good.test -- \
		curl -sS -m 5 -o /dev/null https://evil.test/ 3>&-
	[[ $status -eq 6 ]]
	echo "$output" >"$EVENTS"
	event kind=dns verdict=denied name=evil.test comm=~curl
	run --separate-stderr lab exec "$LAB" timeout $((30 * SLOW)) "$SALLYPORT" run --allow good.test -- \
		curl -sS -m 5 -o /dev/null https://evil.test/ 3>&-
	# shellcheck disable=SC2154
	[[ $stderr == *"denied"*"evil.test"*"--allow evil.test"* ]] || fail "no line that says how to allow it: $stderr"
}
