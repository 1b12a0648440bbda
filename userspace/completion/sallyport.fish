# SPDX-License-Identifier: GPL-2.0-or-later
# fish completion of sallyport(1). Commands and options are what the program's own --help says.

function __sallyport_commands
    sallyport --help 2>/dev/null | string match -rg '^  ([a-z]+)  +(.*)$' | string collect | while read -l name
        read -l text
        printf '%s\t%s\n' $name $text
    end
end

complete -c sallyport -f
complete -c sallyport -n __fish_use_subcommand -a '(__sallyport_commands)'
complete -c sallyport -n __fish_use_subcommand -l help -s h -d 'help'
complete -c sallyport -n __fish_use_subcommand -l version -s V -d 'version'

for command in run check explain doctor selftest
    for line in (sallyport $command --help 2>/dev/null | string match -r '^ +(?:-[A-Za-z], +)?--[a-z-]+.*')
        set -l name (string match -rg -- '--([a-z-]+)' $line)[1]
        set -l short (string match -rg '^ +-([A-Za-z]),' $line)
        set -l argument (string match -rg -- '--[a-z-]+ ([A-Z]+)' $line)
        set -l text (string replace -r '^.*--[a-z-]+(?: [A-Z]+)? +' '' -- $line)
        set -l rest
        switch "$name"
            case policy events
                set rest -r -F
            case user
                set rest -x -a '(__fish_complete_users)'
            case share
                set rest -x -a '(sallyport run --share help 2>/dev/null | string replace -r " +" \t)'
            case mode
                set rest -x -a 'enforce audit_only'
            case default
                set rest -x -a 'deny allow'
            case protocol
                set rest -x -a 'tcp udp'
            case '*'
                test -n "$argument"; and set rest -x
        end
        test -n "$short"; and set rest $rest -s $short
        complete -c sallyport -n "__fish_seen_subcommand_from $command" -l $name -d "$text" $rest
    end
end
complete -c sallyport -n '__fish_seen_subcommand_from check' -F
complete -c sallyport -n '__fish_seen_subcommand_from run' -a '(__fish_complete_subcommand --fcs-skip=2)'
