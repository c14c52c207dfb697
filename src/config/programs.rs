//! The reboot command and the hooks.

use std::io;

use super::Hook;
use super::host::Host;
use super::load::public;
use super::nearest::nearest;
use super::reader::Field;
use super::variables::names;
use crate::trust;

/// `reboot_command`.
pub(super) fn reboot_command(field: &Field<'_>, host: &Host) -> Option<Vec<String>> {
    if !field.is_given() {
        return Some(
            ["/sbin/shutdown", "-r", "now", "coordinated kernel reboot"]
                .map(str::to_owned)
                .to_vec(),
        );
    }
    let words = words(field, host, &[])?;
    if let Some((at, why)) = no_reboot(&argv(&words)) {
        let item = words.get(at).map_or(field, |(item, _)| item);
        item.warning(format!("{why}: the node keeps its claim and stops the line; use a command that boots a kernel at once, such as reboot or kexec"));
    }
    Some(argv(&words))
}

/// Where a command says, as far as it can be known, that it does not boot a kernel, and why it does not.
fn no_reboot(argv: &[String]) -> Option<(usize, &'static str)> {
    let programs = trust::programs(argv);
    let ends = |c: char| c.is_whitespace() || ";&|()".contains(c);
    // A message to those who are logged in may hold any word.
    let read = argv
        .iter()
        .enumerate()
        .filter(|(at, word)| programs.contains(at) || !word.contains(char::is_whitespace));
    let words = read.flat_map(|(at, word)| word.split(ends).map(move |word| (at, word)));
    let words: Vec<(usize, &str)> = words.collect();
    let has = |word: &str, letter| {
        word.starts_with('-') && !word.starts_with("--") && word.contains(letter)
    };
    words.iter().enumerate().find_map(|(place, (at, word))| {
        let name = word.rsplit('/').next().unwrap_or_default();
        let name = name.trim_start_matches("--").trim_end_matches(".target");
        let mut behind = words.iter().skip(place + 1).map(|(_, word)| *word);
        let next = behind.clone().next().unwrap_or_default();
        let why = match (name, next) {
            ("soft-reboot" | "SoftReboot", _) => {
                "a soft reboot keeps the boot id, so it does not count as a reboot"
            }
            ("poweroff" | "PowerOff" | "halt" | "Halt" | "runlevel0", _)
            | ("init" | "telinit", "0") => "this leaves the host down until somebody starts it",
            ("suspend" | "hibernate" | "hybrid-sleep" | "suspend-then-hibernate", _) => {
                "a host that sleeps keeps its kernel and its boot id"
            }
            ("shutdown", _) if behind.clone().any(is_time) => LATER,
            _ if word.starts_with("--when") => LATER,
            ("shutdown", _) if !behind.any(|word| has(word, 'r') || word == "--reboot") => {
                "shutdown without -r leaves the host down until somebody starts it"
            }
            ("reboot", _) if behind.any(|word| has(word, 'p')) => {
                "reboot with -p leaves the host down until somebody starts it"
            }
            _ => return None,
        };
        Some((*at, why))
    })
}

const LATER: &str = "a reboot at a time of its own may come when the window is closed";

/// `hh:mm`, as shutdown takes it.
fn is_time(word: &str) -> bool {
    let parts = word.split_once(':');
    parts.is_some_and(|(hour, minute)| hour.parse::<u8>().is_ok() && minute.parse::<u8>().is_ok())
}

/// A program of the operator's, with its limit. It has these variables beside those that all have.
pub(super) fn hook(field: &Field<'_>, host: &Host, more: &[&str]) -> Option<Hook> {
    let map = field.map()?;
    let (command, timeout) = (map.field("command"), map.field("timeout_sec").seconds());
    command.required("a list of program and arguments, for example [/usr/local/sbin/drain]")?;
    let words = words(&command, host, more)?;
    Some(Hook {
        command: argv(&words),
        timeout: timeout?,
    })
}

fn words<'a>(field: &Field<'a>, host: &Host, more: &[&str]) -> Option<Vec<(Field<'a>, String)>> {
    if let Some(text) = field.plain_text() {
        let text = public(text);
        let list = text.split_whitespace().collect::<Vec<_>>().join(", ");
        return field.refuse(format!(
            "must be a list, since no shell reads it; write [{list}]"
        ));
    }
    let words = field.texts()?;
    let (first, name) = words.first()?;
    absolute(first, name, host)?;
    executes(&words)?;
    let variables = [&names(), more].concat();
    let programs = trust::programs(&argv(&words));
    for (at, (item, word)) in words.iter().enumerate() {
        match programs.contains(&at) {
            true => refuse_variables(item, word),
            false => check_variables(item, word, &variables),
        }
    }
    Some(words)
}

/// Checks that a program is an absolute path, or a name of one that is there.
pub(super) fn absolute(field: &Field<'_>, name: &str, host: &Host) -> Option<()> {
    if name.starts_with('/') {
        return Some(());
    }
    field.refuse(match host.find_program(name) {
        _ if name.contains('/') => {
            format!("{name:?} must be an absolute path; write the whole path of the program")
        }
        Some(path) => format!("{name:?} must be an absolute path; use {}", path.display()),
        None => format!(
            "{name:?} must be an absolute path, and no program of this name is in the system's folders; install it, or write the whole \
             path of the one that is meant"
        ),
    })
}

/// Checks that nobody else can change what the words execute. A program that is missing is only doubtful: it may be installed
/// later.
pub(super) fn executes(words: &[(Field<'_>, String)]) -> Option<()> {
    let Err((at, error)) = trust::command(&argv(words)) else {
        return Some(());
    };
    let (field, word) = words.get(at)?;
    if error.kind() == io::ErrorKind::NotFound {
        field.warning(format!("{word} does not exist on this host"));
        return Some(());
    }
    let unusable = |error| format!("{word} cannot be used: {error}");
    field.refuse(trust::words(error, unusable))
}

/// The words without their places.
pub(super) fn argv(words: &[(Field<'_>, String)]) -> Vec<String> {
    words.iter().map(|(_, word)| word.clone()).collect()
}

/// What is expanded into a word that an interpreter takes for its program would be run, and reasons are written by whoever may
/// request a reboot. In the environment a value stays a value.
fn refuse_variables(field: &Field<'_>, word: &str) {
    if word.contains("${RC_") {
        field.problem("has ${RC_…} in what is executed, which would execute the values, too; write \"$RC_…\" without braces, which a shell reads from its environment, or pass it as an argument behind the program");
    }
}

/// Every `${RC_…}` must be a variable that is set; any other `${…}` is passed on as it is, which is rarely meant.
fn check_variables(field: &Field<'_>, word: &str, variables: &[&str]) {
    let mut rest = word;
    while let Some((_, after)) = rest.split_once("${") {
        let Some((name, tail)) = after.split_once('}') else {
            field.problem(format!(
                "{word:?} opens `${{` and does not close it; add }}"
            ));
            return;
        };
        rest = tail;
        if variables.contains(&name) {
            continue;
        }
        if name.starts_with("RC_") {
            let advice = nearest_variable(name, variables);
            field.problem(format!("`${{{name}}}` is not a known variable; {advice}"));
        } else {
            field.warning(format!(
                "`${{{name}}}` is passed on as it is, since only ${{RC_…}} is expanded"
            ));
        }
    }
}

fn nearest_variable(name: &str, variables: &[&str]) -> String {
    // Names are compared in lower case, so the table is too; by what all begin with, none is near.
    let lower = variables.join(" ").to_lowercase().replace("rc_", "");
    match nearest(name.trim_start_matches("RC_"), lower.split(' ')) {
        Some(near) => format!("did you mean `${{RC_{}}}`?", near.to_uppercase()),
        None => "docs/scripts.md lists them".to_owned(),
    }
}
