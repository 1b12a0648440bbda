#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Questions and answers that are not of the usual kind: what clients accept works, and teaches no more than it may.
# shellcheck disable=SC2034
load helpers

setup_file() { lab_up; }
teardown_file() { lab_down; }

policy() { # JSON
	echo "$1" >"$BATS_TEST_TMPDIR/policy.json"
	POLICY=(--policy "$BATS_TEST_TMPDIR/policy.json")
}

@test "dns: a name that resolves to an address of this host teaches nothing" {
	policy '{ "version": 1, "rules": [ { "allow": ["**.odd.test"] } ], "dns": { "resolvers": ["198.18.0.55"] } }'
	run inside dig +short +tries=1 @"$R3" a.c6120001.odd.test
	[[ $output == *198.18.0.1* ]] || fail "no answer"
	event kind=answer reason=rebinding
	run inside dig +short +tries=1 @"$R3" a.c6120002.odd.test
	event kind=answer reason=learned
	policy '{ "version": 1, "rules": [ { "allow": ["**.odd.test"] } ],
		"dns": { "resolvers": ["198.18.0.55"], "private_answers": ["198.18.0.1/32"] } }'
	run inside dig +short +tries=1 @"$R3" a.c6120001.odd.test
	event kind=answer reason=learned
}
