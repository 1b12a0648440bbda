#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# `sallyport selftest`: what it says of this host, that it can fail, and that it leaves nothing. It
# makes a lab of its own, so none is made here.
# shellcheck disable=SC2030,SC2031,SC2034
load helpers

setup_file() { need_sallyport; }

# The sandbox of a process that was sallyport selftest (its pid is in the names).
left_of() { # PID
	find /sys/fs/cgroup -type d -name "sallyport-*-$1" 2>/dev/null
	find /run/sallyport -name "box-*-$1" 2>/dev/null
}

# Runs it; its pid in SELFTEST_PID. Output and status as of `run`.
selftest() {
	local d=$BATS_TEST_TMPDIR
	setsid "$SALLYPORT" selftest "$@" </dev/null >"$d/output" 2>"$d/errors" 3>&- &
	SELFTEST_PID=$!
	echo "$SELFTEST_PID" >"$d/selftest.pid"
}

finish() {
	status=0
	wait "$SELFTEST_PID" || status=$?
	output=$(<"$BATS_TEST_TMPDIR/output")$(<"$BATS_TEST_TMPDIR/errors")
}

# True when the document in output is what EXPRESSION says of it (d), its techniques (t), their runs.
json() { # EXPRESSION
	output=
	"$PYTHON" - "$BATS_TEST_TMPDIR/output" "$1" <<-'PYTHON' || fail "not true: $1"
		import collections, json, sys
		d = json.load(open(sys.argv[1]))
		t = {x["name"]: x for x in d["techniques"]}
		reached = {(x["name"], r["as"]): r["reached"] for x in d["techniques"] for r in x["runs"]}
		counts = collections.Counter(x["row"] for x in d["techniques"] if x["result"] == "held")
		counted = collections.Counter(x["result"] for x in d["techniques"])
		if not eval(sys.argv[2]):
		    wrong = [f"{x['result']} {x['name']}: {x['detail']}" for x in t.values()
		             if (x["result"] == "held") == (d["mode"] == "audit_only")]
		    sys.exit("\n".join([str(d["counts"])] + wrong))
	PYTHON
}

@test "selftest: what is tried on this host holds, within 10 s, and nothing is left" {
	local from=$SECONDS
	selftest
	finish
	[[ $status -eq 0 ]] || fail "status"
	((SECONDS - from <= 10 * SLOW)) || fail "took $((SECONDS - from)) s"
	[[ $output =~ ([0-9]+)" ways out of a sandbox were tried on this host: "([0-9]+)" held, 0 got out" ]] ||
		fail "no summary"
	# what is not there on some host: IPv6, SCTP, DCCP, x32, ...
	((BASH_REMATCH[2] >= 110)) || fail "only ${BASH_REMATCH[2]}"
	[[ $output == *"EHOSTUNREACH [not_learned]"* ]] || fail "does not say how"
	[[ $output != *$'\e'* ]] || fail "colours in a file"
	[[ -z $(left_of "$SELFTEST_PID") ]] || fail "left: $(left_of "$SELFTEST_PID")"
}

@test "selftest: --json says the same, and for each way what was seen" {
	selftest --json
	finish
	[[ $status -eq 0 ]] || fail "status"
	json 'd["ok"] is True and d["mode"] == "enforce"'
	json "d['kernel'] == '$(uname -r)'"
	json 'd["counts"]["held"] >= 110 and not d["counts"]["passed"] + d["counts"]["failed"] + d["counts"]["inconclusive"]'
	json 'all(d["counts"][x] == counted[x] for x in d["counts"]) and sum(d["counts"].values()) == len(t) == len(d["techniques"])'
	# held: it arrived from outside, and from nowhere else
	json 'all(reached[x["name"], r["as"]] == (r["as"] == "outside") for x in t.values() if x["result"] == "held" for r in x["runs"])'
	json 'all(r["tried"] and r["reached"] for x in t.values() if x["result"] == "works" for r in x["runs"])'
	json 't["connect"]["result"] == t["name"]["result"] == t["sni"]["result"] == t["host"]["result"] == "held"'
	json '["not_learned"] == t["connect"]["runs"][1]["reasons"] and t["connect"]["runs"][1]["errno"] == "EHOSTUNREACH"'
	json '[r["as"] for r in t["connect"]["runs"]] == ["outside", "nobody", "root"]'
	# by what: the interface, a page that may change, no answer, a segment that was not accepted, a lenient server
	json 'all(set(t[x]["runs"][2]["reasons"]) == {y} for x, y in (("wire", "loopback_wire"), ("link", "interface"), ("answered", "tls_second"), ("upgraded", "default"), ("alert-first", "default"), ("method", "http_not_http"), ("tunnel", "proxy")))'
	json 'all(r["reasons"] == ["shared_pages"] or r["errno"] == "EINVAL" for x in t.values() if x["name"].startswith("page-") and x["result"] == "held" for r in x["runs"][1:])'
	json 'all(counts[x] for x in ("A12", "A13", "A15", "B11", "B13", "D13", "D14"))'
	# what no hook sees is seen, and said
	json 't["passed"]["result"] == "known" and reached["passed", "nobody"]'
	json 't["packet-joined"]["result"] == ("held" if d["lsm"] else "known")'
}

@test "selftest: with nothing enforced everything is seen to get out, and it fails" {
	selftest --json --mode audit_only
	finish
	[[ $status -eq 1 ]] || fail "status"
	json 'd["ok"] is False and d["mode"] == "audit_only"'
	json 'd["counts"]["passed"] >= 110 and d["counts"]["held"] == d["counts"]["inconclusive"] == d["counts"]["failed"] == 0'
	json 'all(reached[x["name"], "root"] for x in t.values() if x["result"] == "passed" and "joined" not in x["name"])'
	selftest --mode audit_only
	finish
	[[ $status -eq 1 && $output == *"0 held, "*"PASSED"* || $output == *PASSED*"0 held, "* ]] || fail "text"
	[[ -z $(left_of "$SELFTEST_PID") ]] || fail "left: $(left_of "$SELFTEST_PID")"
}

@test "selftest: with what judges destinations and packets taken off the cgroup, it says what got out" {
	selftest --json
	run -0 "$PYTHON" "$BATS_TEST_DIRNAME/clients/detach.py" "/sys/fs/cgroup/**/sallyport-*-$SELFTEST_PID"
	[[ $output == 5 ]] || fail "detached"
	finish
	[[ $status -eq 1 ]] || fail "status"
	json 'd["ok"] is False and d["mode"] == "enforce"'
	# of each group what only these hold
	json 'all(t[x]["result"] == "passed" for x in ("name", "sni", "host", "wire", "link", "answered", "upgraded", "alert-first", "method", "tunnel"))'
	# before Linux 6.2 the calls themselves are refused
	json 'all(t[x]["result"] == "passed" or t[x]["runs"][1]["errno"] == "EINVAL" for x in ("page-sni", "page-host"))'
	# and what other hooks and the launcher hold, holds
	json 'all(t[x]["result"] == "held" for x in ("packet", "families", "ttl", "bind", "stolen-user", "memory-user", "root-user"))'
}

# A container engine's socket, open to everybody, in a /run of its own.
with_engine() { # COMMAND...
	local engine='import os, socket, time
s = socket.socket(socket.AF_UNIX)
s.bind("/run/docker.sock")
os.chmod("/run/docker.sock", 0o777)
s.listen(100)
time.sleep(60)'
	# shellcheck disable=SC2016
	unshare -m sh -c 'mount --make-rprivate / && mount -t tmpfs none /run || exit 9
		"$1" -c "$2" & engine=$!
		shift 2
		while [ ! -S /run/docker.sock ] && kill -0 $engine; do sleep 0.01; done
		"$@"; status=$?
		kill $engine
		exit $status' sh "$PYTHON" "$engine" "$@" </dev/null 3>&-
}

@test "selftest: a container engine's socket, where there is one, is a way out that is held" {
	with_engine "$SALLYPORT" selftest --json >"$BATS_TEST_TMPDIR/output" || fail "status"
	json 't["helper-socket"]["result"] == "held" and t["helper-socket"]["runs"][0]["note"] == "/run/docker.sock"'
	json 't["helper-user"]["result"] == "held" and t["helper-user"]["runs"][0]["reached"]'
}

# The network namespaces of PID's children, and PID's own.
namespaces() {
	local pid
	for pid in "$1" $(cat /proc/"$1"/task/*/children 2>/dev/null); do
		readlink "/proc/$pid/ns/net" 2>/dev/null || true
	done | sort -u
}

# Waits until it is at it, then ends it with SIGNAL.
interrupt() { # SIGNAL
	local i own procs
	own=$(readlink /proc/self/ns/net)
	selftest
	for ((i = 0; i < 200 * SLOW; i++)); do
		# near and far, and a worker in the sandbox
		procs=$(find /sys/fs/cgroup -path "*/sallyport-*-$SELFTEST_PID/cgroup.procs" 2>/dev/null || true) # others come and go
		[[ -n $procs && -n $(cat "$procs" 2>/dev/null) &&
			$(namespaces "$SELFTEST_PID" | grep -vcF "$own") -eq 2 ]] && break
		[[ -d /proc/$SELFTEST_PID ]] || break
		sleep 0.01
	done
	CHILDREN=$(cat "/proc/$SELFTEST_PID/task/$SELFTEST_PID/children")
	[[ $(wc -w <<<"$CHILDREN") -ge 2 ]] || fail "did not get to work"
	kill -"$1" "$SELFTEST_PID"
	finish
}

gone() { # PID...
	local pid i
	for pid in "$@"; do
		for ((i = 0; i < 100 * SLOW; i++)); do
			[[ -d /proc/$pid && $(</proc/"$pid"/stat) != *") Z "* ]] || continue 2
			sleep 0.05
		done
		fail "process $pid is left: $(tr '\0' ' ' <"/proc/$pid/cmdline")"
	done
}

@test "selftest: SIGINT and SIGTERM end it, and nothing is left" {
	local number
	for number in 2 15; do
		interrupt "$number"
		[[ $status -eq $((128 + number)) ]] || fail "status"
		# shellcheck disable=SC2086
		gone $CHILDREN
		[[ -z $(left_of "$SELFTEST_PID") ]] || fail "left: $(left_of "$SELFTEST_PID")"
	done
}

@test "selftest: SIGKILL leaves no process, and the next start removes the sandbox" {
	local i
	interrupt 9
	[[ $status -eq 137 ]]
	# shellcheck disable=SC2086
	gone $CHILDREN
	for ((i = 0; i < 50 * SLOW; i++)); do
		"$SALLYPORT" run --quiet -- true
		[[ -n $(left_of "$SELFTEST_PID") ]] || return 0
		sleep 0.1
	done
	fail "left: $(left_of "$SELFTEST_PID")"
}

@test "selftest: without standard input, without root, with bad options" {
	local copy=$BATS_TEST_TMPDIR/sallyport
	"$SALLYPORT" selftest <&- >"$BATS_TEST_TMPDIR/closed" || fail "$(<"$BATS_TEST_TMPDIR/closed")"
	# the checkout may be closed to others
	cp "$SALLYPORT" "$copy"
	run setpriv --reuid 65534 --regid 65534 --clear-groups "$copy" selftest
	[[ $status -eq 3 && $output == *"use sudo"* ]] || fail "without root"
	run setpriv --reuid 65534 --regid 65534 --clear-groups "$copy" selftest --json
	[[ $status -eq 3 && $output == '{"error":"'*'"}' ]] || fail "without root, in JSON"
	run -0 setpriv --reuid 65534 --regid 65534 --clear-groups "$copy" selftest --list
	[[ $(grep -cE '^  ' <<<"$output") -ge 100 ]] || fail "list"
	run -2 "$SALLYPORT" selftest --mode half
	run -2 "$SALLYPORT" selftest --frob
	run -2 "$SALLYPORT" selftest now
	run -0 "$SALLYPORT" help selftest
	[[ $output == *"exit status"* ]]
}
