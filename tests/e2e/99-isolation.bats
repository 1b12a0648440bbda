#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# One sandbox floods; its neighbour goes on as before: no look-up or connection of it fails, what it
# learned before is there without another look-up, and none of its events is lost. Prints what was measured.
# shellcheck disable=SC2030,SC2031,SC2034
load helpers

setup_file() {
	lab_up
	wide_up
}
teardown_file() { lab_down; }

SECONDS_EACH=1.5
FLOOD=$(awk "BEGIN { print $SECONDS_EACH + 1.5 * $SLOW }") # it starts before, and ends after
RULES=(--allow '**.wide.test:8080' --allow good.test --resolver "$WIDE" --resolver "$R")

# A sandbox in the background; its output in NAME.log, its pid in NAME.pid.
sandbox() { # NAME COMMAND...
	local name=$1
	shift
	setsid "$TOP/scripts/lab" exec "$LAB" timeout -k 2 $((40 * SLOW)) "$SALLYPORT" run --json \
		--events "$BATS_TEST_TMPDIR/$name.events" "${RULES[@]}" -- "$@" </dev/null \
		>"$BATS_TEST_TMPDIR/$name.log" 2>&1 3>&- &
	echo $! >"$BATS_TEST_TMPDIR/$name.pid"
}

# The neighbour has learned its address, and waits.
neighbour() { # NAME CPU
	local d=$BATS_TEST_TMPDIR/$1
	mkdir -m 777 "$d"
	# shellcheck disable=SC2046
	sandbox "$1" $(client neighbour.py) "$d" "$SECONDS_EACH" "$2" "$WIDE"
	wait_for_file "$d/ready" 20
}

finished() { # NAME: waits; its output is in $output
	wait "$(<"$BATS_TEST_TMPDIR/$1.pid")" || true
	rm -f "$BATS_TEST_TMPDIR/$1.pid"
	output=$(<"$BATS_TEST_TMPDIR/$1.log")
}

unharmed() { # NAME WORD
	finished "$1"
	"$PYTHON" - "$BATS_TEST_TMPDIR/$1.log" "$BATS_TEST_TMPDIR/$1.events" "$2" $((100 * SLOW)) <<-'PYTHON' >&3 2>&1 ||
		import collections, json, sys
		said = [json.loads(line) for line in open(sys.argv[1]) if line.startswith("{")]
		result = next(line for line in said if "look-up" in line)
		summary = next(line["summary"] for line in said if "summary" in line)
		events = collections.Counter(json.loads(line)["kind"] for line in open(sys.argv[2]))
		words, bad = [], []
		for what in ("look-up", "connection", "old address"):
		    r = result[what]
		    words.append(f"{what} {r['done']}, {r['median']} ms median, {r['p99']} ms p99")
		    if r["failed"] or not r["done"] or r["median"] > float(sys.argv[4]):
		        bad.append(what)
		print(f"# {sys.argv[3]}: " + "; ".join(words))
		if bad or result["errors"] or summary["denied"]:
		    bad.append(f"errors {result['errors']}, denied {summary['denied']}")
		lost = sum(summary["events_dropped"].values()) + summary["events_not_written"]
		connections = result["connection"]["done"] + result["old address"]["done"]
		if lost or events["dns"] != result["look-up"]["done"] + 1 or events["connect"] < connections:
		    bad.append(f"lost {lost}, {dict(events)}")
		if bad:
		    print(f"# NOT unharmed: {bad}")
		sys.exit(1 if bad else 0)
	PYTHON
		fail "the neighbour was harmed: $2"
}

beside() { # NAME COMMAND...: the neighbour beside a flood
	local name=$1
	shift
	neighbour quiet -1
	sandbox flood "$@"
	sleep "$(awk "BEGIN { print 0.5 * $SLOW }")"
	echo go >"$BATS_TEST_TMPDIR/quiet/go"
	unharmed quiet "beside $name"
	kill -0 "$(<"$BATS_TEST_TMPDIR/flood.pid")" || fail "the flood was over before: $(<"$BATS_TEST_TMPDIR/flood.log")"
	finished flood
	echo "# the flood: $(grep -v '^{' <<<"$output" | tail -n 1)" >&3
}

@test "isolation: alone, to compare with" {
	neighbour quiet -1
	echo go >"$BATS_TEST_TMPDIR/quiet/go"
	unharmed quiet alone
}

flood() { # WHAT
	# shellcheck disable=SC2046
	beside "$1" $(client flood.py) "$1" "$FLOOD" "$WIDE"
}

# bats test_tags=any-kernel
@test "isolation: beside a flood of allowed names, learned until its maps are full" {
	flood names
	grep -q learned_full "$BATS_TEST_TMPDIR/flood.events" || fail "the flood did not reach its bound"
}

@test "isolation: beside a flood of denied look-ups, which are events and requests" {
	flood denied
	[[ $output =~ \"dns\":([0-9]+) && ${BASH_REMATCH[1]} -gt 0 ]] || fail "the flood lost no event: no flood"
}

# bats test_tags=any-kernel
@test "isolation: beside a flood of connections and half handshakes, up to the bound of buffers" {
	flood connections
	grep -q streams_full "$BATS_TEST_TMPDIR/flood.events" || fail "the flood did not reach its bound"
}

# Threads of the lowest priority, preempted while the kernel judges their queries: each holds one of the
# pieces of working memory that a CPU has for all sandboxes (SP_SCRATCH_PER_CPU).
@test "isolation: beside 100 threads that are preempted in the middle of a decision" {
	beside "threads of low priority" "$CLIENTS/hog" "$FLOOD" 100 -1 "$WIDE"
	grep -q pending_full "$BATS_TEST_TMPDIR/flood.events" || fail "the flood did not reach its bound"
}
