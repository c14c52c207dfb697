//! What a shell needs to complete our commands and flags, made from their table.

use std::fmt::Write as _;

use reboot_coordinator::cli::commands::{COMMANDS, CommandSpec};
use reboot_coordinator::cli::flags::{FLAGS, FlagSpec, flags_of};

/// The shells, as typed, and the files that packages bring.
pub(crate) const SHELLS: [(&str, &str); 3] = [
    ("bash", "completions/reboot-coordinator.bash"),
    ("zsh", "completions/_reboot-coordinator"),
    ("fish", "completions/reboot-coordinator.fish"),
];

pub(crate) fn script(shell: &str) -> String {
    let script = match shell {
        "bash" => bash(),
        "zsh" => zsh(),
        _ => fish(),
    };
    for name in command_names() {
        assert!(script.contains(name), "{shell}: {name}");
    }
    for flag in FLAGS.iter() {
        let spelling = match shell {
            "fish" => format!(" -l {} ", flag.long),
            _ => format!("--{}", flag.long),
        };
        assert!(script.contains(&spelling), "{shell}: {spelling}");
    }
    script
}

fn command_names() -> Vec<&'static str> {
    COMMANDS.iter().map(|spec| spec.name).collect()
}

/// Which names may follow a command.
fn names_for(spec: &CommandSpec) -> Option<&'static str> {
    match spec.name {
        "release" => Some("claims"),
        _ => spec.operand.contains("NODE").then_some("nodes"),
    }
}

/// What may follow a command besides flags, when it can be listed.
fn operands(spec: &CommandSpec) -> String {
    match spec.operand {
        "[COMMAND]" => command_names().join(" "),
        "SHELL" => SHELLS.map(|(name, _)| name).join(" "),
        _ => String::new(),
    }
}

/// A flag as typed, long and short.
fn spellings(flag: &FlagSpec) -> Vec<String> {
    let short = flag.short.map(|letter| format!("-{letter}"));
    std::iter::once(format!("--{}", flag.long))
        .chain(short)
        .collect()
}

fn takes_file(flag: &FlagSpec) -> bool {
    flag.value == Some("FILE")
}

/// The spellings of the flags with a value for which `which` holds, as a pattern of `case`.
fn pattern(which: impl Fn(&FlagSpec) -> bool) -> String {
    let flags = FLAGS
        .iter()
        .filter(|flag| flag.value.is_some() && which(flag));
    flags.flat_map(spellings).collect::<Vec<_>>().join("|")
}

/// Which words stand after which command, for bash.
fn bash_cases() -> String {
    let mut cases = String::new();
    let words = |spec: &CommandSpec, more: String| {
        let flags = flags_of(spec.name).flat_map(spellings);
        let words: Vec<String> = flags.chain(Some(more)).filter(|w| !w.is_empty()).collect();
        words.join(" ")
    };
    // Without a command it is the first one that runs.
    let first = words(&COMMANDS[0], command_names().join(" "));
    let _ = writeln!(cases, "        '') words='{first}' ;;");
    for spec in COMMANDS.iter() {
        let words = words(spec, operands(spec));
        let _ = writeln!(cases, "        {}) words='{words}' ;;", spec.name);
    }
    cases
}

fn bash() -> String {
    let cases = bash_cases();
    let (files, others) = (pattern(takes_file), pattern(|flag| !takes_file(flag)));
    let names = command_names().join("|");
    let asked = |which: &'static str| {
        let those = COMMANDS
            .iter()
            .filter(move |spec| names_for(spec) == Some(which));
        those.map(|spec| spec.name).collect::<Vec<_>>().join("|")
    };
    let (nodes, claims) = (asked("nodes"), asked("claims"));
    format!(
        r#"# Completions of reboot-coordinator for bash, printed by `reboot-coordinator completions bash`.
_reboot_coordinator() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD - 1]}}
    local command='' words='' names='' config=() i
    COMPREPLY=()
    case $previous in
        {files})
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -f -- "$word")
            return
            ;;
        {others}) return ;;
    esac
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${{COMP_WORDS[i]}} in
            {files}) i=$((i + 1)); config=(--config "${{COMP_WORDS[i]}}") ;;
            {others}) i=$((i + 1)) ;;
            {names}) [[ -n $command ]] || command=${{COMP_WORDS[i]}} ;;
        esac
    done
    case $command in
{cases}    esac
    case $command in
        {nodes}) names=nodes ;;
        {claims}) names=claims ;;
    esac
    if [[ -n $names && $word != -* ]]; then
        words+=" $("${{COMP_WORDS[0]}}" completions "$names" "${{config[@]}}" 2>/dev/null)"
    fi
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}}
complete -F _reboot_coordinator reboot-coordinator
"#
    )
}

/// Text inside single quotes.
fn quoted(text: &str) -> String {
    text.replace('\'', r"'\''")
}

fn zsh() -> String {
    let mut commands = String::new();
    let mut cases = String::new();
    for spec in COMMANDS.iter() {
        let (name, summary) = (spec.name, quoted(spec.summary));
        let _ = writeln!(commands, "        '{name}:{summary}'");
        let flags: Vec<String> = flags_of(spec.name).flat_map(zsh_flag).collect();
        let named = names_for(spec).map(|which| format!("_reboot_coordinator_{which}"));
        let action = named.as_deref().unwrap_or(" ");
        let operand = match operands(spec) {
            list if !list.is_empty() => format!(" '1:{}:({list})'", spec.operand),
            _ if spec.operand.is_empty() => String::new(),
            _ if spec.takes_many() => {
                format!(" '*:{}:{action}'", spec.operand.trim_matches(['[', ']']))
            }
            _ => format!(" '1:{}:{action}'", spec.operand),
        };
        let _ = writeln!(
            cases,
            "        {name}) _arguments{operand} \\\n            {} ;;",
            flags.join(" \\\n            ")
        );
    }
    let first: Vec<String> = flags_of(COMMANDS[0].name).flat_map(zsh_flag).collect();
    let first = first.join(" \\\n        ");
    format!(
        "#compdef reboot-coordinator\n\
         # Completions of reboot-coordinator for zsh, printed by `reboot-coordinator completions zsh`.\n\
         _reboot_coordinator_names() {{\n    local -a names config\n    local file=${{opt_args[--config]:-${{opt_args[-c]}}}}\n    \
         [[ -z $file ]] || config=(--config $file)\n    \
         names=(${{(f)\"$(reboot-coordinator completions $1 $config 2>/dev/null)\"}})\n    compadd -a names\n}}\n\
         _reboot_coordinator_nodes() {{ _reboot_coordinator_names nodes }}\n\
         _reboot_coordinator_claims() {{ _reboot_coordinator_names claims }}\n\
         _reboot_coordinator() {{\n    local context state state_descr line\n    typeset -A opt_args\n    local -a commands\n    \
         commands=(\n{commands}    )\n    _arguments -C '1: :->command' '*:: :->rest' \\\n        {first}\n    \
         case $state in\n    command) _describe command commands ;;\n    rest)\n        case $words[1] in\n{cases}        esac ;;\n    \
         esac\n}}\n_reboot_coordinator \"$@\"\n"
    )
}

fn zsh_flag(flag: &FlagSpec) -> Vec<String> {
    let help = quoted(&flag.help.replace('[', r"\[").replace(']', r"\]"));
    let value = match flag.value {
        None => String::new(),
        Some(name) if takes_file(flag) => format!(":{name}:_files"),
        Some(name) => format!(":{name}: "),
    };
    let all = spellings(flag);
    all.iter()
        .map(|spelling| format!("'({}){spelling}[{help}]{value}'", all.join(" ")))
        .collect()
}

fn fish() -> String {
    let mut text = "# Completions of reboot-coordinator for fish, printed by `reboot-coordinator completions fish`.\n\
                    function __reboot_coordinator_names\n    set -l words (commandline -opc)\n    set -l config\n    \
                    for i in (seq (count $words))\n        contains -- $words[$i] -c --config\n        \
                    and set config --config $words[(math $i + 1)]\n    end\n    \
                    reboot-coordinator completions $argv[1] $config 2>/dev/null\nend\n\
                    complete -c reboot-coordinator -f\n"
        .to_owned();
    for spec in COMMANDS.iter() {
        let (name, summary) = (spec.name, fish_quoted(spec.summary));
        let _ = writeln!(
            text,
            "complete -c reboot-coordinator -n __fish_use_subcommand -a {name} -d '{summary}'"
        );
        let operands = operands(spec);
        if !operands.is_empty() {
            let _ = writeln!(
                text,
                "complete -c reboot-coordinator -n '__fish_seen_subcommand_from {name}' -a '{operands}'"
            );
        }
        if let Some(which) = names_for(spec) {
            let _ = writeln!(
                text,
                "complete -c reboot-coordinator -n '__fish_seen_subcommand_from {name}' -a '(__reboot_coordinator_names {which})'"
            );
        }
    }
    for flag in FLAGS.iter() {
        let _ = writeln!(text, "{}", fish_flag(flag));
    }
    text
}

fn fish_quoted(text: &str) -> String {
    text.replace('\\', r"\\").replace('\'', r"\'")
}

fn fish_flag(flag: &FlagSpec) -> String {
    let names: Vec<&str> = flag.commands.to_vec();
    let seen = format!("__fish_seen_subcommand_from {}", names.join(" "));
    let when = if names.is_empty() {
        String::new()
    } else if flag.commands.contains(&COMMANDS[0].name) {
        format!(" -n '{seen}; or __fish_use_subcommand'")
    } else {
        format!(" -n '{seen}'")
    };
    let short = flag
        .short
        .map_or_else(String::new, |letter| format!(" -s {letter}"));
    let value = match flag.value {
        None => "",
        Some(_) if takes_file(flag) => " -r -F",
        Some(_) => " -x",
    };
    let help = fish_quoted(flag.help);
    format!(
        "complete -c reboot-coordinator{when} -l {}{short}{value} -d '{help}'",
        flag.long
    )
}
