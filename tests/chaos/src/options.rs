//! What the run is asked to do.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// The most nodes: each has an address and several processes.
const MOST_NODES: usize = 64;

/// Help of the program, and of the script in front of it.
pub(crate) const USAGE: &str = "\
Usage: scripts/chaos [--minutes M] [--seed S] [--nodes N] [--keep] [--help]
       scripts/chaos --judge FOLDER

Runs N daemons of the real program and a real etcd of three members, each in a
network namespace of its own, through rounds of \"everyone needs a reboot\" while
faults from a seed strike: processes killed and stopped, hosts without power,
partitions (one-way and two-way), loss, slow lines, full disks, wiped run
folders, moved leaders, reboot commands that fail or do nothing. Afterwards it
judges the run from etcd's whole history and from a ledger that the hosts' own
scripts write, with a checker that shares no code with the program.

  --minutes M     how long, decimals allowed (default: 5); the last round is
                  finished, which may take a minute or two more
  --seed S        which plan (default: from the clock). A seed brings back the
                  same plan, not the same timing
  --nodes N       how many hosts (default: 9)
  --keep          leave the history, the ledger and all logs, and say where;
                  after a violation they stay in any case
  --plant FAULT   spoil the run, to see that the judge notices:
                    limit   one node believes in a limit of 9, of its rack too
                    rogue   a host reboots without having been permitted
                    delete  the claim of a host that is down is deleted
  --judge FOLDER  judge a folder that --keep left once more
  --help          this text

It needs root (that of a user namespace is enough), network namespaces, ip, tc
and nft; the script installs the tools where apt can. Nothing stays behind, also
after Ctrl-C: everything lives in namespaces that end with the program. Only a
run that is killed with SIGKILL leaves a folder reboot-chaos-* among the
temporary files.

Exit status: 0 when every promise held, 1 when one was broken or the run could
not be made, 64 for wrong usage, 77 where namespaces are not allowed, 130 after
Ctrl-C.
";

/// A fault of the run itself, which the judge has to notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Planted {
    Limit,
    Rogue,
    Delete,
}

/// What the run is asked to do.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) length: Duration,
    pub(crate) seed: u64,
    pub(crate) nodes: usize,
    pub(crate) keep: bool,
    pub(crate) plant: Option<Planted>,
    pub(crate) judge: Option<PathBuf>,
    /// Set in the process inside the namespaces: the run's folder.
    pub(crate) inside: Option<PathBuf>,
}

impl Options {
    /// Reads the command line; `None` when help is asked for.
    pub(crate) fn parse(
        args: impl IntoIterator<Item = OsString>,
    ) -> Result<Option<Options>, lexopt::Error> {
        use lexopt::prelude::{Long, Short, ValueExt};
        let mut options = Options {
            length: Duration::from_secs(300),
            seed: std::time::UNIX_EPOCH
                .elapsed()
                .map_or(1, |since| since.as_secs()),
            nodes: 9,
            keep: false,
            plant: None,
            judge: None,
            inside: None,
        };
        let mut parser = lexopt::Parser::from_args(args);
        while let Some(arg) = parser.next()? {
            match arg {
                Long("minutes") => options.length = parser.value()?.parse_with(minutes)?,
                Long("seed") => options.seed = parser.value()?.parse()?,
                Long("nodes") => options.nodes = parser.value()?.parse_with(nodes)?,
                Long("keep") => options.keep = true,
                Long("plant") => options.plant = Some(parser.value()?.parse_with(planted)?),
                Long("judge") => options.judge = Some(parser.value()?.into()),
                Long("inside") => options.inside = Some(parser.value()?.into()),
                Long("help") | Short('h') => return Ok(None),
                _ => return Err(arg.unexpected()),
            }
        }
        Ok(Some(options))
    }

    /// The same for the process inside the namespaces.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let mut arguments = vec![
            format!("--minutes={}", self.length.as_secs_f64() / 60.0),
            format!("--seed={}", self.seed),
            format!("--nodes={}", self.nodes),
        ];
        let plant = match self.plant {
            Some(Planted::Limit) => Some("limit"),
            Some(Planted::Rogue) => Some("rogue"),
            Some(Planted::Delete) => Some("delete"),
            None => None,
        };
        arguments.extend(plant.map(|plant| format!("--plant={plant}")));
        arguments
    }
}

fn minutes(text: &str) -> Result<Duration, String> {
    let minutes: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if !(minutes > 0.0 && minutes <= 24.0 * 60.0) {
        return Err("not between 0 and 1440".to_owned());
    }
    Ok(Duration::from_secs_f64(minutes * 60.0))
}

fn nodes(text: &str) -> Result<usize, String> {
    let nodes: usize = text.parse().map_err(|_| "not a number".to_owned())?;
    match nodes {
        1..=MOST_NODES => Ok(nodes),
        _ => Err(format!("not between 1 and {MOST_NODES}")),
    }
}

fn planted(text: &str) -> Result<Planted, String> {
    match text {
        "limit" => Ok(Planted::Limit),
        "rogue" => Ok(Planted::Rogue),
        "delete" => Ok(Planted::Delete),
        _ => Err("not one of limit, rogue, delete".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inside_is_asked_for_the_same_as_the_outside() {
        let words = [
            "--minutes",
            "0.5",
            "--seed",
            "7",
            "--nodes",
            "4",
            "--plant",
            "rogue",
        ];
        let options = Options::parse(words.map(OsString::from)).unwrap().unwrap();
        let passed_on = options.arguments().into_iter().map(OsString::from);
        let again = Options::parse(passed_on).unwrap().unwrap();
        assert_eq!(again.length, Duration::from_secs(30));
        assert_eq!((again.seed, again.nodes), (7, 4));
        assert_eq!(again.plant, Some(Planted::Rogue));
    }

    #[test]
    fn nonsense_is_refused() {
        for words in [
            ["--minutes", "0"],
            ["--nodes", "99"],
            ["--plant", "x"],
            ["--x", "1"],
        ] {
            assert!(
                Options::parse(words.map(OsString::from)).is_err(),
                "{words:?}"
            );
        }
    }
}
