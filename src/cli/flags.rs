//! The table of flags. By it and that of the [commands](super::commands) the command line is read and help is made; manual and completions are
//! made of both in `tests/manual`.

use std::sync::LazyLock;

/// A flag.
#[derive(Clone, Debug)]
pub struct FlagSpec {
    /// How it is typed: `-c, --config FILE`, where a letter and a value are for those that have one.
    pub usage: &'static str,
    /// What may be typed after `-` instead.
    pub short: Option<char>,
    /// What is typed after `--`; its name.
    pub long: &'static str,
    /// What its value is called; `None` for a flag without one.
    pub value: Option<&'static str>,
    /// One line of help.
    pub help: &'static str,
    /// The commands that take it; empty for all of them.
    pub commands: Vec<&'static str>,
}

/// Every flag, in the order of the help: how it is typed, one line of help, and the commands that take it; none: all do.
const TABLE: &str = "\
--once            | one full pass: detect, take a turn if it is free now, reboot | run
--wait DURATION   | with --once: wait that long for a turn, such as 90s, 10m or 1h30m | run
--dry-run         | everything but the commit, the hooks and the reboot | run
--health          | run the health script too | simulate
--json            | print JSON, for programs | validate-config check-etcd simulate status explain history verify-history version
--watch           | show it again whenever something changes, until Ctrl-C | status
-v, --verbose     | with every endpoint of etcd: whether it works, and how it failed last | status
--windows N       | print when the maintenance windows open, the next N times | validate-config
--at TIME         | judge the maintenance window at that time | explain
--from REVISION   | the first revision that is judged; what stood before it counts | verify-history
--reason TEXT     | why, for the others and the history (pause and request need none) | pause request release go-on reset-budget
--for DURATION    | when the pause, or the urgent request, ends by itself, such as 30m, 4h or 2d | pause request
--nodes N         | for so many nodes at the most | go-on
--all             | every registered member; with --cancel every request | request
--cancel          | withdraw the request instead | request
--urgent          | wait for no maintenance window and no cooldown; ends after 4h, or --for | request
-y, --yes         | do it without asking | pause release
-c, --config FILE | the configuration file (default /etc/reboot-coordinator/config.yaml) |
-h, --help        | print help |
-V, --version     | print the version |";

/// The table, read.
pub static FLAGS: LazyLock<Vec<FlagSpec>> =
    LazyLock::new(|| TABLE.lines().map(FlagSpec::of).collect());

/// Where the configuration is unless `--config` says otherwise.
pub const DEFAULT_CONFIG: &str = "/etc/reboot-coordinator/config.yaml";

impl FlagSpec {
    fn of(line: &'static str) -> FlagSpec {
        let mut cells = line.split('|').map(str::trim);
        let mut next = || cells.next().unwrap_or_default();
        let usage = next();
        let (short, long) = usage.split_once("--").unwrap_or_default();
        let mut words = long.split(' ');
        FlagSpec {
            usage,
            short: short.chars().nth(1),
            long: words.next().unwrap_or_default(),
            value: words.next(),
            help: next(),
            commands: next().split_whitespace().collect(),
        }
    }

    /// Whether it goes with a command.
    pub fn is_of(&self, command: &str) -> bool {
        self.commands.is_empty() || self.commands.contains(&command)
    }
}

/// The flags that a command takes.
pub fn flags_of(command: &str) -> impl Iterator<Item = &'static FlagSpec> {
    FLAGS.iter().filter(move |flag| flag.is_of(command))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_flag_can_be_mistaken_for_another() {
        for (index, flag) in FLAGS.iter().enumerate() {
            for other in &FLAGS[..index] {
                assert!(flag.long != other.long);
                assert!(flag.short.is_none() || flag.short != other.short);
            }
        }
    }

    #[test]
    fn the_default_configuration_is_the_documented_one() {
        let config = FLAGS.iter().find(|flag| flag.long == "config").unwrap();
        assert!(config.help.contains(DEFAULT_CONFIG));
    }
}
