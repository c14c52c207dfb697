//! The command line to an [`Invocation`]. Parsing only parses: no file is looked at.

use std::ffi::{OsStr, OsString};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::Arg;

use super::completions::Shell;
use super::duration::duration;
use super::flags::{COMMANDS, CommandName, DEFAULT_CONFIG, FLAGS, FlagName, FlagSpec, spec};
use super::moment::Moment;
use crate::config::nearest::nearest;
use crate::lock::keys::{NODE_NAME_RULE, is_node_name};

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// The configuration file.
    pub config: PathBuf,
    /// Print JSON.
    pub json: bool,
    /// The command with its own flags.
    pub command: Command,
}

/// A command with its own flags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// The daemon, or one pass of it.
    Run(RunOptions),
    /// Check the configuration.
    ValidateConfig {
        /// How many of the next openings of its windows are printed.
        windows: usize,
    },
    /// Check every etcd endpoint.
    CheckEtcd,
    /// Run the detectors once.
    Simulate {
        /// The health script too.
        health: bool,
    },
    /// Show the cluster and this node.
    Status {
        /// Again whenever something changes.
        watch: bool,
        /// With the endpoints of etcd.
        verbose: bool,
    },
    /// Say why a node does not reboot now.
    Explain {
        /// Which; this one when none is named.
        node: Option<String>,
        /// Judge the maintenance window then instead of now.
        at: Option<Moment>,
    },
    /// List finished attempts.
    History,
    /// Judge etcd's history.
    VerifyHistory {
        /// The first revision; without it the oldest there is.
        from: Option<i64>,
    },
    /// Stop reboots in the whole cluster.
    Pause(PauseOptions),
    /// Let them go on.
    Resume,
    /// Take a claim away.
    Release {
        /// Whose.
        node: String,
        /// Why, for the history.
        reason: String,
        /// Without asking.
        yes: bool,
    },
    /// Ask for reboots, or withdraw requests.
    Request(RequestOptions),
    /// Let the line go on.
    GoOn {
        /// Why, for the others.
        reason: String,
        /// For how many nodes.
        nodes: Option<u32>,
    },
    /// Let a node try again.
    ResetBudget {
        /// Which.
        node: String,
        /// Why, for the history.
        reason: String,
    },
    /// Remove a member.
    Forget {
        /// Which.
        node: String,
    },
    /// Print a completion script.
    Completions(Shell),
    /// Print the names of nodes, for completions.
    Names {
        /// Only of those that have a claim.
        claims: bool,
    },
    /// Print the version.
    Version,
    /// Print help, of one command or in general.
    Help(Option<CommandName>),
}

/// How `run` runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunOptions {
    /// One full pass instead of a daemon.
    pub once: bool,
    /// With `once`: how long to wait for a turn; `None` to take one only if it is free now.
    pub wait: Option<Duration>,
    /// Everything but the commit, hooks and reboot, whatever the configuration says.
    pub dry_run: bool,
}

/// How to pause.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PauseOptions {
    /// Why, for the others.
    pub reason: Option<String>,
    /// Until somebody resumes, or for this long.
    pub length: Option<Duration>,
    /// Shorten a pause without asking.
    pub yes: bool,
}

/// Whose reboot is requested.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestOptions {
    /// These nodes, in this order; or, when empty, all of them.
    pub nodes: Vec<String>,
    /// Withdraw instead.
    pub cancel: bool,
    /// Why, for the others.
    pub reason: Option<String>,
    /// Past windows and cooldown, for so long.
    pub urgent: Option<Duration>,
}

/// How long an urgent request stands, when nothing else is said.
const URGENT: Duration = Duration::from_secs(4 * 3600);

/// How long it may stand. A window that is wrong for longer than a day is to be changed.
const URGENT_BOUNDS: RangeInclusive<Duration> =
    Duration::from_secs(60)..=Duration::from_secs(86_400);

/// The longest reason, in characters. It is shown in every status.
const REASON_CHARS: usize = 500;

/// Parses arguments, the program's name not among them.
///
/// # Errors
/// What is wrong, on one line, with the nearest known name.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Invocation, String> {
    let Words { flags, operands } = words(arguments)?;
    let has = |name: FlagName| flags.iter().any(|(flag, _)| flag.name == name);
    let mut operands = operands.into_iter();
    let command = operands.next().map(|word| command(&word)).transpose()?;
    let operands: Vec<OsString> = operands.collect();
    let room = match command.map(spec) {
        Some(spec) if spec.takes_many() => usize::MAX,
        Some(spec) if !spec.operand.is_empty() => 1,
        Some(_) | None => 0,
    };
    if let Some(word) = operands.get(room) {
        return Err(surplus(word));
    }
    let topic = match operands.first() {
        Some(word) if command == Some(CommandName::Help) => Some(self::command(word)?),
        _ => None,
    };
    let plain = |command| {
        Ok(Invocation {
            config: PathBuf::from(DEFAULT_CONFIG),
            json: false,
            command,
        })
    };
    // Both answer before anything else is judged, so that they can be added to any command line.
    if has(FlagName::Help) {
        return plain(Command::Help(
            topic.or(command).filter(|name| *name != CommandName::Help),
        ));
    }
    let name = if has(FlagName::Version) {
        CommandName::Version
    } else {
        command.ok_or("a command is missing")?
    };
    for (flag, _) in &flags {
        check_belongs(flag, name)?;
    }
    if name == CommandName::Help {
        return plain(Command::Help(topic));
    }
    let command = own(name, &flags, &operands)?;
    let config =
        value(&flags, FlagName::Config).map_or(PathBuf::from(DEFAULT_CONFIG), PathBuf::from);
    Ok(Invocation {
        config,
        json: has(FlagName::Json),
        command,
    })
}

/// How many, from 1 to 1000.
fn count(text: &OsStr) -> Result<usize, String> {
    let number = text.to_str().and_then(|text| text.parse().ok());
    number
        .filter(|number| (1..=1000).contains(number))
        .ok_or_else(|| format!("{text:?} is not a number from 1 to 1000"))
}

/// The command with its own flags and its operands.
fn own(name: CommandName, flags: &Flags, operands: &[OsString]) -> Result<Command, String> {
    let has = |name: FlagName| flags.iter().any(|(flag, _)| flag.name == name);
    let spec = spec(name);
    if operands.is_empty() && spec.needs_operand() {
        let command = name.as_str();
        return Err(format!(
            "`{command}` needs a {}: reboot-coordinator {command} {}",
            spec.operand, spec.operand
        ));
    }
    let operand = || {
        operands
            .first()
            .map(OsString::as_os_str)
            .unwrap_or_default()
    };
    Ok(match name {
        CommandName::Run => Command::Run(run_options(flags)?),
        CommandName::ValidateConfig => Command::ValidateConfig {
            windows: value(flags, FlagName::Windows).map_or(Ok(0), count)?,
        },
        CommandName::CheckEtcd => Command::CheckEtcd,
        CommandName::Simulate => Command::Simulate {
            health: has(FlagName::Health),
        },
        CommandName::Status => Command::Status {
            watch: has(FlagName::Watch),
            verbose: has(FlagName::Verbose),
        },
        CommandName::Explain => Command::Explain {
            node: operands.first().map(|word| node(word)).transpose()?,
            at: value(flags, FlagName::At)
                .map(|text| text.to_string_lossy().parse())
                .transpose()?,
        },
        CommandName::History => Command::History,
        CommandName::VerifyHistory => Command::VerifyHistory {
            from: value(flags, FlagName::From)
                .map(|text| match text.to_string_lossy().parse() {
                    Ok(revision) if revision > 0 => Ok(revision),
                    _ => Err("`--from` needs a revision of etcd, 1 or more"),
                })
                .transpose()?,
        },
        CommandName::Pause => Command::Pause(pause_options(flags)?),
        CommandName::Resume => Command::Resume,
        CommandName::Release => Command::Release {
            // Whatever stands among the claims can be released, also what no node is called.
            node: operand().to_string_lossy().into_owned(),
            reason: reason(flags)?
                .ok_or("`release` needs --reason TEXT: it goes into the history")?,
            yes: has(FlagName::Yes),
        },
        CommandName::Request => Command::Request(request_options(flags, operands)?),
        CommandName::GoOn => Command::GoOn {
            reason: reason(flags)?
                .ok_or("`go-on` needs --reason TEXT: it stands beside the failures")?,
            nodes: value(flags, FlagName::Nodes)
                .map(|text| match text.to_string_lossy().parse() {
                    Ok(nodes) if nodes > 0 => Ok(nodes),
                    _ => Err("`--nodes` needs a number of nodes, 1 or more"),
                })
                .transpose()?,
        },
        CommandName::ResetBudget => Command::ResetBudget {
            node: node(operand())?,
            reason: reason(flags)?
                .ok_or("`reset-budget` needs --reason TEXT: it goes into the history")?,
        },
        CommandName::Forget => Command::Forget {
            node: node(operand())?,
        },
        CommandName::Completions => match operand().to_string_lossy().as_ref() {
            "nodes" => Command::Names { claims: false },
            "claims" => Command::Names { claims: true },
            shell => Command::Completions(shell.parse()?),
        },
        CommandName::Version => Command::Version,
        CommandName::Help => Command::Help(None),
    })
}

type Flags = Vec<(&'static FlagSpec, Option<OsString>)>;

/// A command line taken apart.
struct Words {
    flags: Flags,
    operands: Vec<OsString>,
}

fn words(arguments: impl IntoIterator<Item = OsString>) -> Result<Words, String> {
    let mut parser = lexopt::Parser::from_args(arguments);
    let mut words = Words {
        flags: Vec::new(),
        operands: Vec::new(),
    };
    while let Some(argument) = parser.next().map_err(|error| error.to_string())? {
        let flag = match argument {
            Arg::Value(word) => {
                words.operands.push(word);
                continue;
            }
            Arg::Long(name) => FLAGS
                .iter()
                .find(|flag| flag.long == name)
                .ok_or_else(|| unknown_flag(name))?,
            Arg::Short(letter) => FLAGS
                .iter()
                .find(|flag| flag.short == Some(letter))
                .ok_or_else(|| format!("unknown flag -{letter}"))?,
        };
        let value = match flag.value {
            Some(name) => {
                let missing = |_| format!("--{} needs a value: --{} {name}", flag.long, flag.long);
                Some(parser.value().map_err(missing)?)
            }
            None => None,
        };
        words.flags.push((flag, value));
    }
    Ok(words)
}

fn unknown_flag(name: &str) -> String {
    match nearest(name, FLAGS.iter().map(|flag| flag.long)) {
        Some(near) => format!("unknown flag --{name}; did you mean --{near}?"),
        None => format!("unknown flag --{name}"),
    }
}

fn command(word: &OsStr) -> Result<CommandName, String> {
    let word = word.to_string_lossy();
    let names = || COMMANDS.iter().map(|spec| spec.name.as_str());
    if let Some(spec) = COMMANDS.iter().find(|spec| spec.name.as_str() == word) {
        return Ok(spec.name);
    }
    Err(match nearest(&word, names()) {
        Some(near) => format!("unknown command {word:?}; did you mean `{near}`?"),
        None => format!(
            "unknown command {word:?}; known are {}",
            names().collect::<Vec<_>>().join(", ")
        ),
    })
}

fn surplus(word: &OsStr) -> String {
    format!("unexpected argument {:?}", word.to_string_lossy())
}

fn check_belongs(flag: &FlagSpec, command: CommandName) -> Result<(), String> {
    if flag.commands.is_empty() || flag.commands.contains(&command) {
        return Ok(());
    }
    let homes: Vec<_> = flag
        .commands
        .iter()
        .map(|name| format!("`{}`", name.as_str()))
        .collect();
    Err(format!(
        "--{} does not belong to `{}`, but to {}",
        flag.long,
        command.as_str(),
        homes.join(", ")
    ))
}

fn value(flags: &Flags, name: FlagName) -> Option<&OsStr> {
    // The last one wins, so that a wrapper's default can be overridden.
    flags
        .iter()
        .rev()
        .find(|(flag, _)| flag.name == name)?
        .1
        .as_deref()
}

fn run_options(flags: &Flags) -> Result<RunOptions, String> {
    let has = |name: FlagName| flags.iter().any(|(flag, _)| flag.name == name);
    let wait = span(flags, FlagName::Wait)?;
    if wait.is_some() && !has(FlagName::Once) {
        return Err("--wait needs --once; a daemon waits anyway".to_owned());
    }
    Ok(RunOptions {
        once: has(FlagName::Once),
        wait,
        dry_run: has(FlagName::DryRun),
    })
}

fn pause_options(flags: &Flags) -> Result<PauseOptions, String> {
    let length = span(flags, FlagName::For)?;
    if length.is_some_and(|length| length.is_zero()) {
        return Err("--for must be longer than nothing".to_owned());
    }
    Ok(PauseOptions {
        reason: reason(flags)?,
        length,
        yes: flags.iter().any(|(flag, _)| flag.name == FlagName::Yes),
    })
}

fn request_options(flags: &Flags, operands: &[OsString]) -> Result<RequestOptions, String> {
    let has = |name: FlagName| flags.iter().any(|(flag, _)| flag.name == name);
    let options = RequestOptions {
        nodes: operands
            .iter()
            .map(|word| node(word))
            .collect::<Result<_, _>>()?,
        cancel: has(FlagName::Cancel),
        reason: reason(flags)?,
        urgent: urgent(flags)?,
    };
    match (options.nodes.is_empty(), has(FlagName::All)) {
        (true, false) => Err("`request` needs a NODE, several, or --all".to_owned()),
        (false, true) => Err("`request` takes either nodes or --all".to_owned()),
        _ if options.cancel && options.reason.is_some() => {
            Err("--reason does not go with --cancel: nobody would read it".to_owned())
        }
        _ if options.urgent.is_some() && (options.cancel || has(FlagName::All)) => Err(
            "--urgent is for nodes that are named; --cancel withdraws an urgent request as any other"
                .to_owned(),
        ),
        _ if options.urgent.is_some() && options.reason.is_none() => {
            Err("--urgent needs --reason TEXT: it passes what others rely on".to_owned())
        }
        _ => Ok(options),
    }
}

fn urgent(flags: &Flags) -> Result<Option<Duration>, String> {
    let urgent = flags.iter().any(|(flag, _)| flag.name == FlagName::Urgent);
    match (urgent, span(flags, FlagName::For)?) {
        (true, Some(span)) if !URGENT_BOUNDS.contains(&span) => {
            Err("--for of an urgent request is 1m at least and 24h at most".to_owned())
        }
        (true, span) => Ok(Some(span.unwrap_or(URGENT))),
        (false, Some(_)) => Err("--for goes with --urgent: other requests do not end".to_owned()),
        (false, None) => Ok(None),
    }
}

fn span(flags: &Flags, name: FlagName) -> Result<Option<Duration>, String> {
    value(flags, name)
        .map(|text| duration(&text.to_string_lossy()))
        .transpose()
}

fn reason(flags: &Flags) -> Result<Option<String>, String> {
    let Some(text) = value(flags, FlagName::Reason) else {
        return Ok(None);
    };
    let text = text.to_str().ok_or("--reason is not valid UTF-8")?.trim();
    if text.is_empty() {
        return Err("--reason is empty".to_owned());
    }
    if text.chars().count() > REASON_CHARS {
        return Err(format!("--reason is longer than {REASON_CHARS} characters"));
    }
    if text.chars().any(char::is_control) {
        return Err("--reason holds control characters; it is one line of text".to_owned());
    }
    Ok(Some(text.to_owned()))
}

fn node(word: &OsStr) -> Result<String, String> {
    let name = word.to_string_lossy();
    if is_node_name(&name) {
        return Ok(name.into_owned());
    }
    Err(format!("{name:?} is not a node name; {NODE_NAME_RULE}"))
}

#[cfg(test)]
mod tests;
