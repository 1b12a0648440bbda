#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# `--events FILE`: where it may lead, as whom it is opened, and how much is written. Nothing of this needs a
# network: what is denied is a connection to a documentation address.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034
load helpers

USER_ID=65534

setup() {
	DIR=$BATS_TEST_TMPDIR
	OWN=$DIR/own
	mkdir -p "$OWN"
	chown $USER_ID:$USER_ID "$OWN"
	# every directory above must let the user through
	local d=$DIR
	while [[ $d != / ]]; do
		chmod o+x "$d"
		d=$(dirname "$d")
	done
}

# `run` as under sudo: back to the user that called it.
as_user() {
	env SUDO_UID=$USER_ID SUDO_GID=$USER_ID SUDO_USER=nobody timeout -k 2 $((30 * SLOW)) "$SALLYPORT" run "$@" 3>&-
}

# connect N: as many denied connections
connect() {
	echo "import socket
for i in range($1):
    s = socket.socket()
    try: s.connect(('192.0.2.1', 1 + i % 60000))
    except OSError: pass
    s.close()"
}

# All that is in a file of events is JSON, line by line: what `python` says of `lines`.
events_say() {
	"$PYTHON" -c "import json, sys
lines = [json.loads(line) for line in open(sys.argv[1])]
lost = [line for line in lines if line['kind'] == 'lost']
real = [line for line in lines if line['kind'] != 'lost']
print($2)" "$1"
}

# bats test_tags=any-kernel
@test "events: opened as the user that the command runs as: no link, nothing of root's, made as theirs" {
	local target=$DIR/target
	echo before >"$target"
	ln -s "$target" "$OWN/link"
	ln -s "$DIR/none" "$OWN/dangling"
	# As root, links and all, each of these could be written to. It is no place of root's alone.
	chmod 1777 "$DIR"
	run -2 as_user --events "$OWN/link" -- true
	[[ $output == *"$OWN/link is a link"* ]] || fail "not said: $output"
	run -2 as_user --events "$OWN/dangling" -- true
	[[ ! -e $DIR/none ]] || fail "made through a link"
	mkdir "$OWN/theirs"
	chown $USER_ID "$OWN/theirs"
	chmod 555 "$OWN/theirs"
	run -2 as_user --events "$OWN/theirs/new" -- true
	[[ $output == *"Permission denied for user $USER_ID"* ]] || fail "not said: $output"
	[[ ! -e $OWN/theirs/new ]] || fail "made as root"
	[[ $(cat "$target") == before ]] || fail "written to"
	# A link in place of a directory leads where the user may go.
	mkdir "$DIR/roots"
	ln -s "$DIR/roots" "$OWN/dir"
	run -2 as_user --events "$OWN/dir/new" -- true
	[[ ! -e $DIR/roots/new ]] || fail "made as root, through a directory"
	run -0 as_user --events "$OWN/file" -- "$PYTHON" -c "$(connect 1)"
	[[ $(stat -c %u:%h "$OWN/file") == $USER_ID:1 ]] || fail "not theirs"
	[[ $(events_say "$OWN/file" 'real[0]["verdict"]') == denied ]] || fail "no event"
	# In a place of root's alone, root makes it, and the command cannot change it.
	run as_user --events "$DIR/roots/new" -- sh -c '"$1" -c "$2"; : >"$3"' \
		sh "$PYTHON" "$(connect 1)" "$DIR/roots/new"
	[[ $(stat -c %u "$DIR/roots/new") == 0 ]] || fail "not root's"
	[[ $(events_say "$DIR/roots/new" 'real[0]["verdict"]') == denied ]] || fail "no event"
	# What root gives by redirection is root's to give.
	run -0 as_user --quiet --events - -- "$PYTHON" -c "$(connect 1)" >"$target"
	[[ $output == *'"verdict":"denied"'* ]] || fail "nothing on standard output"
}

# bats test_tags=any-kernel
@test "events: as root, a link is not followed either" {
	ln -s "$DIR/none" "$OWN/link"
	run -2 timeout 20 "$SALLYPORT" run --events "$OWN/link" -- true
	[[ ! -e $DIR/none && $output == *"is a link"* ]] || fail "followed: $output"
}

# bats test_tags=any-kernel
@test "events: a FIFO without a reader, a directory, a socket, a device: said at once, and nothing is started" {
	mkfifo "$OWN/fifo"
	chmod 666 "$OWN/fifo"
	run -2 timeout 20 "$SALLYPORT" run --events "$OWN/fifo" -- touch "$OWN/started"
	[[ $output == *"is a FIFO that nobody reads"* ]] || fail "not said: $output"
	run -2 as_user --events "$OWN/fifo" -- touch "$OWN/started"
	[[ $output == *"is a FIFO that nobody reads"* ]] || fail "not said: $output"
	run -2 as_user --events "$OWN" -- touch "$OWN/started"
	[[ $output == *"is a directory"* ]] || fail "not said: $output"
	"$PYTHON" -c "import socket; socket.socket(socket.AF_UNIX).bind('$OWN/socket')"
	run -2 timeout 20 "$SALLYPORT" run --events "$OWN/socket" -- touch "$OWN/started"
	[[ $output == *"is a socket"* ]] || fail "not said: $output"
	mknod "$OWN/device" c 1 5
	run -2 timeout 20 "$SALLYPORT" run --events "$OWN/device" -- touch "$OWN/started"
	[[ $output == *"is a device"* ]] || fail "not said: $output"
	[[ ! -e $OWN/started ]] || fail "started"
	run -0 as_user --events /dev/null -- true
}

# bats test_tags=any-kernel
@test "events: a FIFO with a reader, and >(...) of a shell" {
	mkfifo "$OWN/fifo"
	chmod 666 "$OWN/fifo"
	cat "$OWN/fifo" >"$DIR/read" 3>&- &
	run -0 as_user --quiet --events "$OWN/fifo" -- "$PYTHON" -c "$(connect 1)"
	wait $!
	[[ $(events_say "$DIR/read" 'real[0]["verdict"]') == denied ]] || fail "nothing read"
	run -0 as_user --quiet --events >(cat >"$DIR/substituted") -- "$PYTHON" -c "$(connect 1)"
	until [[ -s $DIR/substituted ]]; do sleep 0.05; done
	[[ $(events_say "$DIR/substituted" 'real[0]["verdict"]') == denied ]] || fail "nothing read"
}

# bats test_tags=any-kernel
@test "events: beyond the rate they are dropped, counted in the file and at the end, and denied all the same" {
	run -0 as_user --events "$OWN/file" --events-rate 50 -- "$PYTHON" -c "$(connect 3000)"
	# 50 a second, ten seconds' worth at once
	local written missing
	written=$(events_say "$OWN/file" 'len(real)')
	missing=$(events_say "$OWN/file" 'sum(l["rate"] + l["ring"] for l in lost)')
	[[ $written -ge 500 && $written -lt $((500 + 50 * 10 * SLOW)) ]] || fail "$written written"
	[[ $((written + missing)) -eq 3000 ]] || fail "$written and $missing are not 3000"
	[[ $output =~ ([0-9]+)" events were not written ("([0-9]+)" beyond --events-rate" && ${BASH_REMATCH[2]} -gt 1000 ]] ||
		fail "not said: $output"
	[[ $output == *"3000 denied"* ]] || fail "not denied"
}

# bats test_tags=any-kernel
@test "events: beyond the size nothing but what is lost is written" {
	run -0 as_user --json --events "$OWN/file" --events-size 20K -- "$PYTHON" -c "$(connect 2000)"
	[[ $(stat -c %s "$OWN/file") -le $((20480 + 1024 * 64)) ]] || fail "$(stat -c %s "$OWN/file") bytes"
	[[ $(events_say "$OWN/file" 'len(real) + sum(l["size"] + l["ring"] for l in lost)') -eq 2000 ]] || fail "not counted"
	[[ $output =~ \"events_beyond_size\":([0-9]+) && ${BASH_REMATCH[1]} -gt 1000 ]] || fail "not said"
	run -2 as_user --events "$OWN/file" --events-size 1X -- true
	run -2 as_user --events "$OWN/file" --events-rate -1 -- true
	run -2 as_user --events "$OWN/file" --events-rate 99999999999999999999 -- true
}

@test "events: a file that ends within a line, by an earlier run: the next event has a line of its own" {
	local user
	for user in 0:0 "$USER_ID:$USER_ID"; do
		printf '{"torn":' >"$OWN/torn"
		chmod 622 "$OWN/torn"
		run timeout 60 "$SALLYPORT" run --quiet --user "$user" --events "$OWN/torn" -- "$PYTHON" -c "$(connect 1)" 3>&-
		[[ $(head -n 1 "$OWN/torn") == '{"torn":' ]] || fail "$user: $(cat "$OWN/torn")"
		tail -n +2 "$OWN/torn" | "$PYTHON" -c 'import json, sys
lines = [json.loads(line) for line in sys.stdin]
assert lines' || fail "$user: $(cat "$OWN/torn")"
		rm "$OWN/torn"
	done
}

# bats test_tags=any-kernel
@test "events: a full disk, and ulimit -f: enforced to the end, said, and no half line in between" {
	mkdir "$OWN/small"
	unshare -m sh -c 'mount -t tmpfs -o size=64k,mode=1777 tmpfs "$1/small" && shift && exec "$@"' sh "$OWN" \
		env SUDO_UID=$USER_ID SUDO_GID=$USER_ID timeout 60 "$SALLYPORT" run --events "$OWN/small/file" -- \
		sh -c '"$1" -c "$2"; : >"$4/small/file"; "$1" -c "$3"; cat "$4/small/file" >"$4/copy"' \
		sh "$PYTHON" "$(connect 1000)" "$(connect 20)" "$OWN" >"$DIR/said" 2>&1 3>&- || fail "failed: $(cat "$DIR/said")"
	grep -q "events were not written.*No space left on device" "$DIR/said" || fail "not said: $(cat "$DIR/said")"
	# each of them once: 1020 are written, cut off by the truncation, or counted here
	[[ $(sed -n 's/.*: \([0-9]*\) events were not written.*/\1/p' "$DIR/said") -lt 1000 ]] ||
		fail "counted twice: $(cat "$DIR/said")"
	grep -q "1020 denied" "$DIR/said" || fail "not denied: $(cat "$DIR/said")"
	# What came after there was room again is whole lines, but for the one that was begun before.
	[[ $("$PYTHON" -c 'import json, sys
def whole(line):
    try: return bool(json.loads(line))
    except ValueError: return False
print(sum(not whole(line) for line in open(sys.argv[1])))' "$OWN/copy") -le 1 ]] || fail "$(cat "$OWN/copy")"
	# The file may be 8 blocks of 1024 bytes long; then SIGXFSZ would end sallyport, and nobody would answer.
	run -0 bash -c 'ulimit -f 8; SUDO_UID=65534 SUDO_GID=65534 "$@"' sh timeout 60 "$SALLYPORT" run --events "$OWN/limited" -- \
		"$PYTHON" -c "$(connect 200)"
	[[ $output == *"200 denied"* && $output == *"File too large"* ]] || fail "not said: $output"
	# The command has the disposition that it would have without.
	run bash -c 'ulimit -f 8; "$@"' sh timeout 60 "$SALLYPORT" run --quiet -- sh -c "exec head -c 100000 /dev/zero >$OWN/big"
	[[ $status -eq $((128 + 25)) ]] || fail "SIGXFSZ did not end the command: $status"
}

# bats test_tags=any-kernel
@test "events: a policy that the user can change is said at the start" {
	echo '{"version": 1}' >"$DIR/policy.json"
	chmod 644 "$DIR/policy.json"
	run -0 as_user --policy "$DIR/policy.json" -- true
	[[ $output != *"can be changed"* ]] || fail "said without reason: $output"
	local how
	for how in "chown $USER_ID:0" "chmod 666"; do
		echo '{"version": 1}' >"$DIR/theirs.json"
		$how "$DIR/theirs.json"
		run -0 as_user --policy "$DIR/theirs.json" -- true
		[[ $output == *"theirs.json can be changed by user $USER_ID"* ]] || fail "$how: not said: $output"
		rm "$DIR/theirs.json"
	done
	# root's, but in a directory of theirs; and a link of theirs to root's
	cp "$DIR/policy.json" "$OWN/policy.json"
	ln -s "$DIR/policy.json" "$OWN/link.json"
	for how in policy link; do
		run -0 as_user --policy "$OWN/$how.json" -- true
		[[ $output == *"can be changed by user"* ]] || fail "$how: not said: $output"
	done
	run -0 as_user --quiet --policy "$OWN/policy.json" -- true
	[[ -z $output ]] || fail "not quiet"
}
