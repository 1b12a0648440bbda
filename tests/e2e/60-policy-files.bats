#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# check, explain, doctor and the command line; no lab.
# The tests that are the same on every kernel are not repeated in virtual machines (tests/vm/suite).
# shellcheck disable=SC2030,SC2031,SC2034
load helpers

setup_file() { need_sallyport; }

policy() { # NAME TEXT
	echo "$2" >"$BATS_TEST_TMPDIR/$1"
}

sp() {
	timeout $((60 * SLOW)) "$SALLYPORT" "$@" 3>&-
}

# bats test_tags=any-kernel
@test "check: a good policy" {
	policy p.json '{ "version": 1, "name": "n", "rules": [ { "deny": ["*.a.test"] },
		{ "allow": ["a.test", "b.test:22", "10.0.0.0/8", "[2001:db8::1]:443"] } ] }'
	run sp check "$BATS_TEST_TMPDIR/p.json"
	[[ $status -eq 0 ]] || fail "refused"
}

# bats test_tags=any-kernel
@test "check: a document that uses most of what there is is well-formed" {
	policy p.json '{ "version": 1, "name": "coding-agent", "description": "what the agent may reach",
  "mode": "enforce", "default": "deny", "precedence": "first_match",
  "rules": [
    { "deny":  ["*.internal.example.com"], "note": "never the intranet" },
    { "allow": ["api.github.com", "github.com:22", "*.openai.com"] },
    { "allow": ["db.example.net"], "ports": [5432], "protocol": "tcp" },
    { "allow": ["10.20.0.0/16"], "ports": ["8000-8999"] },
    { "decide": ["**.example.org"], "by": { "unix": "/run/decider.sock" },
      "timeout_ms": 5000, "cache": true, "context_messages": 5, "context_metadata": { "tenant": "acme" } },
    { "prompt": ["**"], "timeout_ms": 60000 } ],
  "dns":  { "resolvers": ["system"], "min_ttl": 60, "max_ttl": 86400 },
  "tls":  { "sni": "require", "ech": "outer" }, "quic": "deny", "loopback": "own", "inbound": "allow" }'
	run sp check "$BATS_TEST_TMPDIR/p.json"
	[[ $status -eq 0 ]] || fail "refused"
}

# bats test_tags=any-kernel
@test "check: an unknown key: line, column, and the nearest known key" {
	policy p.json $'{\n  "version": 1,\n  "defualt": "deny",\n  "rules": []\n}'
	run sp check "$BATS_TEST_TMPDIR/p.json"
	[[ $status -eq 2 ]] || fail "not 2"
	[[ $output == *p.json:3:* && $output == *defualt* && $output == *'"default"'* ]] || fail "no place or no hint"
}

# bats test_tags=any-kernel
@test "check: bad documents, each with its place" {
	local text i=0
	while IFS= read -r text; do
		i=$((i + 1))
		policy "bad$i.json" "$text"
		run sp check "$BATS_TEST_TMPDIR/bad$i.json"
		[[ $status -eq 2 && $output == *"bad$i.json"* ]] || fail "accepted: $text"
	done <<-'LIST'
		{ "version": 1, "rules": [ { "allow": ["a..test"] } ] }
		{ "version": 1, "rules": [ { "allow": [" a.test"] } ] }
		{ "version": 1, "rules": [ { "allow": [] , "deny": ["a.test"] } ] }
		{ "version": 1, "rules": [ { "ports": [1] } ] }
		{ "version": 1, "rules": [ { "allow": ["1.2.3.4/33"] } ] }
		{ "version": 1, "rules": [ { "allow": ["1.2.3.4/8"] } ] }
		{ "version": 1, "rules": [ { "allow": ["a.test"], "ports": ["9-1"] } ] }
		{ "version": 1, "rules": [ { "allow": ["a.test"], "protocol": "icmp" } ] }
		{ "version": 1, "mode": "permissive", "rules": [] }
		{ "version": "1", "rules": [] }
		{ "version": 1, "rules": {} }
		{ "version": 1, "rules": [ { "allow": "a.test" } ] }
		{ "version": 1, "rules": [], }
		{ "version": 1, "dns": { "resolvers": ["1.2.3"] }, "rules": [] }
		null
	LIST
	[[ $i -eq 15 ]]
	run sp check "$BATS_TEST_TMPDIR/missing.json"
	[[ $status -ne 0 && $output == *missing.json* ]]
}

# bats test_tags=any-kernel
@test "check: a pattern that covers a public suffix is a warning that names it" {
	policy p.json '{ "version": 1, "rules": [ { "allow": ["*.com"] }, { "allow": ["**.co.uk"] } ] }'
	run sp check "$BATS_TEST_TMPDIR/p.json"
	[[ $status -eq 0 && $output == *warning*"*.com"* && $output == *co.uk* ]] || fail "no warning"
}

# bats test_tags=any-kernel
@test "check: what opens nearly everything, or a cloud's metadata service, is a warning that names rule and reason" {
	local p=$BATS_TEST_TMPDIR/p.json
	policy p.json '{ "version": 1, "rules": [ { "allow": ["a.test"] }, { "allow": ["0.0.0.0/0"], "id": "all" } ] }'
	run -0 sp check "$p"
	[[ $output == *'warning: rule 1 (all): "0.0.0.0/0": '*"opens every address"* ]] || fail "every IPv4 address"
	[[ $output == *"warning: rule 1 (all) opens 169.254.169.254, "*credentials* ]] || fail "the metadata service"
	run -0 sp check --json "$p"
	[[ $output == *'"warnings":["rule 1 (all)'*169.254.169.254* ]] || fail "in JSON"
	policy p.json '{ "version": 1, "rules": [ { "allow": ["::/0"], "id": "all" } ] }'
	run -0 sp check "$p"
	[[ $output == *'rule 0 (all): "::/0": '* && $output == *"opens fd00:ec2::254"* ]] || fail "every IPv6 address"
	policy p.json '{ "version": 1, "default": "allow", "rules": [ { "deny": ["a.test"] } ] }'
	run -0 sp check "$p"
	[[ $output == *'warning: "default": "allow" opens all that no rule names'* ]] || fail "default"
	[[ $output == *'warning: "default" opens 169.254.169.254, fd00:ec2::254'* ]] || fail "the metadata service by default"
	policy p.json '{ "version": 1, "rules": [ { "allow": ["10.0.0.0/8", "a.test"] } ], "dns": { "private_answers": ["10.0.0.0/8"] } }'
	run -0 sp check "$p"
	[[ $output != *warning* ]] || fail "warns of a company's network"
}

# bats test_tags=any-kernel
@test "explain: allowed, denied, default, port" {
	policy p.json '{ "version": 1, "rules": [ { "deny": ["x.a.test"] }, { "allow": ["*.a.test", "b.test:22"] } ] }'
	local p=$BATS_TEST_TMPDIR/p.json
	run sp explain --policy "$p" y.a.test
	[[ $output == *allow* && $output == *'*.a.test'* ]] || fail "y.a.test"
	run sp explain --policy "$p" x.a.test
	[[ $output == *den* && $output == *x.a.test* ]] || fail "x.a.test"
	run sp explain --policy "$p" c.test
	[[ $output == *default* ]] || fail "c.test"
	run sp explain --policy "$p" b.test:22
	[[ $output == *allow* ]] || fail "b.test:22"
	local allowed_status=$status
	run sp explain --policy "$p" b.test:443
	[[ $output == *default* && $status -ne $allowed_status || $output == *den* ]] || fail "b.test:443"
	run sp explain --policy "$p" 'bad name'
	[[ $status -ne 0 && $output == *"bad name"* ]] || fail "a bad name is allowed"
	run sp explain --policy "$p" https://b.test/
	[[ $status -eq 2 && $output == *"no scheme"* ]] || fail "a URL: $output"
}

@test "doctor: a table, and JSON with the same verdict" {
	run sp doctor
	[[ $status -le 1 && -n $output ]] || fail "doctor"
	local text_status=$status
	run --separate-stderr sp doctor --json
	[[ $status -eq $text_status ]] || fail "another verdict"
	"$PYTHON" -m json.tool <<<"$output" >/dev/null || fail "not JSON"
}

@test "doctor: this host can enforce" {
	run sp doctor
	[[ $status -eq 0 ]] || fail "doctor says no"
}

# bats test_tags=any-kernel
@test "command line: help, version, unknown commands and options" {
	run sp --help
	[[ $status -eq 0 && $output == *run* && $output == *check* && $output == *explain* && $output == *doctor* ]]
	local word
	for word in --version version; do
		run sp "$word"
		[[ $status -eq 0 && $output =~ [0-9]+\.[0-9]+ ]] || fail "$word"
	done
	local command
	for command in run check explain doctor selftest; do
		run sp "$command" --help
		[[ $status -eq 0 && -n $output ]] || fail "$command --help"
	done
	run sp
	[[ $status -eq 2 ]] || fail "nothing: not 2"
	run sp rnu
	[[ $status -eq 2 && $output == *run* ]] || fail "no hint"
	run sp check
	[[ $status -eq 2 ]] || fail "check without a file"
}
