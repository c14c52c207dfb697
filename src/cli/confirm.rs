//! Asking the operator.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use super::exit::Exit;
use super::output::complain;

/// Asks on the terminal. Only a typed yes is a yes; anything else is told, with `nobody` where nobody can be asked.
pub(super) fn confirm(question: &str, nobody: &str) -> Result<(), Exit> {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        complain(&format!("reboot-coordinator: {nobody}"));
        return Err(Exit::USAGE);
    }
    let mut err = std::io::stderr();
    let _ = write!(err, "{question} [y/N] ").and_then(|()| err.flush());
    let mut line = String::new();
    if std::io::stdin().lock().read_line(&mut line).is_ok() && is_yes(&line) {
        return Ok(());
    }
    complain("reboot-coordinator: nothing was changed");
    Err(Exit::FAILURE)
}

fn is_yes(line: &str) -> bool {
    matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::is_yes;

    #[test]
    fn only_a_typed_yes_is_a_yes() {
        for (line, yes) in [
            ("y\n", true),
            (" YES\n", true),
            ("yes", true),
            ("", false),
            ("\n", false),
            ("n\n", false),
            ("yep\n", false),
        ] {
            assert_eq!(is_yes(line), yes, "{line:?}");
        }
    }
}
