# Completions of reboot-coordinator for fish, printed by `reboot-coordinator completions fish`.
function __reboot_coordinator_names
    set -l words (commandline -opc)
    set -l config
    for i in (seq (count $words))
        contains -- $words[$i] -c --config
        and set config --config $words[(math $i + 1)]
    end
    reboot-coordinator completions $argv[1] $config 2>/dev/null
end
complete -c reboot-coordinator -f
complete -c reboot-coordinator -n __fish_use_subcommand -a run -d 'coordinate this node\'s reboots'
complete -c reboot-coordinator -n __fish_use_subcommand -a validate-config -d 'check the configuration and every file it names'
complete -c reboot-coordinator -n __fish_use_subcommand -a check-etcd -d 'check every etcd endpoint from this host, and say what to do'
complete -c reboot-coordinator -n __fish_use_subcommand -a simulate -d 'run the detectors once, without etcd and without a reboot'
complete -c reboot-coordinator -n __fish_use_subcommand -a status -d 'show the cluster, the queue, and this node gate by gate'
complete -c reboot-coordinator -n __fish_use_subcommand -a explain -d 'say why a node does not reboot now; on its own host gate by gate'
complete -c reboot-coordinator -n '__fish_seen_subcommand_from explain' -a '(__reboot_coordinator_names nodes)'
complete -c reboot-coordinator -n __fish_use_subcommand -a history -d 'list finished attempts of the last 30 days, newest last'
complete -c reboot-coordinator -n __fish_use_subcommand -a verify-history -d 'prove from etcd\'s history that no limit, turn, pause or wave was violated'
complete -c reboot-coordinator -n __fish_use_subcommand -a pause -d 'stop reboots in the whole cluster'
complete -c reboot-coordinator -n __fish_use_subcommand -a resume -d 'end the pause'
complete -c reboot-coordinator -n __fish_use_subcommand -a request -d 'ask for a coordinated reboot of nodes, or of all'
complete -c reboot-coordinator -n '__fish_seen_subcommand_from request' -a '(__reboot_coordinator_names nodes)'
complete -c reboot-coordinator -n __fish_use_subcommand -a release -d 'take the claim away from a node that will not return'
complete -c reboot-coordinator -n '__fish_seen_subcommand_from release' -a '(__reboot_coordinator_names claims)'
complete -c reboot-coordinator -n __fish_use_subcommand -a go-on -d 'let the others go in spite of reboots that failed'
complete -c reboot-coordinator -n __fish_use_subcommand -a reset-budget -d 'let a node try again whose reboots did not clear what they were for'
complete -c reboot-coordinator -n '__fish_seen_subcommand_from reset-budget' -a '(__reboot_coordinator_names nodes)'
complete -c reboot-coordinator -n __fish_use_subcommand -a forget -d 'remove a decommissioned member'
complete -c reboot-coordinator -n '__fish_seen_subcommand_from forget' -a '(__reboot_coordinator_names nodes)'
complete -c reboot-coordinator -n __fish_use_subcommand -a completions -d 'print completions for bash, zsh or fish'
complete -c reboot-coordinator -n '__fish_seen_subcommand_from completions' -a 'bash zsh fish'
complete -c reboot-coordinator -n __fish_use_subcommand -a version -d 'print the version'
complete -c reboot-coordinator -n __fish_use_subcommand -a help -d 'print help, also of one command'
complete -c reboot-coordinator -n '__fish_seen_subcommand_from help' -a 'run validate-config check-etcd simulate status explain history verify-history pause resume request release go-on reset-budget forget completions version help'
complete -c reboot-coordinator -n '__fish_seen_subcommand_from run; or __fish_use_subcommand' -l once -d 'one full pass: detect, take a turn if it is free now, reboot'
complete -c reboot-coordinator -n '__fish_seen_subcommand_from run; or __fish_use_subcommand' -l wait -x -d 'with --once: wait that long for a turn, such as 90s, 10m or 1h30m'
complete -c reboot-coordinator -n '__fish_seen_subcommand_from run; or __fish_use_subcommand' -l dry-run -d 'everything but the commit, the hooks and the reboot'
complete -c reboot-coordinator -n '__fish_seen_subcommand_from simulate' -l health -d 'run the health script too'
complete -c reboot-coordinator -n '__fish_seen_subcommand_from validate-config check-etcd simulate status explain history verify-history version' -l json -d 'print JSON, for programs'
complete -c reboot-coordinator -n '__fish_seen_subcommand_from status' -l watch -d 'show it again whenever something changes, until Ctrl-C'
complete -c reboot-coordinator -n '__fish_seen_subcommand_from status' -l verbose -s v -d 'with every endpoint of etcd: whether it works, and how it failed last'
complete -c reboot-coordinator -n '__fish_seen_subcommand_from validate-config' -l windows -x -d 'print when the maintenance windows open, the next N times'
complete -c reboot-coordinator -n '__fish_seen_subcommand_from explain' -l at -x -d 'judge the maintenance window at that time'
complete -c reboot-coordinator -n '__fish_seen_subcommand_from verify-history' -l from -x -d 'the first revision that is judged; what stood before it counts'
complete -c reboot-coordinator -n '__fish_seen_subcommand_from pause request release go-on reset-budget' -l reason -x -d 'why, for the others and the history (pause and request need none)'
complete -c reboot-coordinator -n '__fish_seen_subcommand_from pause request' -l for -x -d 'when the pause, or the urgent request, ends by itself, such as 30m, 4h or 2d'
complete -c reboot-coordinator -n '__fish_seen_subcommand_from go-on' -l nodes -x -d 'for so many nodes at the most'
complete -c reboot-coordinator -n '__fish_seen_subcommand_from request' -l all -d 'every registered member; with --cancel every request'
complete -c reboot-coordinator -n '__fish_seen_subcommand_from request' -l cancel -d 'withdraw the request instead'
complete -c reboot-coordinator -n '__fish_seen_subcommand_from request' -l urgent -d 'wait for no maintenance window and no cooldown; ends after 4h, or --for'
complete -c reboot-coordinator -n '__fish_seen_subcommand_from pause release' -l yes -s y -d 'do it without asking'
complete -c reboot-coordinator -l config -s c -r -F -d 'the configuration file (default /etc/reboot-coordinator/config.yaml)'
complete -c reboot-coordinator -l help -s h -d 'print help'
complete -c reboot-coordinator -l version -s V -d 'print the version'
