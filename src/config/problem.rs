//! What is wrong with a configuration: one line each, all of them at once.

use std::fmt;

use rustix::io::Errno;
use serde::Serialize;

use crate::escape::line;

/// One thing wrong (or doubtful) in a configuration, with where it is and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file it comes from.
    pub file: String,
    /// The line, counted from 1, where known.
    pub line: Option<usize>,
    /// The field, such as `etcd_tls.ca_file`; empty when the file as a whole is meant.
    #[serde(rename = "field")]
    pub path: String,
    /// What is wrong and what to do about it, on one line.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", line(&self.file))?;
        if let Some(number) = self.line {
            write!(f, "{number}:")?;
        }
        if !self.path.is_empty() {
            write!(f, " {}:", line(&self.path))?;
        }
        write!(f, " {}", line(&self.message))
    }
}

/// Everything wrong with a configuration; displayed one a line, without a final newline. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// What the host lacked when it was asked, and what to do. Then nothing is known of the configuration.
    pub fn lack(&self) -> Option<&'static str> {
        let told = |error: Errno| {
            let number = format!("(os error {})", error.raw_os_error());
            let mut messages = self.0.iter().map(|problem| &problem.message);
            messages.any(|message| message.contains(&number))
        };
        LACKS
            .into_iter()
            .find_map(|(error, words)| told(error).then_some(words))
    }
}

/// What keeps a host from answering that has nothing to do with what it was asked.
const LACKS: [(Errno, &str); 3] = [
    (
        Errno::MFILE,
        "this process may open no more files (os error 24); raise LimitNOFILE= of its unit, or `ulimit -n`",
    ),
    (
        Errno::NFILE,
        "this host has too many files open (os error 23); end who holds them, or raise fs.file-max",
    ),
    (
        Errno::NOMEM,
        "this host, or its control group, has no memory left (os error 12); end who holds it, or raise MemoryMax=",
    ),
];

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(Problem::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for Problems {}
