//! The command line to an [`Invocation`]. Parsing only parses: no file is looked at.

mod line;

use std::ffi::{OsStr, OsString};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use self::line::Line;
use super::commands::{COMMANDS, CommandSpec, spec};
use super::completions::script;
use super::duration::duration;
use super::flags::DEFAULT_CONFIG;
use super::invocation::{Command, Invocation, PauseOptions, RequestOptions};
use crate::config::nearest::nearest;
use crate::core::Mode;
use crate::lock::keys::{NODE_NAME_RULE, is_node_name};

/// How long an urgent request stands, when nothing else is said.
const URGENT: Duration = Duration::from_secs(4 * 3600);

/// How long it may stand. A window that is wrong for longer than a day is to be changed.
const URGENT_BOUNDS: RangeInclusive<Duration> =
    Duration::from_secs(60)..=Duration::from_secs(86_400);

/// Parses arguments, the program's name not among them.
///
/// # Errors
/// What is wrong, on one line, with the nearest known name.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Invocation, String> {
    let mut line = Line::of(arguments)?;
    let first = line.operands.first();
    let command = first.map(|word| command(word)).transpose()?;
    line.operands.drain(..line.operands.len().min(1));
    let room = match command {
        Some(spec) if spec.takes_many() => usize::MAX,
        Some(spec) if !spec.operand.is_empty() => 1,
        Some(_) | None => 0,
    };
    if let Some(word) = line.operands.get(room) {
        return Err(format!("unexpected argument {:?}", word.to_string_lossy()));
    }
    let topic = match line.operands.first() {
        Some(word) if command == spec("help") => Some(self::command(word)?),
        _ => None,
    };
    // Both answer before anything else is judged, so that they can be added to any command line.
    let command = if line.has("help") {
        Command::Help(topic.or(command).filter(|spec| spec.name != "help"))
    } else {
        let version = spec("version").filter(|_| line.has("version"));
        let spec = version.or(command).ok_or("a command is missing")?;
        line.check_flags_of(spec.name)?;
        if line.value("config").is_some_and(OsStr::is_empty) {
            return Err("--config needs a value: it names no file".to_owned());
        }
        own(spec, topic, &line)?
    };
    Ok(Invocation {
        command,
        config: PathBuf::from(line.value("config").unwrap_or(DEFAULT_CONFIG.as_ref())),
        json: line.has("json"),
    })
}

/// How many, from 1 to 1000.
fn count(text: &OsStr) -> Result<usize, String> {
    let number = text.to_str().and_then(|text| text.parse().ok());
    number
        .filter(|number| (1..=1000).contains(number))
        .ok_or_else(|| format!("{text:?} is not a number from 1 to 1000"))
}

/// The first operand; empty where none is needed and none is there.
fn operand<'a>(spec: &CommandSpec, line: &'a Line) -> Result<&'a OsStr, String> {
    match line.operands.first() {
        None if spec.needs_operand() => {
            let (command, operand) = (spec.name, spec.operand);
            Err(format!(
                "`{command}` needs a {operand}: reboot-coordinator {command} {operand}"
            ))
        }
        operand => Ok(operand.map(OsString::as_os_str).unwrap_or_default()),
    }
}

/// The command of which help is wanted.
type Topic = Option<&'static CommandSpec>;

/// The command with its own flags and its operands.
fn own(spec: &CommandSpec, topic: Topic, line: &Line) -> Result<Command, String> {
    let operand = operand(spec, line)?;
    Ok(match spec.name {
        "run" => Command::Run {
            mode: mode(line)?,
            dry_run: line.has("dry-run"),
        },
        "validate-config" => Command::ValidateConfig(line.value("windows").map_or(Ok(0), count)?),
        "check-etcd" => Command::CheckEtcd,
        "simulate" => Command::Simulate(line.has("health")),
        "status" => Command::Status {
            watch: line.has("watch"),
            verbose: line.has("verbose"),
        },
        "explain" => Command::Explain {
            node: line.operands.first().map(|word| node(word)).transpose()?,
            at: line.read("at", str::parse)?,
        },
        "history" => Command::History,
        "verify-history" => {
            Command::VerifyHistory(line.number("from", "`--from` needs a revision of etcd")?)
        }
        "pause" => Command::Pause(pause_options(line)?),
        "resume" => Command::Resume,
        "release" => Command::Release {
            // Whatever stands among the claims can be released, also what no node is called.
            node: operand.to_string_lossy().into_owned(),
            reason: line.needed_reason("release", "it goes into the history")?,
            yes: line.has("yes"),
        },
        "request" => Command::Request(request_options(line)?),
        "go-on" => Command::GoOn {
            reason: line.needed_reason("go-on", "it stands beside the failures")?,
            nodes: line.number("nodes", "`--nodes` needs a number of nodes")?,
        },
        "reset-budget" => Command::ResetBudget {
            node: node(operand)?,
            reason: line.needed_reason("reset-budget", "it goes into the history")?,
        },
        "forget" => Command::Forget(node(operand)?),
        "completions" => match operand.to_string_lossy().as_ref() {
            "nodes" => Command::Names(false),
            "claims" => Command::Names(true),
            shell => Command::Completions(script(shell)?),
        },
        "version" => Command::Version,
        // Help. A test parses every command of the table.
        _ => Command::Help(topic),
    })
}

fn command(word: &OsStr) -> Result<&'static CommandSpec, String> {
    let word = word.to_string_lossy();
    if let Some(spec) = spec(&word) {
        return Ok(spec);
    }
    let names = || COMMANDS.iter().map(|spec| spec.name);
    let hint = match nearest(&word, names()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known are {}", names().collect::<Vec<_>>().join(", ")),
    };
    Err(format!("unknown command {word:?}; {hint}"))
}

fn mode(line: &Line) -> Result<Mode, String> {
    match (line.has("once"), line.read("wait", duration)?) {
        (true, wait) => Ok(Mode::Once {
            wait: wait.unwrap_or_default(),
        }),
        (false, None) => Ok(Mode::Daemon),
        (false, Some(_)) => Err("--wait needs --once; a daemon waits anyway".to_owned()),
    }
}

fn pause_options(line: &Line) -> Result<PauseOptions, String> {
    let length = line.read("for", duration)?;
    if length.is_some_and(|length| length.is_zero()) {
        return Err("--for must be longer than nothing".to_owned());
    }
    Ok(PauseOptions {
        reason: line.reason()?,
        length,
        yes: line.has("yes"),
    })
}

fn request_options(line: &Line) -> Result<RequestOptions, String> {
    let nodes = line.operands.iter().map(|word| node(word));
    let options = RequestOptions {
        nodes: nodes.collect::<Result<_, _>>()?,
        cancel: line.has("cancel"),
        reason: line.reason()?,
        urgent: urgent(line)?,
    };
    let all = line.has("all");
    match (options.nodes.is_empty(), all) {
        (true, false) => Err("`request` needs a NODE, several, or --all".to_owned()),
        (false, true) => Err("`request` takes either nodes or --all".to_owned()),
        _ if options.cancel && options.reason.is_some() => {
            Err("--reason does not go with --cancel: nobody would read it".to_owned())
        }
        _ if options.urgent.is_some() && (options.cancel || all) => Err(
            "--urgent is for nodes that are named; --cancel withdraws an urgent request as any other"
                .to_owned(),
        ),
        _ if options.urgent.is_some() && options.reason.is_none() => {
            Err("--urgent needs --reason TEXT: it passes what others rely on".to_owned())
        }
        _ => Ok(options),
    }
}

fn urgent(line: &Line) -> Result<Option<Duration>, String> {
    match (line.has("urgent"), line.read("for", duration)?) {
        (true, Some(span)) if !URGENT_BOUNDS.contains(&span) => {
            Err("--for of an urgent request is 1m at least and 24h at most".to_owned())
        }
        (true, span) => Ok(Some(span.unwrap_or(URGENT))),
        (false, Some(_)) => Err("--for goes with --urgent: other requests do not end".to_owned()),
        (false, None) => Ok(None),
    }
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
