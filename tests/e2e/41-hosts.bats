#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Odd hosts: cgroups with odd names and thousands deep, a bpffs that others can write to, mounts that are
# missing, limits, and what others leave behind.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034
load helpers

# A PID namespace whose first process is in a mount namespace of its own: its bpffs is the one that counts.
CORNER=(unshare --mount --propagation private --pid --fork --kill-child=TERM --mount-proc)

setup_file() {
	need_sallyport
	export OWN=hosts-${BATS_ROOT_PID:-0} D=$BATS_FILE_TMPDIR
	CGROUPS=$(awk '/ - cgroup2 / && $4 == "/" { print $5; exit }' /proc/self/mountinfo)
	export CGROUPS
	[[ $CGROUPS ]] || skip "cgroup2 is not mounted"
}

# Below a cgroup of this file's; what is in it ends with it.
teardown_file() {
	local d
	echo >"$D/keep/s.go" || true # whoever still keeps sockets
	for d in "$CGROUPS"/*"$OWN"*; do
		[[ -d $d ]] || continue
		echo 1 >"$d/cgroup.kill" || true
		find "$d" -depth -type d -delete 2>/dev/null || true
	done
}

# Runs in a cgroup of that name.
in_cgroup() { # NAME COMMAND...
	local name=$1
	shift
	mkdir -p "$CGROUPS/$name"
	# shellcheck disable=SC2016
	timeout $((60 * SLOW)) sh -c 'echo 0 >"$0/cgroup.procs" && exec "$@"' "$CGROUPS/$name" "$@" 3>&-
}

@test "hosts: below a cgroup that is called sallyport-something" {
	run -0 in_cgroup "sallyport-ci-$OWN.service" "$SALLYPORT" run --quiet -- echo ran
	[[ $output == ran ]] || fail "not run"
}

@test "hosts: beside a cgroup of the name that the next start would take" {
	local i
	# the first process of a PID namespace has PID 1 in each of them
	mkdir -p "$CGROUPS/beside-$OWN"
	for ((i = 0; i < 40; i++)); do
		mkdir "$CGROUPS/beside-$OWN/sallyport-$i-1"
	done
	run -0 in_cgroup "beside-$OWN" unshare --mount --propagation private --pid --fork --kill-child=KILL --mount-proc \
		"$SALLYPORT" run --quiet -- echo ran
	[[ $output == ran ]] || fail "not run: $output"
}

@test "hosts: in a sandbox there is no other, whatever the cgroups are called" {
	local group pid
	in_cgroup "outer-$OWN" "$SALLYPORT" run --quiet -- sh -c "echo up >$D/up; sleep $((20 * SLOW))" &
	pid=$!
	wait_for_file "$D/up" 20
	group=$(find "$CGROUPS/outer-$OWN" -mindepth 1 -type d -name 'sallyport-*')
	mkdir "$group/below"
	run in_cgroup "${group#"$CGROUPS"/}/below" "$SALLYPORT" run -- touch "$D/nested"
	[[ $status -eq 1 && $output == *"sandboxes do not nest"* && ! -e $D/nested ]] || fail "not refused"
	echo 1 >"$group/cgroup.kill"
	wait "$pid" || true
	# what the command itself is told, which may not even ask for the programs
	run "$SALLYPORT" run --quiet -- "$SALLYPORT" run -- touch "$D/nested"
	[[ $status -eq 1 && $output == *"sandboxes do not nest"* && ! -e $D/nested ]] || fail "inside: not so"
}

# bats test_tags=any-kernel
@test "hosts: a leftover with 2,100 cgroups in each other is removed; below as many, run refuses with a word" {
	local group pid
	in_cgroup "deep-$OWN" "$SALLYPORT" run --quiet -- sh -c "echo up >$D/deep; sleep 300" &
	pid=$!
	wait_for_file "$D/deep" 20
	group=$(find "$CGROUPS/deep-$OWN" -mindepth 1 -type d -name 'sallyport-*')
	"$PYTHON" - "$group" "$CGROUPS/deeper-$OWN" "$SALLYPORT" >"$D/said" 2>&1 <<-'PYTHON'
		import os, subprocess, sys
		group, deeper, sallyport = sys.argv[1:]
		os.mkdir(deeper)
		for top in group, deeper:
		    os.chdir(top)
		    for _ in range(2100):
		        os.mkdir("a")
		        os.chdir("a")
		def enter():
		    with open("cgroup.procs", "w") as procs:
		        procs.write("0")
		print(subprocess.run([sallyport, "run", "--", "true"], preexec_fn=enter).returncode)
		while os.stat(".").st_ino != os.stat(deeper).st_ino:
		    os.chdir("..")
		    os.rmdir("a")
		os.rmdir(deeper)
	PYTHON
	grep -q 'path of this process.s cgroup is too long' "$D/said" && [[ $(tail -n 1 "$D/said") == 1 ]] ||
		fail "not refused: $(<"$D/said")"
	# the owner first, so that it is for the next start
	# shellcheck disable=SC2046
	kill -KILL $(<"$CGROUPS/deep-$OWN/cgroup.procs")
	echo 1 >"$group/cgroup.kill"
	wait "$pid" || true
	run -0 "$SALLYPORT" run --quiet -- true
	run -0 "$SALLYPORT" run --quiet -- true
	[[ ! -e $group ]] || fail "it is left"
}

@test "hosts: a bpffs of mode 1777 where somebody was first: another is used, and doctor says so" {
	# shellcheck disable=SC2016
	run "${CORNER[@]}" bash -c '
		mount -t bpf bpf /sys/fs/bpf && mkdir -p /run/sallyport && mount -t tmpfs -o mode=700 tmpfs /run/sallyport
		setpriv --reuid 65534 --clear-groups mkdir /sys/fs/bpf/sallyport || exit 9
		"$0" run --quiet -- echo ran
		ls /run/sallyport/bpf
		"$0" doctor | grep bpffs' "$SALLYPORT" 3>&-
	[[ $output == ran$'\n'*sallyport*"passed over: /sys/fs/bpf has a directory"* ]] || fail "not as it must be"
}

@test "hosts: bpffs read-only; /run read-only; /proc missing; few descriptors, processes and blocks" {
	# shellcheck disable=SC2016
	run -0 "${CORNER[@]}" bash -c '
		mount -t bpf -o ro bpf /sys/fs/bpf && mkdir -p /run/sallyport && mount -t tmpfs -o mode=700 tmpfs /run/sallyport
		"$0" run --quiet -- echo ran' "$SALLYPORT" 3>&-
	[[ $output == ran ]] || fail "read-only bpffs"
	# shellcheck disable=SC2016
	run -0 unshare --mount --propagation private bash -c '
		mount --bind /run /run && mount -o remount,bind,ro /run && "$0" run --quiet -- echo ran' "$SALLYPORT" 3>&-
	[[ $output == ran ]] || fail "/run read-only"
	# shellcheck disable=SC2016
	run unshare --mount --propagation private bash -c '
		umount -l /proc; mount -t tmpfs tmpfs /proc; "$0" run -- echo ran' "$SALLYPORT" 3>&-
	[[ $status -eq 1 && $output == *"is /proc mounted?"* ]] || fail "no /proc"
	local limit
	for limit in "-n 64" "-u 20" "-f 8"; do
		# shellcheck disable=SC2016
		run -0 bash -c "ulimit $limit"'; "$0" run --quiet -- sh -c "echo ran"' "$SALLYPORT" 3>&-
		[[ $output == ran ]] || fail "ulimit $limit"
	done
}

@test "hosts: run leaves no mount where cgroup2 and bpffs are missing" {
	# shellcheck disable=SC2016
	run -0 unshare --mount --propagation private bash -c '
		umount -l /sys && mount -t sysfs sysfs /sys
		before=$(</proc/self/mountinfo)
		"$0" run --quiet -- echo ran
		[[ $(</proc/self/mountinfo) == "$before" ]]' "$SALLYPORT" 3>&-
	[[ $output == ran ]] || fail "not run"
}

@test "hosts: starts with a /run each, and one bpffs, do not get in each other's way" {
	# shellcheck disable=SC2016
	run -0 "${CORNER[@]}" bash -c '
		mount -t bpf -o mode=700 bpf /sys/fs/bpf && mkdir -p /run/sallyport
		for n in {1..24}; do
			unshare --mount --propagation private bash -c \
				"mount -t tmpfs -o mode=700 tmpfs /run/sallyport && exec \"\$0\" run --quiet -- true" "$0" || echo failed &
		done
		wait
		"$0" run --quiet -- true
		find /sys/fs/bpf/sallyport -path "*/boxes/*"' "$SALLYPORT" 3>&-
	[[ ! $output ]] || fail "failed, or left"
}

@test "hosts: sockets that another sandbox keeps for ever do not slow down the starts of others" {
	local n pid from before after mine=$D/keep
	mkdir -m 777 "$mine"
	"$SALLYPORT" run --quiet -- "$PYTHON" "$E2E/clients/keep.py" keep "$mine/s" 12 3>&- &
	pid=$!
	for ((n = 0; n < 100 * SLOW; n++)); do
		[[ -S $mine/s ]] && break
		sleep 0.05
	done
	from=${EPOCHREALTIME/./}
	run -0 "$SALLYPORT" run --quiet -- true
	before=$(((${EPOCHREALTIME/./} - from) / 1000))
	for ((n = 0; n < 12; n++)); do
		run -0 "$SALLYPORT" run --quiet -- "$PYTHON" "$E2E/clients/keep.py" give "$mine/s"
	done
	wait_for_file "$mine/s.kept" 10
	from=${EPOCHREALTIME/./}
	run -0 "$SALLYPORT" run --quiet -- true
	after=$(((${EPOCHREALTIME/./} - from) / 1000))
	echo "# a start: $before ms, beside 12 sandboxes whose sockets are kept $after ms" >&3
	# it was 200 ms for each of them
	[[ $after -lt $((before + 500 * SLOW)) ]] || fail "slow: $before ms, then $after ms"
	echo >"$mine/s.go"
	wait "$pid"
}

@test "hosts: in a chroot, and below a mount on the root directory, nothing is reached that is not covered" {
	local jail=$D/jail
	mkdir -p "$jail/root" "$jail/top"
	# Out of the chroot, as root can; and to a cgroup v2 that is not in the chroot's table of mounts.
	cat >"$D/leave.py" <<-'PY'
		import os, sys
		top = os.open("/", os.O_RDONLY)
		try:
		    os.chroot("/tmp")
		except PermissionError:
		    sys.exit("kept")
		os.fchdir(top)
		for _ in range(64):
		    os.chdir("..")
		os.chroot(".")
		os.close(os.open(sys.argv[1], os.O_WRONLY))
	PY
	local prepare='mount --make-rprivate / && mount --rbind / "$0/root" && mount -t cgroup2 none "$0/top"'
	run -0 unshare -m sh -c "$prepare"' && exec chroot "$0/root" "$@"' "$jail" \
		"$PYTHON" "$D/leave.py" "$jail/top/cgroup.procs"
	run unshare -m sh -c "$prepare"' && exec chroot "$0/root" "$@"' "$jail" \
		"$SALLYPORT" run --quiet -- "$PYTHON" "$D/leave.py" "$jail/top/cgroup.procs" 3>&-
	[[ $status -eq 1 && $output == *kept* ]] || fail "left: $output"
	# what needs no chroot is as it was, elsewhere too
	run -0 "$SALLYPORT" run --quiet -- chroot / true 3>&-
	run unshare -m sh -c 'mount --make-rprivate / && mount -t tmpfs tmpfs "$0" && mkdir "$0/cgroup" &&
		mount -t cgroup2 none "$0/cgroup" && mount --rbind "$0" / && test -e /../cgroup/cgroup.procs && exec "$@"' \
		"$jail/top" "$SALLYPORT" run --quiet -- test -e /../cgroup/cgroup.procs 3>&-
	[[ $status -eq 1 && $output == *"root directory"* ]] || fail "started: $status $output"
}
