#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# What `explain` says is what `run` does; localhost, and the names of /etc/hosts.
# shellcheck disable=SC2030,SC2031,SC2034
load helpers

setup_file() {
	lab_up
	nsenter --net="/run/netns/sp-$LAB-cli" "$PYTHON" "$E2E/clients/listen.py" "$LAB_DIR/foreign" \
		127.0.0.1 127.0.0.9 ::1 >/dev/null 2>&1 3>&- &
	echo $! >"$BATS_FILE_TMPDIR/foreign.pid"
	printf '127.0.0.1\tlocalhost\n::1\tlocalhost\n%s\tgood.test  #x\n10.0.0.1 private.hosts.test other.test\n0.0.0.0 block.test\n127.0.0.9 own.hosts.test\n' \
		"$CDN4" >"$LAB_DIR/hosts"
	wait_for_file "$LAB_DIR/foreign.ready"
}

teardown_file() {
	[[ ! -s $BATS_FILE_TMPDIR/foreign.pid ]] || kill "$(<"$BATS_FILE_TMPDIR/foreign.pid")" 2>/dev/null || true
	lab_down
}

# agree yes|no PROTOCOL TARGET HOST PORT: that is what both say of HOST and PORT if TARGET is allowed.
agree() {
	local expected=$1 protocol=$2 host=$4 port=$5 explained=yes seen=yes address=$4
	POLICY=(--allow "$3")
	[[ $host != *:* ]] || host="[$host]"
	run outside "$PYTHON" "$E2E/clients/net.py" "$protocol" "$address" "$port"
	[[ $status -eq 0 ]] || fail "does not even work outside: $protocol $address $port"
	lab exec "$LAB" "$SALLYPORT" explain --allow "$3" --protocol "$protocol" "$host:$port" 3>&- || explained=no
	run inside "$PYTHON" "$E2E/clients/net.py" "$protocol" "$address" "$port"
	[[ $status -eq 0 ]] || seen=no
	[[ $explained == "$expected" && $seen == "$expected" ]] ||
		fail "allow $3, $protocol $host:$port: explain says $explained, run $seen"
}

@test "explain: says what run does" {
	agree yes tcp "$GOOD4" "$GOOD4" 5432
	agree yes udp "$GOOD6" "$GOOD6" 5000
	agree no tcp "$GOOD4:22" "$GOOD4" 5432
	agree no udp "$GOOD4:22" "$GOOD4" 5000
	agree no tcp "$EVIL4" "$EVIL4" 53
	agree no tcp "$EVIL4:53" "$EVIL4" 53
	agree no tcp "$EVIL6:53" "$EVIL6" 53
	agree yes tcp 127.0.0.1:7777 127.0.0.1 7777
	agree yes udp '[::1]:7777' ::1 7777
	agree yes tcp 127.0.0.0/8 127.0.0.9 7777
	agree no tcp 127.0.0.1:7777 127.0.0.9 7777
	agree no tcp good.test 127.0.0.1 7777
	agree no tcp 0.0.0.0/0 127.0.0.1 7777
}

@test "explain: localhost:PORT is 127.0.0.1 and ::1 on that port" {
	agree yes tcp localhost:7777 127.0.0.1 7777
	agree yes tcp localhost:7777 ::1 7777
	agree yes udp LOCALHOST:7777 ::1 7777
	agree no tcp localhost:7776 127.0.0.1 7777
	agree no tcp localhost 127.0.0.1 7777
	agree no tcp localhost:7777 127.0.0.9 7777
	POLICY=(--allow localhost:7777)
	allowed "$PYTHON" -c 'import socket
s = socket.create_connection(("localhost", 7777), 5); s.sendall(b"hello"); print(s.recv(5))'
}

# The hosts file of this machine is not touched: each command has another one in its mount namespace.
hosts_inside() { # [OPTION...] -- CMD...
	inside_hosts=$BATS_TEST_TMPDIR/hosts
	[[ -e $inside_hosts ]] || cp "$LAB_DIR/hosts" "$inside_hosts"
	: >"$EVENTS"
	# shellcheck disable=SC2016
	lab exec "$LAB" timeout -k 2 $((30 * SLOW)) sh -c 'mount --bind "$0" /etc/hosts && exec "$@"' "$inside_hosts" \
		"$SALLYPORT" run --events "$EVENTS" "$@" 3>&-
}

# CONNECT-AND-ECHO by name, as every program does it: the hosts file first.
ECHO='import socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 5); s.sendall(b"hello")
while True:
    d = s.recv(100)
    if b"hello" in d: break
    if not d: sys.exit(1)
print("echo from", s.getpeername()[0])'

@test "hosts: an allowed name of /etc/hosts works, also with a private address; others do not" {
	run -0 hosts_inside --allow good.test:5432 -- "$PYTHON" -c "$ECHO" good.test 5432
	[[ $output == *"echo from $CDN4"* ]]
	run -0 hosts_inside --allow private.hosts.test:5432 -- "$PYTHON" -c "$ECHO" private.hosts.test 5432
	run hosts_inside --allow private.hosts.test:5432 -- "$PYTHON" -c "$ECHO" other.test 5432
	[[ $status -eq 0 ]] || true # the same address: the name is not on the wire
	run hosts_inside --allow good.test:5432 -- "$PYTHON" -c "$ECHO" private.hosts.test 5432
	[[ $status -eq 1 ]] || fail "a name that no rule names works"
	event verdict=denied dst.addr=10.0.0.1
}

@test "hosts: loopback for a name that a rule names itself, not for a pattern" {
	run -0 hosts_inside --allow own.hosts.test:7777 -- "$PYTHON" -c "$ECHO" own.hosts.test 7777
	run hosts_inside --allow '*.hosts.test:7777' -- "$PYTHON" -c "$ECHO" own.hosts.test 7777
	[[ $status -eq 1 ]] || fail "a pattern opens loopback"
}

@test "hosts: a file that others can write is not used, and that is said" {
	cp "$LAB_DIR/hosts" "$BATS_TEST_TMPDIR/hosts"
	chmod 666 "$BATS_TEST_TMPDIR/hosts"
	run hosts_inside --allow private.hosts.test:5432 -- "$PYTHON" -c "$ECHO" private.hosts.test 5432
	[[ $status -eq 1 && $output == *"/etc/hosts is not used"* ]] || fail "it is used"
}
