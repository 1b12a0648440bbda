#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Completion in bash: what is offered is what the program knows. (zsh and fish: tests/clients.)
# shellcheck disable=SC2030,SC2031,SC2034
load helpers

# offers WORD... : what is offered for the last of them, a space between
offers() {
	bash -c 'source "$1" && shift && COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) && _sallyport && echo "${COMPREPLY[*]}"' \
		- "$TOP/userspace/completion/sallyport.bash" "$SALLYPORT" "$@"
}

@test "completion: commands" {
	run -0 offers ""
	[[ $output == "run check explain doctor selftest help"* ]]
	run -0 offers ru
	[[ $output == run ]]
	run -0 offers help se
	[[ $output == selftest ]]
}

@test "completion: each option of each command's help, and no other" {
	local command
	for command in run check explain doctor selftest; do
		run -0 offers "$command" --
		diff <(tr ' ' '\n' <<<"$output" | sort) \
			<("$SALLYPORT" "$command" --help | grep -oE '^ +(-[A-Za-z], +)?--[a-z-]+' | grep -oE -- '--[a-z-]+' | sort)
	done
}

@test "completion: arguments of options: files, users, names of helpers, words" {
	run -0 offers run --share dock
	[[ $output == docker ]]
	run -0 offers run -a x.test --mode ""
	[[ $output == "enforce audit_only" ]]
	run -0 offers explain --protocol u
	[[ $output == udp ]]
	run -0 offers run --user roo
	[[ $output == root ]]
	run -0 offers run --policy /etc/host
	[[ " $output " == *" /etc/hosts "* ]]
	# a name is for the person to say
	run -0 offers run --allow ""
	[[ -z $output ]]
}

@test "completion: the command after the options, and its arguments" {
	run -0 offers run -a x.test -- unshar
	[[ " $output " == *" unshare "* ]]
	run -0 offers run unshar
	[[ " $output " == *" unshare "* ]]
	run -0 offers run --quiet cat /etc/host
	[[ " $output " == *" /etc/hosts "* ]]
	run -0 offers check /etc/host
	[[ " $output " == *" /etc/hosts "* ]]
}
