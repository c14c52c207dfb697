//! What the demo is asked to do.

use std::path::PathBuf;
use std::time::Duration;

/// The most nodes: what fits on a screen and on one machine.
const MOST_NODES: usize = 64;

/// Help of the program, and of the script in front of it.
pub const USAGE: &str = "\
Usage: scripts/demo [--nodes N] [--limit K] [--racks R] [--rack-limit K]
                    [--waves W] [--fail NODE] [--bad-kernel] [--request]
                    [--tls] [--auth]
                    [--boot-sec S] [--hold-sec S] [--idle-sec S]
                    [--metrics PORT] [--plain] [--keep] [--help]

Shows a fleet taking turns to reboot, on this machine and without rebooting it:
a real etcd, and N daemons of the real program, each on a made-up host that
goes down and comes back with a new boot id. What is shown comes from a watch
on etcd and from the hosts' power supplies, not from the daemons.

  --nodes N     how many hosts (default: 5)
  --limit K     max_concurrent_reboots (default: 1)
  --racks R     the hosts stand in so many racks
  --rack-limit K  how many of one rack may be down at once (default: 1)
  --waves W     the first hosts are in wave 0, and so on: a wave goes when those
                before it are through
  --bad-kernel  node-1 comes back with the old kernel. The line stands, whatever
                the limit, until the demo lets it go on with `go-on`
  --fail NODE   this host, such as node-2, does not come back. The line stops
                until its claim is taken away: by you, where the demo is drawn
                on a terminal, otherwise by the demo
  --request     no host needs a reboot by itself: `request --all` asks for one of
                each, and every request has to be gone at the end
  --tls         etcd wants client certificates, and every host has one
  --auth        etcd knows users: each host one of its own, with the least rights
                as scripts/etcd-roles gives them, and one for the operator
  --boot-sec S  how long a host is down (default: 1)
  --hold-sec S  how long the failure stands before the demo takes the claim
                away (default: 5)
  --idle-sec S  how long nobody needs a reboot, at the beginning and at the end
                (default: 0)
  --metrics P   node-1 serves its page and metrics at 127.0.0.1:P+1, and so on
  --plain       one line an event, as when piped, instead of the live picture
  --keep        leave the hosts' folders with configurations and logs
  --help        this text

Everything is removed at the end, also after Ctrl-C; when a promise was broken,
the hosts' folders stay. Only a demo that is killed with SIGKILL leaves a folder
reboot-demo-* among the temporary files; its processes end with it.

Exit status: 0 when every promise held, 1 when one was broken or the demo could
not run, 64 for wrong usage, 130 after Ctrl-C.
";

/// What the demo is asked to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// How many hosts.
    pub nodes: usize,
    /// `max_concurrent_reboots`.
    pub limit: usize,
    /// How many racks there are, when the hosts stand in racks.
    pub racks: Option<usize>,
    /// How many of one rack may be down at once.
    pub rack_limit: usize,
    /// How many waves there are.
    pub waves: usize,
    /// The first host comes back with the old kernel.
    pub bad_kernel: bool,
    /// The number of the host that does not come back, from 1.
    pub fail: Option<usize>,
    /// Reboots are asked for by `request --all` instead of by the hosts' detectors.
    pub request: bool,
    /// etcd wants client certificates.
    pub tls: bool,
    /// etcd knows users, each with the least rights.
    pub auth: bool,
    /// How long a host is down.
    pub boot: Duration,
    /// Without an operator: how long the failure stands before its claim is taken away.
    pub hold: Duration,
    /// How long nobody needs a reboot, at the beginning and at the end.
    pub idle: Duration,
    /// The port below that of node-1's page and metrics.
    pub metrics: Option<u16>,
    /// One line an event, also on a terminal.
    pub plain: bool,
    /// Leave the hosts' folders.
    pub keep: bool,
    /// The coordinator's binary.
    pub daemon: PathBuf,
}

impl Options {
    /// Five hosts, one at a time, a second each.
    pub fn new(daemon: PathBuf) -> Options {
        Options {
            nodes: 5,
            limit: 1,
            racks: None,
            rack_limit: 1,
            waves: 1,
            bad_kernel: false,
            fail: None,
            request: false,
            tls: false,
            auth: false,
            boot: Duration::from_secs(1),
            hold: Duration::from_secs(5),
            idle: Duration::ZERO,
            metrics: None,
            plain: false,
            keep: false,
            daemon,
        }
    }

    /// Reads the command line; `None` when help is asked for.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(
        args: impl IntoIterator<Item = std::ffi::OsString>,
        daemon: PathBuf,
    ) -> Result<Option<Options>, lexopt::Error> {
        use lexopt::prelude::{Long, Short, Value, ValueExt};
        let mut options = Options::new(daemon);
        let mut parser = lexopt::Parser::from_args(args);
        while let Some(arg) = parser.next()? {
            match arg {
                Long("nodes") => options.nodes = parser.value()?.parse()?,
                Long("limit") => options.limit = parser.value()?.parse()?,
                Long("fail") => {
                    let number = |text: &str| text.strip_prefix("node-").unwrap_or(text).parse();
                    options.fail = Some(parser.value()?.parse_with(number)?);
                }
                Long("racks") => options.racks = Some(parser.value()?.parse()?),
                Long("rack-limit") => options.rack_limit = parser.value()?.parse()?,
                Long("waves") => options.waves = parser.value()?.parse()?,
                Long("bad-kernel") => options.bad_kernel = true,
                Long("request") => options.request = true,
                Long("tls") => options.tls = true,
                Long("auth") => options.auth = true,
                Long("boot-sec") => options.boot = seconds(&mut parser)?,
                Long("hold-sec") => options.hold = seconds(&mut parser)?,
                Long("idle-sec") => options.idle = seconds(&mut parser)?,
                Long("metrics") => options.metrics = Some(parser.value()?.parse()?),
                Long("plain") => options.plain = true,
                Long("keep") => options.keep = true,
                Long("daemon") => options.daemon = parser.value()?.into(),
                Short('h') | Long("help") => return Ok(None),
                other @ (Long(_) | Short(_) | Value(_)) => return Err(other.unexpected()),
            }
        }
        options.check()?;
        Ok(Some(options))
    }

    fn check(&self) -> Result<(), lexopt::Error> {
        if !(1..=MOST_NODES).contains(&self.nodes) {
            return Err(format!("--nodes is from 1 to {MOST_NODES}").into());
        }
        if !(1..=MOST_NODES).contains(&self.limit) {
            return Err(format!("--limit is from 1 to {MOST_NODES}").into());
        }
        let nodes = u16::try_from(self.nodes).unwrap_or(u16::MAX);
        if self
            .metrics
            .is_some_and(|port| port.checked_add(nodes).is_none())
        {
            return Err("--metrics needs a port for every host above it".into());
        }
        let racks = self.racks.unwrap_or(1);
        if [racks, self.waves, self.rack_limit]
            .iter()
            .any(|it| !(1..=MOST_NODES).contains(it))
        {
            return Err(
                format!("--racks, --rack-limit and --waves are from 1 to {MOST_NODES}").into(),
            );
        }
        if self.bad_kernel
            && (self.request || self.fail.is_some() || self.waves > 1 || self.nodes < 2)
        {
            return Err("--bad-kernel needs another host that waits, and goes with neither --request, --fail nor --waves".into());
        }
        match self.fail {
            Some(_) if self.waves > 1 => Err("--waves does not go with --fail".into()),
            Some(_) if self.request => Err("--request does not go with --fail".into()),
            Some(_) if self.nodes < 2 => Err("--fail needs another host that waits".into()),
            Some(node) if !(1..=self.nodes).contains(&node) => {
                Err(format!("--fail names a host from node-1 to node-{}", self.nodes).into())
            }
            _ => Ok(()),
        }
    }

    /// The rack of a host, by its number.
    pub(crate) fn rack(&self, number: usize) -> Option<usize> {
        Some((number - 1) % self.racks? + 1)
    }

    /// The wave of a host, by its number.
    pub(crate) fn wave(&self, number: usize) -> usize {
        (number - 1) * self.waves / self.nodes
    }

    /// The number of the host that the others wait behind.
    pub(crate) fn first(&self) -> Option<usize> {
        self.fail.or(self.bad_kernel.then_some(1))
    }

    /// The hosts' numbers in the order in which they ask. One that fails is not the last: somebody has to wait behind it.
    pub(crate) fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (1..=self.nodes).collect();
        if self.fail == Some(self.nodes) {
            order.swap(self.nodes - 1, self.nodes - 2);
        }
        order
    }
}

fn seconds(parser: &mut lexopt::Parser) -> Result<Duration, lexopt::Error> {
    use lexopt::prelude::ValueExt;
    let text: f64 = parser.value()?.parse()?;
    match Duration::try_from_secs_f64(text) {
        Ok(span) if span <= Duration::from_secs(3600) => Ok(span),
        Ok(_) | Err(_) => Err("a time is a number of seconds from 0 to 3600, such as 0.5".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Option<Options>, lexopt::Error> {
        Options::parse(line.split_whitespace().map(Into::into), "daemon".into())
    }

    #[test]
    fn the_command_line_is_understood_or_refused() {
        let options = parse("--nodes 8 --limit=3 --fail node-2 --boot-sec 0.3 --tls")
            .unwrap()
            .unwrap();
        assert_eq!((options.tls, options.auth), (true, false));
        assert_eq!((options.nodes, options.limit), (8, 3));
        assert_eq!(options.fail, Some(2));
        assert_eq!(options.boot, Duration::from_millis(300));
        assert_eq!(parse("--fail 3").unwrap().unwrap().fail, Some(3));
        assert_eq!(parse("--nodes 0 --help").unwrap(), None);
        for wrong in [
            "--nodes 0",
            "--nodes 65",
            "--limit 0",
            "--fail node-6",
            "--fail node-0",
            "--nodes 1 --fail 1",
            "--request --fail 1",
            "--boot-sec -1",
            "--boot-sec soon",
            "--metrics 65533",
            "--racks 0",
            "--waves 65",
            "--rack-limit 0",
            "--bad-kernel --fail 2",
            "--bad-kernel --nodes 1",
            "--waves 2 --fail 2",
            "--what",
            "extra",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn hosts_stand_in_racks_by_turns_and_in_waves_one_after_the_other() {
        let options = parse("--nodes 6 --racks 4 --waves 3").unwrap().unwrap();
        let racks = (1..=6).map(|number| options.rack(number).unwrap());
        assert_eq!(racks.collect::<Vec<_>>(), [1, 2, 3, 4, 1, 2]);
        let waves = (1..=6).map(|number| options.wave(number));
        assert_eq!(waves.collect::<Vec<_>>(), [0, 0, 1, 1, 2, 2]);
        assert_eq!(parse("").unwrap().unwrap().rack(1), None);
    }

    #[test]
    fn a_failing_host_is_never_the_last_to_ask() {
        let order = |line| parse(line).unwrap().unwrap().order();
        assert_eq!(order("--nodes 4 --fail 2"), [1, 2, 3, 4]);
        assert_eq!(order("--nodes 4 --fail 4"), [1, 2, 4, 3]);
    }
}
