# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# bash completion of sallyport(1). Commands and options are what the program's own --help says.

# The lines of options of a command's help: "--name" or "--name ARGUMENT".
_sallyport_options() { # PROGRAM COMMAND
	"$1" "$2" --help 2>/dev/null | grep -oE '^ +(-[A-Za-z], +)?--[a-z-]+( [A-Z]+)?' | grep -oE -- '--[a-z-]+( [A-Z]+)?'
}

_sallyport_words() { # LIST
	local word=${COMP_WORDS[COMP_CWORD]}
	mapfile -t COMPREPLY < <(compgen -W "$1" -- "$word")
}

_sallyport_argument() { # OPTION: true if its argument stands here
	local word=${COMP_WORDS[COMP_CWORD]}
	case $1 in
	-p | --policy | -e | --events)
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
		;;
	-u | --user) mapfile -t COMPREPLY < <(compgen -u -- "$word") ;;
	--share) _sallyport_words "$("$program" run --share help 2>/dev/null | cut -d' ' -f1)" ;;
	--mode) _sallyport_words "enforce audit_only" ;;
	--default) _sallyport_words "deny allow" ;;
	--protocol) _sallyport_words "tcp udp" ;;
	*)
		COMPREPLY=()
		[[ $1 == -[ad] || " $takes " == *" $1 "* ]]
		;;
	esac
}

_sallyport() {
	local program=${COMP_WORDS[0]} command=${COMP_WORDS[1]-} word=${COMP_WORDS[COMP_CWORD]} takes options i=2
	COMPREPLY=()
	if [[ $COMP_CWORD -eq 1 ]]; then
		_sallyport_words "$("$program" --help 2>/dev/null | sed -n '/^commands:/,/^$/s/^  \([a-z]*\) .*/\1/p') help version --help --version"
		return
	fi
	if [[ $command == help ]]; then
		_sallyport_words "$("$program" --help 2>/dev/null | sed -n '/^commands:/,/^$/s/^  \([a-z]*\) .*/\1/p')"
		return
	fi
	options=$(_sallyport_options "$program" "$command")
	takes=$(sed -n 's/ [A-Z].*//p' <<<"$options" | tr '\n' ' ')
	# where do the options end?
	while [[ $i -lt $COMP_CWORD && ${COMP_WORDS[i]} == -* && ${COMP_WORDS[i]} != -- ]]; do
		if [[ ${COMP_WORDS[i]} == -[adpeu] || " $takes " == *" ${COMP_WORDS[i]} "* ]]; then
			i=$((i + 1))
		fi
		i=$((i + 1))
	done
	if [[ $i -gt $COMP_CWORD ]]; then
		_sallyport_argument "${COMP_WORDS[COMP_CWORD - 1]}"
	elif [[ $i -eq $COMP_CWORD && $word == -* ]]; then
		_sallyport_words "$(cut -d' ' -f1 <<<"$options")"
	elif [[ $command == check ]]; then
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
	elif [[ $command == run ]]; then
		[[ ${COMP_WORDS[i]} != -- ]] || i=$((i + 1))
		if declare -F _command_offset >/dev/null; then
			_command_offset "$i"
		elif [[ $i -eq $COMP_CWORD ]]; then
			mapfile -t COMPREPLY < <(compgen -c -- "$word")
		else
			compopt -o filenames 2>/dev/null
			mapfile -t COMPREPLY < <(compgen -f -- "$word")
		fi
	fi
}

complete -F _sallyport sallyport
