//! A command line taken apart: flags with their values, operands, and what the values of flags may be.

use std::ffi::{OsStr, OsString};
use std::str::FromStr;

use lexopt::{Arg, Parser};

use crate::cli::flags::{FLAGS, FlagSpec};
use crate::config::nearest::nearest;

/// The longest reason, in characters. It is shown in every status.
pub(super) const REASON_CHARS: usize = 500;

/// The words behind the program's name.
#[derive(Default)]
pub(super) struct Line {
    flags: Vec<(&'static FlagSpec, Option<OsString>)>,
    /// The command among them, first.
    pub(super) operands: Vec<OsString>,
}

impl Line {
    /// Every flag is known and has its value, whether or not it belongs to the command.
    pub(super) fn of(arguments: impl IntoIterator<Item = OsString>) -> Result<Line, String> {
        let mut parser = Parser::from_args(arguments);
        let mut line = Line::default();
        while let Some(argument) = parser.next().map_err(|error| error.to_string())? {
            let mut flags = FLAGS.iter();
            let flag = match argument {
                Arg::Value(word) => {
                    line.operands.push(word);
                    continue;
                }
                Arg::Long(name) => flags
                    .find(|flag| flag.long == name)
                    .ok_or_else(|| unknown_flag(name, &line.operands))?,
                Arg::Short(letter) => flags
                    .find(|flag| flag.short == Some(letter))
                    .ok_or_else(|| format!("unknown flag -{letter}"))?,
            };
            let value = flag
                .value
                .map(|name| value_of(flag.long, name, &mut parser));
            line.flags.push((flag, value.transpose()?));
        }
        Ok(line)
    }

    pub(super) fn check_flags_of(&self, command: &str) -> Result<(), String> {
        let mut flags = self.flags.iter();
        let Some((flag, _)) = flags.find(|(flag, _)| !flag.is_of(command)) else {
            return Ok(());
        };
        let homes = flag.commands.iter();
        let homes: Vec<String> = homes.map(|name| format!("`{name}`")).collect();
        Err(format!(
            "--{} does not belong to `{}`, but to {}",
            flag.long,
            command,
            homes.join(", ")
        ))
    }

    fn given(&self, long: &str) -> Option<&(&FlagSpec, Option<OsString>)> {
        debug_assert!(FLAGS.iter().any(|flag| flag.long == long), "{long}");
        // The last one wins, so that a wrapper's default can be overridden.
        self.flags.iter().rev().find(|(flag, _)| flag.long == long)
    }

    pub(super) fn has(&self, long: &str) -> bool {
        self.given(long).is_some()
    }

    pub(super) fn value(&self, long: &str) -> Option<&OsStr> {
        self.given(long)?.1.as_deref()
    }

    /// What `read` makes of its value.
    pub(super) fn read<T>(
        &self,
        long: &str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, String> {
        let text = self.value(long);
        text.map(|text| read(&text.to_string_lossy())).transpose()
    }

    /// A number, 1 or more, of what it says.
    pub(super) fn number<T: FromStr + Default + PartialOrd>(
        &self,
        long: &str,
        what: &str,
    ) -> Result<Option<T>, String> {
        self.read(long, |text| match text.parse() {
            Ok(number) if number > T::default() => Ok(number),
            _ => Err(format!("{what}, 1 or more")),
        })
    }

    pub(super) fn reason(&self) -> Result<Option<String>, String> {
        let Some(text) = self.value("reason") else {
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

    /// The reason that a command needs, for what is done with it.
    pub(super) fn needed_reason(&self, command: &str, why: &str) -> Result<String, String> {
        self.reason()?
            .ok_or_else(|| format!("`{command}` needs --reason TEXT: {why}"))
    }
}

/// A flag in the place of a value would turn the command round. Joined by `=` it is meant.
fn value_of(long: &str, name: &str, parser: &mut Parser) -> Result<OsString, String> {
    if let Some(joined) = parser.optional_value() {
        return Ok(joined);
    }
    let missing = |_| format!("--{long} needs a value: --{long} {name}");
    let value = parser.value().map_err(missing)?;
    match flag_in(&value) {
        Some(taken) => Err(format!(
            "--{long} needs a value before {taken}: --{long} {name}; if {taken} is the value, write --{long}={taken}"
        )),
        None => Ok(value),
    }
}

/// The flag that a word is.
fn flag_in(word: &OsStr) -> Option<String> {
    let long = word.to_str()?.strip_prefix("--")?;
    let name = long.split('=').next()?;
    let known = FLAGS.iter().any(|flag| flag.long == name);
    known.then(|| format!("--{long}"))
}

/// With the nearest that goes with the command, where that is known by now.
fn unknown_flag(name: &str, operands: &[OsString]) -> String {
    let command = operands.first().map(|word| word.to_string_lossy());
    let goes = |flag: &&FlagSpec| command.as_ref().is_none_or(|it| flag.is_of(it));
    let known = FLAGS.iter().filter(goes).map(|flag| flag.long);
    match nearest(name, known) {
        Some(near) => format!("unknown flag --{name}; did you mean --{near}?"),
        None => format!("unknown flag --{name}"),
    }
}
