#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# The hook for socket families (lsm_cgroup), where the kernel has it, where it has not, and where it only looks as if:
# `doctor` and `selftest` say what is held, and `run` holds the same by seccomp. tests/vm/suite runs it also in a guest
# that was booted without `bpf` among the LSMs (SP_LSM=off).
# shellcheck disable=SC2016,SC2030,SC2031,SC2034
load helpers

# A PID namespace whose first process is in a mount namespace of its own: its bpffs is the one that counts, so the
# programs are loaded there anew, and the hook is tried.
CORNER=(unshare --mount --propagation private --pid --fork --kill-child=TERM --mount-proc)

setup_file() {
	need_sallyport
	LSM=$(cat /sys/kernel/security/lsm 2>/dev/null || true)
	export LSM
}

# In a bpffs of its own, SCRIPT with sallyport as $0.
anew() { # SCRIPT [WORD...]
	local script=$1
	shift
	timeout -k 2 $((60 * SLOW)) "${CORNER[@]}" sh -c 'mount -t bpf -o mode=700 bpf /sys/fs/bpf && mkdir -p /run/sallyport &&
		mount -t tmpfs -o mode=700 tmpfs /run/sallyport && '"$script" "$SALLYPORT" "$@" 3>&-
}

# A family that every kernel has and run refuses, as the command asks for it.
ASK=("$PYTHON" -c 'import socket, sys
try:
    socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 15)
    print("family given")
except OSError as error:
    print("family refused", error.errno)')

# hook given|refused: what a command without the seccomp filter is told by the hook, in a bpffs of its own, with HOW before
# sallyport; doctor says the same, and run refuses the family either way.
hook() { # EXPECTED [HOW...]
	local expected=$1 finding
	shift
	run -0 "${ASK[@]}"
	[[ $output == "family given" ]] || fail "does not even work outside"
	run -0 anew '"$@"' "$@" "$SALLYPORT" run --quiet --keep-families -- "${ASK[@]}"
	[[ $output == "family $expected"* ]] || fail "the hook: not $expected"
	run -0 anew '"$@"' "$@" "$SALLYPORT" run --quiet -- "${ASK[@]}"
	[[ $output == "family refused"* ]] || fail "run does not refuse it"
	run anew '"$@"; exec "$0" doctor' "$@" "$SALLYPORT" run --quiet -- true
	finding=$(grep 'family hook' <<<"$output") || fail "doctor does not speak of it"
	if [[ $expected == refused ]]; then
		[[ $finding == *"seen to refuse a family"* ]] || fail "doctor: $finding"
	else
		[[ $finding == *"not in force"* && $output == *"run uses seccomp meanwhile"* ]] || fail "doctor: $finding"
		[[ ! $LSM || ,$LSM, == *,bpf,* || $finding == *"\`bpf\` is not among the active LSMs ($LSM)"* ]] ||
			fail "doctor does not say why: $finding"
	fi
}

@test "family hook: doctor says what is seen of it; where it is not, run refuses families all the same" {
	if [[ ${SP_LSM:-} == off ]]; then
		[[ $LSM && ,$LSM, != *,bpf,* ]] || fail "this guest was to have no BPF LSM: $LSM"
		hook given
	elif [[ ${SP_IN_VM:-} ]]; then
		hook refused
	else
		run -0 anew '"$0" run --quiet --keep-families -- "$@"' "${ASK[@]}"
		[[ $output =~ ^family\ (given|refused) ]]
		hook "${BASH_REMATCH[1]}"
	fi
}

# As on arm64 before Linux 6.4: the program loads, and does not attach (ENOTSUPP, 524).
@test "family hook: 524 when it is attached: it is absent, said, and nothing else fails" {
	local trace=$BATS_TEST_TMPDIR/trace number
	command -v strace >/dev/null || skip "strace is not here"
	run -0 anew '"$@"' strace -o "$trace" -e trace=bpf "$SALLYPORT" run --quiet -- true
	number=$(grep -nE 'BPF_PROG_ATTACH.*(LSM_CGROUP|attach_type=0x2b)' "$trace" | head -n 1 | cut -d: -f1)
	[[ $number ]] || skip "this kernel refuses the program already when it is loaded"
	hook given strace -o "$trace" -e trace=bpf -e "inject=bpf:error=524:when=$number"
	grep -q 'INJECTED' "$trace" || fail "nothing was injected"
}
