//! What the kernel makes of the beginning of a program. Pure, but for the look-up of what `env` is to find.

use std::path::{Path, PathBuf};

use super::{in_root, interpreter};

/// As much as the kernel reads of it.
pub(super) const LIMIT: u64 = 256;

/// Where scripts find their commands; what `#!/usr/bin/env` looks through.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The interpreter that a script names, and the words that it is started with; none for a binary. An error is why the kernel would not
/// start it.
pub(super) fn interpreter(head: &[u8]) -> Result<Option<(PathBuf, Vec<String>)>, String> {
    let Some(rest) = head.strip_prefix(b"#!") else {
        return not_a_script(head).map_or(Ok(None), |why| Err(why.to_owned()));
    };
    let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if line.ends_with(b"\r") {
        return Err("has lines that end in CR LF, so that its interpreter is not found; save it with Unix line ends (sed -i 's/\\r$//')".to_owned());
    }
    let line = String::from_utf8_lossy(line);
    let line = line.trim_matches([' ', '\t']);
    let (name, argument) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    if name.is_empty() {
        return Err("begins with #! and no interpreter; write #!/bin/sh".to_owned());
    }
    let ends = |byte: &u8| b" \t\n".contains(byte);
    if head.len() as u64 == LIMIT && !rest.trim_ascii_start().iter().any(ends) {
        return Err(format!(
            "names its interpreter in more than the {LIMIT} bytes that the kernel reads; write a shorter path"
        ));
    }
    let argument = argument.trim_start_matches([' ', '\t']);
    let named = Path::new(name);
    if !named.is_absolute() {
        return Err(format!(
            "begins with #!{name}, which is no absolute path; write for example #!/bin/sh"
        ));
    }
    if named.file_name().is_none_or(|name| name != "env") {
        return match interpreter::splits(name, argument) {
            true => Ok(Some((
                named.to_owned(),
                vec![name.to_owned(), argument.to_owned()],
            ))),
            false => Err(format!(
                "gives {name} all of {argument:?} as one word, which it refuses; write #!/usr/bin/env -S {name} {argument}"
            )),
        };
    }
    let (words, path) = of_env(argument)?;
    let wanted = &words[0];
    if wanted.contains("${") {
        // Only its environment tells.
        return Ok(Some((named.to_owned(), words)));
    }
    if wanted.contains('/') {
        return Ok(Some((in_root(wanted), words)));
    }
    let mut places = path.split(':').map(|folder| in_root(folder).join(wanted));
    let found = places.find(|path| path.is_file());
    found.map(|by| Some((by, words.clone()))).ok_or_else(|| {
        let place = match path.as_str() {
            "" => "its empty PATH",
            path => path,
        };
        format!(
            "asks env for {wanted}, which is not in {place}; install it or name it with its folder"
        )
    })
}

/// The program that `env` is to find with its arguments, and where it looks for it. The kernel hands all of the line over as one word, and `env` takes it
/// apart behind `-S` only.
fn of_env(argument: &str) -> Result<(Vec<String>, String), String> {
    let split = argument.strip_prefix("--split-string=").or_else(|| {
        let cluster = argument
            .strip_prefix('-')?
            .trim_start_matches(['i', 'v', '0']);
        cluster.strip_prefix('S')
    });
    let mut words = match split {
        Some(text) => split_string(text)?.into_iter().peekable(),
        None if argument.contains([' ', '\t']) => {
            return Err(format!(
                "gives env all of {argument:?} as one word, and no program is called so; write #!/usr/bin/env -S {argument}"
            ));
        }
        None => vec![argument.to_owned()].into_iter().peekable(),
    };
    while let Some(option) = words.next_if(|word| word.starts_with('-')) {
        let takes = match option.strip_prefix("--") {
            Some("") => break,
            Some(long) => matches!(long, "unset" | "chdir" | "argv0"),
            None => option.find(['u', 'C', 'a']) == Some(option.len() - 1),
        };
        if takes {
            words.next();
        }
    }
    let (mut path, mut set) = (PATH.to_owned(), Vec::new());
    while let Some(value) = words.next_if(|word| word.contains('=')) {
        if let Some(value) = value.strip_prefix("PATH=") {
            value.clone_into(&mut path);
        }
        set.push(value);
    }
    match words.peek() {
        // What it sets is judged with the arguments.
        Some(wanted) if !wanted.is_empty() => Ok((words.chain(set).collect(), path)),
        _ => Err("asks env for no program, so that it starts itself for ever; write for example #!/usr/bin/env bash".to_owned()),
    }
}

/// Text as `env -S` takes it apart.
fn split_string(text: &str) -> Result<Vec<String>, String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (Some(open), _) if open == letter => quote = None,
            (None, '"' | '\'') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, ' ' | '\t') => words.extend(word.take()),
            (None, '#') if word.is_none() => break,
            (_, '\\') => match (quote, letters.next()) {
                (None, Some('_')) => words.extend(word.take()),
                (None, Some('c')) => break,
                (_, next) => word.get_or_insert_default().extend(next),
            },
            _ => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    match quote {
        None => Ok(words),
        Some(open) => Err(format!(
            "begins with #! and a {open} that is not closed; close it in the first line"
        )),
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
    fn an_interpreter_ends_within_what_the_kernel_reads() {
        let line = |length: usize, end: &str| format!("#!/{}{end}", "i".repeat(length - 3));
        for (fits, text) in [
            (true, line(255, "\n")),
            (true, line(255, " -e -u\n")),
            (true, line(255, "")),
            (false, line(256, "\n")),
            (false, line(300, " -e\n")),
            (false, format!("#!{}/bin/sh\n", " ".repeat(247))),
        ] {
            let mut head = text.into_bytes();
            head.truncate(usize::try_from(LIMIT).unwrap());
            let found = interpreter(&head);
            let refused = found.is_err_and(|why| why.contains("more than the 256 bytes"));
            assert_eq!(refused, !fits, "{}", head.escape_ascii());
        }
    }

    #[test]
    fn the_first_line_names_the_interpreter_or_the_message_says_what_is_wrong_with_it() {
        for (head, expected) in [
            (&b"#!/bin/sh\nexit 0\n"[..], Ok(Some("/bin/sh"))),
            (b"#!/bin/sh", Ok(Some("/bin/sh"))),
            (b"#! \t/bin/sh -eu\n", Ok(Some("/bin/sh"))),
            (b"#!/usr/bin/env sh\n", Ok(Some("sh"))),
            (b"#!/usr/bin/env -S LANG=C sh -eu\n", Ok(Some("sh"))),
            (b"#!/usr/bin/env \tsh \n", Ok(Some("sh"))),
            (b"#!/usr/bin/env -S -u FOO sh\n", Ok(Some("sh"))),
            (
                b"#!/usr/bin/env -S -i -C /tmp --unset FOO A=b sh -e\n",
                Ok(Some("sh")),
            ),
            (b"#!/usr/bin/env -S \"sh\" -e\n", Ok(Some("sh"))),
            (b"#!/usr/bin/env -S A='b c' s'h' # sh\n", Ok(Some("sh"))),
            (b"#!/usr/bin/env -S -- A=b\\_sh\n", Ok(Some("sh"))),
            (b"#!/usr/bin/env -S -iu FOO -uBAR - sh\n", Ok(Some("sh"))),
            (b"#!/usr/bin/env -S ${HOME}/sh\n", Ok(Some("/usr/bin/env"))),
            (b"#!/usr/bin/env -Ssh -e\n", Ok(Some("sh"))),
            (b"#!/usr/bin/env -vS sh -e\n", Ok(Some("sh"))),
            (b"#!/usr/bin/env --split-string=sh -e\n", Ok(Some("sh"))),
            (
                b"#!/usr/bin/env -S PATH=/nowhere sh\n",
                Err("env for sh, which is not in /nowhere"),
            ),
            (
                b"#!/usr/bin/env -S PATH= sh\n",
                Err("env for sh, which is not in its empty PATH; install"),
            ),
            (b"#!/usr/bin/env -S /bin/sh -e\n", Ok(Some("/bin/sh"))),
            (b"#!/usr/bin/env sh -e\n", Err("\"sh -e\" as one word")),
            (b"#!/usr/bin/env python3 -u\n", Err("as one word")),
            (b"#!/usr/bin/env /bin/sh -e\n", Err("as one word")),
            (b"#!/usr/bin/env -i sh\n", Err("as one word")),
            (b"#!/usr/bin/env -- sh\n", Err("as one word")),
            (b"#!/usr/bin/env A=b sh\n", Err("env -S A=b sh")),
            (b"#!/usr/bin/env\tsh\t-e\n", Err("as one word")),
            (b"#!/bin/sh -e \t\n", Ok(Some("/bin/sh"))),
            (
                b"#!/bin/sh \t-e -u\n",
                Err(
                    "gives /bin/sh all of \"-e -u\" as one word, which it refuses; write #!/usr/bin/env -S /bin/sh -e -u",
                ),
            ),
            (b"#!/bin/bash\t-o\tpipefail\n", Err("env -S /bin/bash")),
            (b"#!/bin/dash # a comment\n", Err("as one word")),
            (b"#!/bin/sh /opt/My Tools/run\n", Ok(Some("/bin/sh"))),
            (b"#!/usr/bin/env -S sh -e -u\n", Ok(Some("sh"))),
            (b"#!/usr/bin/python3 -I -u\n", Err("as one word")),
            (b"#!/usr/bin/python3 -Bu # -*- x -*-\n", Err("as one word")),
            (
                b"#!/usr/bin/python3 -W ignore\n",
                Ok(Some("/usr/bin/python3")),
            ),
            (b"#!/bin/sed -n -f\n", Err("as one word")),
            (b"#!/usr/bin/perl -w -T\n", Ok(Some("/usr/bin/perl"))),
            (b"#!/usr/bin/nice -n 5 sh\n", Err("as one word")),
            (b"#!/bin/busybox sh\n", Ok(Some("/bin/busybox"))),
            (b"#!/bin/busybox sh -e\n", Err("as one word")),
            (b"#!/opt/runner a b\n", Ok(Some("/opt/runner"))),
            (b"#!/usr/bin/env -S \"sh -e\n", Err("not closed")),
            (b"#!/usr/bin/env -S -u sh\n", Err("no program")),
            (b"#!/usr/bin/env -i\n", Err("no program")),
            (b"#!/usr/bin/env A=b\n", Err("no program")),
            (b"#!/usr/bin/env\n", Err("no program")),
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
                        .as_ref()
                        .zip(wanted)
                        .is_some_and(|((f, _), w)| f.ends_with(w) || f == Path::new(w));
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
