//! What the kernel makes of the beginning of a program. Pure, but for the look-up of what `env` is to find.

use std::path::{Path, PathBuf};

/// As much as the kernel reads of it.
pub(super) const LIMIT: u64 = 256;

/// Where scripts find their commands; what `#!/usr/bin/env` looks through.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The interpreter that a script names; none for a binary. An error is why the kernel would not start it.
pub(super) fn interpreter(head: &[u8]) -> Result<Option<PathBuf>, String> {
    let Some(rest) = head.strip_prefix(b"#!") else {
        return not_a_script(head).map_or(Ok(None), |why| Err(why.to_owned()));
    };
    let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if line.ends_with(b"\r") {
        return Err("has lines that end in CR LF, so that its interpreter is not found; save it with Unix line ends (sed -i 's/\\r$//')".to_owned());
    }
    let line = String::from_utf8_lossy(line);
    let mut words = line.split([' ', '\t']).filter(|word| !word.is_empty());
    let Some(name) = words.next() else {
        return Err("begins with #! and no interpreter; write #!/bin/sh".to_owned());
    };
    let named = Path::new(name);
    if !named.is_absolute() {
        return Err(format!(
            "begins with #!{name}, which is no absolute path; write for example #!/bin/sh"
        ));
    }
    if named.file_name().is_none_or(|name| name != "env") {
        return Ok(Some(named.to_owned()));
    }
    match words.find(|word| !word.starts_with('-') && !word.contains('=')) {
        Some(wanted) if !wanted.contains('/') => PATH
            .split(':')
            .map(|folder| Path::new(folder).join(wanted))
            .find(|path| path.is_file())
            .map(Some)
            .ok_or_else(|| {
                format!("asks env for {wanted}, which is not in {PATH}; install it or name it with its folder")
            }),
        Some(wanted) => Ok(Some(wanted.into())),
        None => Ok(Some(named.to_owned())),
    }
}

/// Formats that the kernel was taught, and there may be any, are binary.
fn not_a_script(head: &[u8]) -> Option<&'static str> {
    if head.is_empty() {
        return Some("is empty");
    }
    if head.starts_with(b"\xef\xbb\xbf#!") {
        return Some(
            "begins with a byte order mark, which hides its first line from the kernel; save it as UTF-8 without one",
        );
    }
    if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") {
        return Some("is UTF-16, which the kernel does not read; save it as UTF-8");
    }
    (!head.contains(&0)).then_some(
        "has no interpreter in its first line, so that the kernel does not start it; let it begin with #!/bin/sh",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_names_the_interpreter_or_the_message_says_what_is_wrong_with_it() {
        for (head, expected) in [
            (&b"#!/bin/sh\nexit 0\n"[..], Ok(Some("/bin/sh"))),
            (b"#!/bin/sh", Ok(Some("/bin/sh"))),
            (b"#! \t/bin/sh -eu\n", Ok(Some("/bin/sh"))),
            (b"#!/usr/bin/env sh\n", Ok(Some("sh"))),
            (b"#!/usr/bin/env -S LANG=C sh -eu\n", Ok(Some("sh"))),
            (b"#!/usr/bin/env\n", Ok(Some("/usr/bin/env"))),
            (b"\x7fELF\x02\0", Ok(None)),
            (b"MZ\0\0", Ok(None)),
            (b"#!/bin/sh\r\nexit 0\r\n", Err("CR LF")),
            (b"#!/usr/bin/env sh\r\n", Err("CR LF")),
            (b"#!/bin/sh -e\r", Err("CR LF")),
            (b"#!sh\n", Err("absolute")),
            (b"#!\n", Err("no interpreter")),
            (
                b"#!/usr/bin/env no-such-shell\n",
                Err("env for no-such-shell"),
            ),
            (b"exit 0\n", Err("#!/bin/sh")),
            (b"\n#!/bin/sh\n", Err("#!/bin/sh")),
            (b" #!/bin/sh\n", Err("#!/bin/sh")),
            (b"", Err("is empty")),
            (b"\xef\xbb\xbf#!/bin/sh\n", Err("byte order mark")),
            (b"\xff\xfe#\0!\0", Err("UTF-16")),
        ] {
            match (interpreter(head), expected) {
                (Ok(found), Ok(wanted)) => {
                    let ends = found
                        .as_deref()
                        .zip(wanted)
                        .is_some_and(|(f, w)| f.ends_with(w) || f == Path::new(w));
                    assert!(
                        ends || (found.is_none() && wanted.is_none()),
                        "{found:?} {wanted:?}"
                    );
                }
                (Err(why), Err(part)) => assert!(why.contains(part), "{why}"),
                (found, wanted) => panic!("{}: {found:?}, not {wanted:?}", head.escape_ascii()),
            }
        }
    }
}
