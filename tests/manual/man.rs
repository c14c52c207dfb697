//! The manual page of the program, made from the table of commands and flags and from that of exit codes.
//! `docs/reboot-coordinator.8` is what this makes; a test compares them.

use std::fmt::Write as _;

use reboot_coordinator::cli::commands::{COMMANDS, CommandSpec};
use reboot_coordinator::cli::exit::Exit;
use reboot_coordinator::cli::flags::{FLAGS, FlagSpec, flags_of};
use reboot_coordinator::config::variables;

use crate::roff::{Page, bold, escaped, italic};

/// The page for section 8, in the `man` macros.
pub(crate) fn page() -> String {
    let mut page = Page(String::new());
    page.0.push_str(
        ".\\\" Made from src/cli/flags.rs and tests/manual/man.rs; see tests/manual/main.rs for how.\n",
    );
    let version = env!("CARGO_PKG_VERSION");
    let _ = writeln!(
        page.0,
        ".TH REBOOT\\-COORDINATOR 8 \"\" \"reboot\\-coordinator {version}\" \"System Administration\""
    );
    page.section("NAME");
    page.0
        .push_str("reboot\\-coordinator \\- serialize the reboots of a fleet through etcd\n");
    synopsis(&mut page);
    page.section("DESCRIPTION");
    page.paragraphs(DESCRIPTION);
    page.section("COMMANDS");
    for command in COMMANDS.iter() {
        command_entry(&mut page, command);
    }
    page.section("OPTIONS OF EVERY COMMAND");
    for flag in FLAGS.iter().filter(|flag| flag.commands.is_empty()) {
        page.tagged(&flag_tag(flag), flag.help);
    }
    page.section("EXIT STATUS");
    for (code, meaning) in Exit::TABLE {
        page.tagged(&format!("\\fB{code}\\fR"), meaning);
    }
    page.section("SIGNALS");
    for (signal, text) in SIGNALS {
        page.tagged(&bold(signal), text);
    }
    environment(&mut page);
    page.section("FILES");
    for (file, text) in FILES {
        page.tagged(&italic(file), text);
    }
    page.section("EXAMPLES");
    for (command, text) in EXAMPLES {
        page.tagged(&bold(command), text);
    }
    page.section("SEE ALSO");
    page.paragraphs("reboot-coordinator.yaml(5), systemctl(1), shutdown(8), etcd(1), etcdctl(1)");
    page.0
}

const DESCRIPTION: &str = "\
The daemon runs on every machine of a fleet. When a detector says that its machine has to reboot, or an operator asks for it with `request`, it joins a queue in etcd, \
and when it is its turn it judges every gate again, drains the machine, reboots it, and keeps its place until the machine is \
back and healthy. So no more than `max_concurrent_reboots` machines are down at once, and a bad update costs one machine and \
not the fleet.

A reboot happens only when all of this holds at its turn: a detector or an operator asks for it, no kill switch file exists, the maintenance \
window is open, the cluster is not paused and does not cool down, reboot budget is left, and the health script exits 0. \
Whatever cannot be known counts as no. `explain` shows the gates of this machine, `status` the cluster.

A machine that does not come back healthy keeps its claim, and nobody else goes, until it recovers, `hold_timeout_sec` passes \
or an operator takes the claim away with `release`.";

const SIGNALS: &[(&str, &str)] = &[
    (
        "SIGTERM, SIGINT",
        "The daemon stops within a second. A claim that is not committed is given up; a reboot command that was started is left \
         alone.",
    ),
    (
        "SIGHUP",
        "The daemon reads the configuration again, at once and in every state. An invalid one is refused and changes nothing. A \
         pass of `run --once` goes on by what it has read.",
    ),
];

const OWN_VARIABLES: &[(&str, &str)] = &[
    (
        "NO_COLOR",
        "When set, output on a terminal is not coloured.",
    ),
    (
        "SUDO_USER, USER, LOGNAME",
        "Who `pause`, `request`, `release`, `go-on` and `reset-budget` say gave the command; the first that is set.",
    ),
    (
        "TZ",
        "The local time zone, for windows and for times that are shown.",
    ),
];

const FILES: &[(&str, &str)] = &[
    (
        "/etc/reboot-coordinator/config.yaml",
        "The configuration; see reboot-coordinator.yaml(5).",
    ),
    (
        "/etc/reboot-coordinator/config.d/*.yaml",
        "Merged over it in the order of their names.",
    ),
    (
        "/etc/reboot-coordinator/disable",
        "The kill switch: while it exists this machine does not reboot. Its first line is shown as the reason.",
    ),
    (
        "/run/reboot-coordinator/instance.lock",
        "Held by the one instance of this machine.",
    ),
    (
        "/run/reboot-coordinator/completed.json",
        "The last completed reboot.",
    ),
    (
        "/run/reboot-coordinator/claim",
        "What the process with the number behind it last knew of this machine's claim: none, queued, committed or unknown. \
         For the scripts of packages, which do not restart a daemon between the commit to a reboot and the release.",
    ),
];

const EXAMPLES: &[(&str, &str)] = &[
    (
        "reboot-coordinator explain --at 22:30",
        "Why this machine does not reboot, and whether tonight's window lets it.",
    ),
    (
        "reboot-coordinator pause --for 4h --reason 'database upgrade'",
        "No reboot begins anywhere for four hours.",
    ),
    (
        "reboot-coordinator request --all --reason 'new firmware'",
        "Every machine reboots once, in turn, as the gates allow.",
    ),
    (
        "reboot-coordinator release web-17 --reason 'disk died'",
        "The fleet goes on without a machine that will not return.",
    ),
];

fn synopsis(page: &mut Page) {
    page.section("SYNOPSIS");
    for command in COMMANDS.iter() {
        let mut line = format!(".B reboot\\-coordinator {}\n", escaped(command.name));
        if !command.operand.is_empty() {
            let _ = writeln!(line, ".I {}", escaped(command.operand));
        }
        for flag in flags_of(command.name).filter(|flag| !flag.commands.is_empty()) {
            let _ = writeln!(line, "[{}]", flag_tag(flag));
        }
        let _ = writeln!(line, ".br");
        page.0.push_str(&line);
    }
}

fn command_entry(page: &mut Page, command: &CommandSpec) {
    let operand = match command.operand {
        "" => String::new(),
        operand => format!(" {}", italic(operand)),
    };
    let tag = format!("{}{operand}", bold(command.name));
    page.tagged(&tag, &sentence(command.summary));
    let details: Vec<&str> = command.details.lines().map(str::trim).collect();
    if !details.is_empty() {
        let _ = writeln!(page.0, ".IP\n{}", escaped(&details.join(" ")));
    }
    let flags: Vec<&FlagSpec> = flags_of(command.name)
        .filter(|flag| !flag.commands.is_empty())
        .collect();
    if flags.is_empty() {
        return;
    }
    page.0.push_str(".RS\n");
    for flag in flags {
        page.tagged(&flag_tag(flag), flag.help);
    }
    page.0.push_str(".RE\n");
}

fn environment(page: &mut Page) {
    page.section("ENVIRONMENT");
    for (name, text) in OWN_VARIABLES {
        page.tagged(&bold(name), text);
    }
    page.0.push_str(".PP\n");
    page.paragraphs(
        "Detector commands, the health script, hooks and the reboot command run with a clean environment: a fixed PATH and the \
         variables below, which the documentation explains.",
    );
    let names: Vec<String> = variables::names().iter().map(|name| bold(name)).collect();
    let _ = writeln!(page.0, ".PP\n{}", names.join(",\n"));
}

/// The summary of help, as a sentence.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    format!(
        "{}{}.",
        first.map_or(String::new(), String::from),
        letters.as_str()
    )
}

fn flag_tag(flag: &FlagSpec) -> String {
    let short = flag.short.map_or_else(String::new, |letter| {
        format!("{}, ", bold(&format!("-{letter}")))
    });
    let value = flag
        .value
        .map_or_else(String::new, |name| format!(" {}", italic(name)));
    format!("{short}{}{value}", bold(&format!("--{}", flag.long)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_becomes_a_sentence() {
        assert_eq!(sentence("show it"), "Show it.");
    }
}
