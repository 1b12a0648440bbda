#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Hosts, limits and arguments that nobody means to have: enforced, or refused with a word; never a command that runs
# without what was asked for.
# shellcheck disable=SC2030,SC2031,SC2034
load helpers

setup_file() { lab_up; }
teardown_file() { lab_down; }

# What runs the way in and is caught the way out: curl to the denied address, which exits 0 only if it is through.
PROBE='curl -s -m 3 -o /dev/null --noproxy "*" http://'$EVIL4'/ && echo GOT-OUT; echo ran'

# CMD, a command line with `run` in it, either says why it starts nothing (a status and a word of its own) or enforces. A
# shell that does not find sallyport has statuses of its own, and names it too.
enforced_or_refused() {
	run lab exec "$LAB" timeout -k 2 $((60 * SLOW)) "$@" 3>&-
	[[ $output != *GOT-OUT* ]] || fail "it got out"
	[[ $output == *ran* || ($status -ne 0 && $status -lt 126 && $'\n'$output == *$'\n'"sallyport: "*) ]] ||
		fail "neither enforced nor refused with a word"
}

@test "odd: the probe gets out without sallyport" {
	run -0 outside sh -c "$PROBE"
	[[ $output == *GOT-OUT* ]]
}

@test "odd: ulimit -n 64, -n 20, -n 8, -u 20, -f 8, -v small" {
	local limit
	for limit in '-n 64' '-n 20' '-n 8' '-u 20' '-f 8' '-s 64' '-l 0'; do
		enforced_or_refused bash -c "ulimit $limit || exit 9; exec \"\$@\"" sh "$SALLYPORT" run --quiet -- sh -c "$PROBE"
	done
	# what is enough for every program is enough for this one
	run -0 lab exec "$LAB" bash -c 'ulimit -n 64; exec "$@"' sh "$SALLYPORT" run --quiet -- true
}

@test "odd: an argument of 100 kB, arguments of 1 MB, and more than the kernel takes" {
	# shellcheck disable=SC2016
	run -0 outside "$PYTHON" -c 'import subprocess, sys
words = ["x" * 100000] * 10
p = subprocess.run([sys.argv[1], "run", "--quiet", "--", "sh", "-c", "echo $# ${#1}", "sh", *words], stdout=subprocess.PIPE)
assert p.returncode == 0 and p.stdout == b"10 100000\n", p
p = subprocess.run([sys.argv[1], "run", "--quiet", "--allow", "a" * 100000, "--", "true"], stderr=subprocess.PIPE)
assert p.returncode == 2 and p.stderr.startswith(b"sallyport: ") and len(p.stderr) < 2000, p
p = subprocess.run([sys.argv[1], "explain", "b" * 100000], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
assert p.returncode in (1, 2), p' "$SALLYPORT"
}

@test "odd: a terminal that goes away: the command is told, and stays enforced" {
	run -0 outside "$PYTHON" -c 'import os, pty, sys, time, signal
sallyport, probe, out = sys.argv[1:]
pid, master = pty.fork()
if pid == 0:
    os.execv(sallyport, [sallyport, "run", "--", "sh", "-c",
             "trap \"echo hup >>%s\" HUP; echo up >>%s; sleep 1; sleep 1; { %s; } >>%s 2>&1" % (out, out, probe, out)])
for _ in range(100):
    time.sleep(0.1)
    if os.path.exists(out): break
os.close(master)
for _ in range(200):
    if os.waitpid(pid, os.WNOHANG)[0]: break
    time.sleep(0.1)
else:
    os.kill(pid, signal.SIGKILL); sys.exit("sallyport does not end")
for _ in range(80):
    text = open(out).read()
    if "ran" in text: break
    time.sleep(0.1)
print(text)
sys.exit("GOT-OUT" in text or "up" not in text)' "$SALLYPORT" "$PROBE" "$BATS_TEST_TMPDIR/out"
	[[ $output == *up* && $output != *GOT-OUT* ]]
}

@test "odd: no /proc, an empty /proc" {
	# shellcheck disable=SC2016
	enforced_or_refused unshare --mount --propagation private sh -c 'umount -l /proc && exec "$@"' sh \
		"$SALLYPORT" run --quiet -- sh -c "$PROBE"
	# shellcheck disable=SC2016
	enforced_or_refused unshare --mount --propagation private sh -c 'mount -t tmpfs tmpfs /proc && exec "$@"' sh \
		"$SALLYPORT" run --quiet -- sh -c "$PROBE"
}

@test "odd: /run read-only, /run that is another one, /tmp read-only" {
	# shellcheck disable=SC2016
	enforced_or_refused unshare --mount --propagation private sh -c 'mount -t tmpfs -o ro tmpfs /run && exec "$@"' sh \
		"$SALLYPORT" run --quiet -- sh -c "$PROBE"
	# shellcheck disable=SC2016
	enforced_or_refused unshare --mount --propagation private sh -c 'mount -t tmpfs -o ro tmpfs /tmp && exec "$@"' sh \
		"$SALLYPORT" run --quiet -- sh -c "$PROBE"
}

@test "odd: ten starts at once, half of them with another /run: each is enforced" {
	local i pids=() out=$BATS_TEST_TMPDIR
	for i in 0 1 2 3 4 5 6 7 8 9; do
		if ((i % 2)); then
			lab exec "$LAB" timeout $((60 * SLOW)) unshare --mount --propagation private sh -c \
				'mount -t tmpfs tmpfs /run && exec "$@"' sh "$SALLYPORT" run --quiet -- sh -c "$PROBE" \
				>"$out/$i" 2>&1 3>&- &
		else
			lab exec "$LAB" timeout $((60 * SLOW)) "$SALLYPORT" run --quiet -- sh -c "$PROBE" >"$out/$i" 2>&1 3>&- &
		fi
		pids+=($!)
	done
	for i in "${pids[@]}"; do wait "$i" || true; done
	for i in 0 1 2 3 4 5 6 7 8 9; do
		output=$(<"$out/$i")
		[[ $output == ran ]] || fail "start $i"
	done
}
