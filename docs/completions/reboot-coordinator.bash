# Completions of reboot-coordinator for bash, printed by `reboot-coordinator completions bash`.
_reboot_coordinator() {
    local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    local command='' words='' names='' config=() i
    COMPREPLY=()
    case $previous in
        --config|-c)
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -f -- "$word")
            return
            ;;
        --wait|--windows|--at|--from|--reason|--for|--nodes) return ;;
    esac
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
            --config|-c) i=$((i + 1)); config=(--config "${COMP_WORDS[i]}") ;;
            --wait|--windows|--at|--from|--reason|--for|--nodes) i=$((i + 1)) ;;
            run|validate-config|check-etcd|simulate|status|explain|history|verify-history|pause|resume|request|release|go-on|reset-budget|forget|completions|version|help) [[ -n $command ]] || command=${COMP_WORDS[i]} ;;
        esac
    done
    case $command in
        '') words='--once --wait --dry-run --config -c --help -h --version -V run validate-config check-etcd simulate status explain history verify-history pause resume request release go-on reset-budget forget completions version help' ;;
        run) words='--once --wait --dry-run --config -c --help -h --version -V' ;;
        validate-config) words='--json --windows --config -c --help -h --version -V' ;;
        check-etcd) words='--json --config -c --help -h --version -V' ;;
        simulate) words='--health --json --config -c --help -h --version -V' ;;
        status) words='--json --watch --verbose -v --config -c --help -h --version -V' ;;
        explain) words='--json --at --config -c --help -h --version -V' ;;
        history) words='--json --config -c --help -h --version -V' ;;
        verify-history) words='--json --from --config -c --help -h --version -V' ;;
        pause) words='--reason --for --yes -y --config -c --help -h --version -V' ;;
        resume) words='--config -c --help -h --version -V' ;;
        request) words='--reason --for --all --cancel --urgent --config -c --help -h --version -V' ;;
        release) words='--reason --yes -y --config -c --help -h --version -V' ;;
        go-on) words='--reason --nodes --config -c --help -h --version -V' ;;
        reset-budget) words='--reason --config -c --help -h --version -V' ;;
        forget) words='--config -c --help -h --version -V' ;;
        completions) words='--config -c --help -h --version -V bash zsh fish' ;;
        version) words='--json --config -c --help -h --version -V' ;;
        help) words='--config -c --help -h --version -V run validate-config check-etcd simulate status explain history verify-history pause resume request release go-on reset-budget forget completions version help' ;;
    esac
    case $command in
        explain|request|reset-budget|forget) names=nodes ;;
        release) names=claims ;;
    esac
    if [[ -n $names && $word != -* ]]; then
        words+=" $("${COMP_WORDS[0]}" completions "$names" "${config[@]}" 2>/dev/null)"
    fi
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -F _reboot_coordinator reboot-coordinator
