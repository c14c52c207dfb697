//! The table of flags. By it and that of the [commands](super::commands) the command line is read and help is made; manual and completions are
//! made of both in `tests/manual`.

/// A flag.
#[derive(Clone, Copy, Debug)]
pub struct FlagSpec {
    /// What is typed after `--`; its name.
    pub long: &'static str,
    /// What may be typed after `-` instead.
    pub short: Option<char>,
    /// What its value is called; `None` for a flag without one.
    pub value: Option<&'static str>,
    /// One line of help.
    pub help: &'static str,
    /// The commands that take it; empty for all of them.
    pub commands: &'static [&'static str],
}

/// Every flag, in the order of the help.
pub const FLAGS: &[FlagSpec] = &[
    FlagSpec {
        long: "once",
        short: None,
        value: None,
        help: "one full pass: detect, take a turn if it is free now, reboot",
        commands: &["run"],
    },
    FlagSpec {
        long: "wait",
        short: None,
        value: Some("DURATION"),
        help: "with --once: wait that long for a turn, such as 90s, 10m or 1h30m",
        commands: &["run"],
    },
    FlagSpec {
        long: "dry-run",
        short: None,
        value: None,
        help: "everything but the commit, the hooks and the reboot",
        commands: &["run"],
    },
    FlagSpec {
        long: "health",
        short: None,
        value: None,
        help: "run the health script too",
        commands: &["simulate"],
    },
    FlagSpec {
        long: "json",
        short: None,
        value: None,
        help: "print JSON, for programs",
        commands: &[
            "validate-config",
            "check-etcd",
            "simulate",
            "status",
            "explain",
            "history",
            "verify-history",
            "version",
        ],
    },
    FlagSpec {
        long: "watch",
        short: None,
        value: None,
        help: "show it again whenever something changes, until Ctrl-C",
        commands: &["status"],
    },
    FlagSpec {
        long: "verbose",
        short: Some('v'),
        value: None,
        help: "with every endpoint of etcd: whether it works, and how it failed last",
        commands: &["status"],
    },
    FlagSpec {
        long: "windows",
        short: None,
        value: Some("N"),
        help: "print when the maintenance windows open, the next N times",
        commands: &["validate-config"],
    },
    FlagSpec {
        long: "at",
        short: None,
        value: Some("TIME"),
        help: "judge the maintenance window at that time",
        commands: &["explain"],
    },
    FlagSpec {
        long: "from",
        short: None,
        value: Some("REVISION"),
        help: "the first revision that is judged; what stood before it counts",
        commands: &["verify-history"],
    },
    FlagSpec {
        long: "reason",
        short: None,
        value: Some("TEXT"),
        help: "why, for the others and the history (pause and request need none)",
        commands: &["pause", "request", "release", "go-on", "reset-budget"],
    },
    FlagSpec {
        long: "for",
        short: None,
        value: Some("DURATION"),
        help: "when the pause, or the urgent request, ends by itself, such as 30m, 4h or 2d",
        commands: &["pause", "request"],
    },
    FlagSpec {
        long: "nodes",
        short: None,
        value: Some("N"),
        help: "for so many nodes at the most",
        commands: &["go-on"],
    },
    FlagSpec {
        long: "all",
        short: None,
        value: None,
        help: "every registered member; with --cancel every request",
        commands: &["request"],
    },
    FlagSpec {
        long: "cancel",
        short: None,
        value: None,
        help: "withdraw the request instead",
        commands: &["request"],
    },
    FlagSpec {
        long: "urgent",
        short: None,
        value: None,
        help: "wait for no maintenance window and no cooldown; ends after 4h, or --for",
        commands: &["request"],
    },
    FlagSpec {
        long: "yes",
        short: Some('y'),
        value: None,
        help: "do it without asking",
        commands: &["pause", "release"],
    },
    FlagSpec {
        long: "config",
        short: Some('c'),
        value: Some("FILE"),
        help: "the configuration file (default /etc/reboot-coordinator/config.yaml)",
        commands: &[],
    },
    FlagSpec {
        long: "help",
        short: Some('h'),
        value: None,
        help: "print help",
        commands: &[],
    },
    FlagSpec {
        long: "version",
        short: Some('V'),
        value: None,
        help: "print the version",
        commands: &[],
    },
];

/// Where the configuration is unless `--config` says otherwise.
pub const DEFAULT_CONFIG: &str = "/etc/reboot-coordinator/config.yaml";

impl FlagSpec {
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
