//! What the host contributes to a configuration. A value of its own so that tests can be another host.

use std::io;
use std::path::{Path, PathBuf};

use crate::identity;
use crate::trust::{self, PATH};

const KNOWN: &str = "use %H or %l for the long or short host name";

/// Where a host keeps what a configuration asks for.
pub(super) struct Host {
    pub(super) hostname_file: PathBuf,
    pub(super) machine_id_file: PathBuf,
    pub(super) localtime_file: PathBuf,
    /// Where programs written without a folder are looked for: the `PATH` that scripts and hooks get.
    pub(super) path: Vec<PathBuf>,
}

impl Host {
    /// This machine.
    pub(super) fn this() -> Host {
        Host {
            hostname_file: "/proc/sys/kernel/hostname".into(),
            machine_id_file: "/etc/machine-id".into(),
            localtime_file: "/etc/localtime".into(),
            path: PATH.split(':').map(PathBuf::from).collect(),
        }
    }

    /// Resolves `%H` (host name), `%l` (up to its first dot) and `%%`, as systemd documents them.
    pub(super) fn expand(&self, text: &str) -> Result<String, String> {
        let mut expanded = String::new();
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            if character != '%' {
                expanded.push(character);
                continue;
            }
            match characters.next() {
                Some('%') => expanded.push('%'),
                Some('H') => expanded.push_str(&self.hostname()?),
                Some('l') => {
                    expanded.push_str(self.hostname()?.split('.').next().unwrap_or_default())
                }
                Some(other) => return Err(format!("`%{other}` is not known; {KNOWN}")),
                None => return Err(format!("ends with a single %; {KNOWN}")),
            }
        }
        Ok(expanded)
    }

    fn hostname(&self) -> Result<String, String> {
        let name = read_line(&self.hostname_file)
            .map_err(|why| format!("the host name is not known: {why}; write the name out"))?;
        match name.as_str() {
            "" | "(none)" => Err(
                "this host has no name; set one with hostnamectl, or write the node name out"
                    .to_owned(),
            ),
            _ => Ok(name),
        }
    }

    /// What this program shows of the machine id, or why there is none.
    pub(super) fn machine_id(&self) -> Result<String, String> {
        let remedy = "run systemd-machine-id-setup, or set node_id";
        let id = read_line(&self.machine_id_file)
            .map_err(|why| format!("is not set and there is no machine id: {why}; {remedy}"))?;
        let state = match id.as_str() {
            "" => "empty",
            "uninitialized" => "uninitialized",
            _ if is_machine_id(&id) => return Ok(identity::of_machine(&id)),
            _ => {
                "not 32 hexadecimal digits, or all of them 0, so that another machine may have the same"
            }
        };
        Err(format!(
            "is not set and {} is {state}; {remedy}",
            self.machine_id_file.display()
        ))
    }

    /// The full path of a program written without a folder.
    pub(super) fn find_program(&self, name: &str) -> Option<PathBuf> {
        self.path
            .iter()
            .map(|folder| folder.join(name))
            .find(|path| path.is_file())
    }
}

/// As systemd reads one, or with the dashes of `uuidgen`, which hosts without systemd have.
fn is_machine_id(id: &str) -> bool {
    let parts: Vec<usize> = id.split('-').map(str::len).collect();
    let shaped = [&[32][..], &[8, 4, 4, 4, 12]].contains(&parts.as_slice());
    let mut digits = id.chars().filter(|c| *c != '-');
    shaped && digits.clone().all(|c| c.is_ascii_hexdigit()) && digits.any(|c| c != '0')
}

/// No name or id of a machine is longer.
const LONGEST: u64 = 4096;

fn read_line(path: &Path) -> Result<String, String> {
    let read = trust::plain(path, LONGEST);
    let text = read.and_then(|bytes| String::from_utf8(bytes).map_err(io::Error::other));
    let text = text.map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn host(folder: &Path, hostname: &str, machine_id: &str) -> Host {
        let host = Host {
            hostname_file: folder.join("hostname"),
            machine_id_file: folder.join("machine-id"),
            localtime_file: folder.join("localtime"),
            path: vec![folder.to_path_buf()],
        };
        fs::write(&host.hostname_file, hostname).unwrap();
        fs::write(&host.machine_id_file, machine_id).unwrap();
        host
    }

    #[test]
    fn host_names_are_expanded_long_and_short() {
        let folder = tempfile::tempdir().unwrap();
        let host = host(folder.path(), "web-1.example.com\n", "");
        for (text, expanded) in [
            ("%H", "web-1.example.com"),
            ("%l", "web-1"),
            ("x-%l-%%", "x-web-1-%"),
            ("plain", "plain"),
        ] {
            assert_eq!(host.expand(text).as_deref(), Ok(expanded), "{text}");
        }
        assert!(host.expand("%m").unwrap_err().contains("`%m`"));
        assert!(host.expand("node-%").is_err());
    }

    #[test]
    fn a_machine_without_identity_is_told_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let useless = "is not 32 hexadecimal digits";
        for (content, expected) in [
            ("", "is empty"),
            ("uninitialized\n", "is uninitialized"),
            ("abc\n", useless),
            ("00000000000000000000000000000000\n", useless),
            ("0123456789abcdef0123456789abcdeg\n", useless),
            ("01234567-89ab-cdef-0123456789abcdef\n", useless),
            (
                "0123456789abcdef0123456789abcdef\n0123456789abcdef0123456789abcdef\n",
                useless,
            ),
        ] {
            let error = host(folder.path(), "a", content).machine_id().unwrap_err();
            assert!(
                error.contains(expected) && error.contains("systemd-machine-id-setup"),
                "{error}"
            );
        }
        assert_eq!(
            host(folder.path(), "a", "0123456789abcdef0123456789abcdef\n")
                .machine_id()
                .as_deref(),
            Ok("fcc73eb3b76a4e28a0c80e1b1fc245f4")
        );
        let dashed = host(folder.path(), "a", "01234567-89ab-cdef-0123-456789abcdef\n");
        assert!(dashed.machine_id().is_ok());
        let mut gone = host(folder.path(), "a", "abc");
        gone.machine_id_file = folder.path().join("nothing");
        assert!(gone.machine_id().unwrap_err().contains("cannot be read"));
        assert!(host(folder.path(), "(none)\n", "").expand("%H").is_err());
        // Whoever opens a FIFO waits for its writer.
        gone.machine_id_file = folder.path().join("fifo");
        let fifo = std::process::Command::new("mkfifo")
            .arg(&gone.machine_id_file)
            .status();
        assert!(fifo.unwrap().success());
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || tell.send(gone.machine_id()));
        let error = told.recv_timeout(std::time::Duration::from_secs(20));
        let error = error.unwrap().unwrap_err();
        assert!(
            error.contains("fifo cannot be read: is not a regular file"),
            "{error}"
        );
    }
}
