//! Help, made from the table of commands and flags.

use std::fmt::Write as _;

use super::commands::{COMMANDS, CommandSpec};
use super::exit::Exit;
use super::flags::{FLAGS, FlagSpec, flags_of};

/// Help in general, or of one command.
pub fn text(topic: Option<&CommandSpec>) -> String {
    let Some(spec) = topic else {
        return in_general();
    };
    let (name, summary, usage) = (spec.name, spec.summary, spec.usage);
    let mut text = format!("{name}: {summary}\n\nUsage: reboot-coordinator {usage} [FLAGS]\n");
    if !spec.details.is_empty() {
        let _ = write!(text, "\n{}\n", spec.details);
    }
    text.push_str("\nFlags:\n");
    for flag in flags_of(spec.name) {
        line(&mut text, &left(flag), flag.help);
    }
    text
}

fn in_general() -> String {
    let mut text = format!(
        "{} serializes the reboots of a fleet of Linux machines through etcd.\n\n\
         Usage: reboot-coordinator [COMMAND] [FLAGS]\n\nCommands:\n",
        env!("CARGO_PKG_NAME")
    );
    for command in COMMANDS.iter() {
        line(&mut text, command.usage, command.summary);
    }
    text.push_str("\nFlags of every command:\n");
    for flag in FLAGS.iter().filter(|flag| flag.commands.is_empty()) {
        line(&mut text, &left(flag), flag.help);
    }
    text.push_str(
        "\n`reboot-coordinator help COMMAND` explains a command and its flags.\n\nExit codes:\n",
    );
    for (code, meaning) in Exit::TABLE {
        line(&mut text, &code.to_string(), meaning);
    }
    text
}

fn left(flag: &FlagSpec) -> String {
    let indent = flag.short.map_or("    ", |_| "");
    format!("{indent}{}", flag.usage)
}

fn line(text: &mut String, left: &str, right: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "  {left:<20}  {right}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn general_help_names_every_command_and_exit_code() {
        let help = text(None);
        for command in COMMANDS.iter() {
            assert!(
                help.contains(&format!("\n  {}", command.name)) && help.contains(command.summary),
                "{help}"
            );
        }
        for (code, meaning) in Exit::TABLE {
            assert!(
                help.contains(&format!("\n  {:<20}  {meaning}\n", code)),
                "{help}"
            );
        }
    }

    #[test]
    fn help_of_a_command_names_its_flags_and_no_others() {
        for command in COMMANDS.iter() {
            let help = text(Some(command));
            for flag in FLAGS.iter() {
                let takes = flags_of(command.name).any(|own| own.long == flag.long);
                assert_eq!(
                    help.contains(&format!("--{} ", flag.long)),
                    takes,
                    "{}: {help}",
                    flag.long
                );
            }
        }
    }

    #[test]
    fn help_fits_a_terminal() {
        for topic in COMMANDS.iter().map(Some).chain([None]) {
            for line in text(topic).lines() {
                assert!(line.chars().count() <= 100, "{line}");
            }
        }
    }
}
