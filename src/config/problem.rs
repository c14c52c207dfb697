//! What is wrong with a configuration: one line each, all of them at once.

use std::fmt;

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

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(Problem::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for Problems {}
