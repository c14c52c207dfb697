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
    pub fn lack(&self) -> Option<String> {
        let told = |error: Errno| {
            let number = format!("(os error {})", error.raw_os_error());
            let mut problems = self.0.iter();
            problems.find(|problem| problem.message.contains(&number))
        };
        let lacked = LACKS
            .into_iter()
            .find_map(|(error, words)| told(error).map(|_| words.to_owned()));
        lacked.or_else(|| {
            let problem = FAILS.into_iter().find_map(told)?;
            Some(format!(
                "{problem}; that is no fault of what is written: its file system fails; bring it back (`dmesg` may say more)"
            ))
        })
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

/// What a file system says that is broken, or whose server is away: a mount of NFS that gives up, FUSE without its process, a bad disk.
const FAILS: [Errno; 6] = [
    Errno::IO,
    Errno::STALE,
    Errno::TIMEDOUT,
    Errno::NOTCONN,
    Errno::HOSTDOWN,
    Errno::REMOTEIO,
];

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(Problem::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for Problems {}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn what_the_host_could_not_say_is_no_fault_of_the_configuration() {
        let problem = |error: i32| Problem {
            file: "c.yaml".to_owned(),
            line: Some(3),
            path: "health_script".to_owned(),
            message: format!("/mnt/h: {}", io::Error::from_raw_os_error(error)),
        };
        for error in [5, 12, 23, 24, 107, 110, 112, 116, 121] {
            let lack = Problems(vec![problem(2), problem(error)]).lack().unwrap();
            let place = lack.contains("c.yaml:3: health_script: /mnt/h: ");
            assert_eq!(place, error == 5 || error > 100, "{lack}");
            assert!(lack.contains(&format!("(os error {error})")), "{lack}");
        }
        for error in [1, 2, 13, 20, 40] {
            assert_eq!(Problems(vec![problem(error)]).lack(), None);
        }
    }
}
