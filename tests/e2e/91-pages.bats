#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Pages handed to sockets: what follows a verdict may lie in them, what is judged may not. Before Linux
# 6.2 the calls are refused, and programs go on without.
# shellcheck disable=SC2034
load helpers

setup_file() { lab_up; }

# written by the user that the command runs as
as() { # USER
	chmod 666 "$EVENTS"
	POLICY+=(--user "$1")
}
teardown_file() { lab_down; }

# Can the packet hook tell pages (bpf_rdonly_cast)? Held against what doctor has tried.
told() {
	"$SALLYPORT" doctor | grep -q '^ok *shared pages'
}

@test "pages: doctor's word and the kernel's version agree" {
	local major minor
	IFS=. read -r major minor _ <<<"$(uname -r)"
	if ((major > 6 || (major == 6 && minor >= 2))); then
		told
	else
		! told
	fi
}

@test "pages: the body of a request by sendfile" {
	POLICY=(--allow good.test)
	allowed "$PYTHON" "$E2E/clients/pages.py" upload good.test 4000000
	as 65534:65534
	allowed "$PYTHON" "$E2E/clients/pages.py" upload good.test 20
}

@test "pages: the head of a second request by sendfile is denied, with its reason" {
	POLICY=(--allow good.test)
	run -0 outside "$PYTHON" "$E2E/clients/pages.py" heads good.test
	run inside "$PYTHON" "$E2E/clients/pages.py" heads good.test
	[[ $status -ne 0 ]] || fail "it was served"
	if told; then
		event reason=shared_pages verdict=denied dst.port=80
	else
		[[ $output == *"[Errno 22]"* ]] || fail "not EINVAL"
	fi
}

@test "pages: audit_only says so, and lets it pass" {
	told || skip "this kernel cannot tell"
	POLICY=(--mode audit_only --allow good.test)
	run -0 inside "$PYTHON" "$E2E/clients/pages.py" heads good.test
	[[ $output == *" 200 "* ]] || fail "not served"
	event reason=shared_pages verdict=would_deny
}

@test "pages: what the calls say, as uid 65534 and as root" {
	local user
	for user in 65534:65534 0:0; do
		POLICY=()
		as "$user"
		run -0 inside "$PYTHON" "$E2E/clients/pages.py" words
		if told; then
			[[ $(grep -c ' ok$' <<<"$output") -eq 4 ]] || fail "refused"
		else
			[[ $(grep -c ' EINVAL$' <<<"$output") -eq 4 ]] || fail "not refused"
		fi
		run -0 inside "$PYTHON" "$E2E/clients/pages.py" copy
	done
}

@test "pages: --keep-sendfile keeps them, and says what is not held" {
	POLICY=(--keep-sendfile)
	run -0 inside "$PYTHON" "$E2E/clients/pages.py" words
	[[ $(grep -c ' ok$' <<<"$output") -eq 4 ]] || fail "refused"
	if told; then
		[[ $output != *keep-sendfile* ]] || fail "a warning without a reason"
	else
		[[ $output == *"--keep-sendfile: "* ]] || fail "not said"
	fi
}
