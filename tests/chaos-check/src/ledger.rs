//! The hosts' ledger: one line an event, `SECONDS WHO WHAT [WORDS]`, in the order in which the lines were appended.

use std::fmt;

/// What the run says about itself in the first line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// `max_concurrent_reboots` of every node.
    pub limit: usize,
    /// The nodes.
    pub nodes: Vec<String>,
    /// The rack in which each node stands, in their order; empty when there are none.
    pub racks: Vec<String>,
    /// How many nodes of one rack may be down at once.
    pub rack_limit: usize,
    /// The wave of each node; empty when they are all in one.
    pub waves: Vec<i32>,
    /// `lock_key`.
    pub lock_key: String,
    /// Where the run writes its clock.
    pub clock_key: String,
}

impl Setup {
    fn place(&self, node: &str) -> Option<usize> {
        self.nodes.iter().position(|name| name == node)
    }

    pub(crate) fn rack(&self, node: &str) -> Option<&str> {
        self.racks.get(self.place(node)?).map(String::as_str)
    }

    pub(crate) fn wave(&self, node: &str) -> i32 {
        let place = self.place(node);
        place
            .and_then(|place| self.waves.get(place))
            .copied()
            .unwrap_or(0)
    }
}

pub(crate) struct Ledger {
    pub(crate) setup: Setup,
    pub(crate) lines: Vec<Line>,
}

#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// Seconds since the machine's boot.
    pub(crate) at: f64,
    pub(crate) what: What,
    number: usize,
    text: String,
}

/// What a line tells. Boots are named by their boot ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// The drain hook or the reboot command began: a disruptive act.
    Act {
        node: String,
        boot: String,
        kind: Kind,
    },
    /// The undo of the drain began.
    Undrain { node: String },
    /// The health script said so to a node that has to prove its health.
    Health {
        node: String,
        boot: String,
        good: bool,
    },
    /// The power supply took the host down: because its reboot command asked for it, or by a fault.
    Down {
        node: String,
        boot: String,
        asked: bool,
    },
    /// The host is up again; whether it still needs a reboot.
    Boot { node: String, still_needed: bool },
    /// The host, which is a copy of another one, was switched off for good.
    Retired { node: String, boot: String },
    /// The host came to need a reboot.
    Need { node: String },
    /// The host needs no reboot any more.
    Cleared { node: String },
    /// Everyone is about to need a reboot.
    Round(usize),
    /// No more faults in this round.
    Calm(usize),
    /// All nodes are done with the round, and some time was given to them to do too much.
    Settled(usize),
    /// Too much time went by without the round coming to its end.
    Unfinished(usize),
    /// A fault begins.
    Fault { id: usize, kind: String },
    /// It is over.
    FaultEnd { id: usize },
    /// A daemon ended by itself.
    Died { node: String },
    /// The run came to its own end.
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Drain,
    /// A reboot command, and whether it is one that leaves the host up.
    Reboot {
        idle: bool,
    },
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ledger line {}: {}", self.number, self.text)
    }
}

pub(crate) fn parse(text: &str) -> Result<Ledger, String> {
    let mut lines = text.lines().enumerate();
    let (_, first) = lines.next().ok_or("the ledger is empty")?;
    let setup = setup(first).ok_or_else(|| format!("not the first line of a ledger: {first}"))?;
    let line = |(index, text): (usize, &str)| {
        line(index + 1, text).ok_or_else(|| format!("ledger line {}: {text}", index + 1))
    };
    let lines = lines.map(line).collect::<Result<Vec<Line>, String>>()?;
    Ok(Ledger { setup, lines })
}

fn setup(text: &str) -> Option<Setup> {
    let field = |name: &str| {
        let mut words = text.split(' ');
        words.find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
    };
    let list = |name: &str| {
        let words = field(name).unwrap_or_default().split(',');
        words.filter(|word| !word.is_empty())
    };
    Some(Setup {
        racks: list("racks").map(str::to_owned).collect(),
        rack_limit: field("rack_limit").map_or(Some(usize::MAX), |it| it.parse().ok())?,
        waves: list("waves")
            .map(|it| it.parse().ok())
            .collect::<Option<_>>()?,
        limit: field("limit")?.parse().ok()?,
        nodes: field("nodes")?.split(',').map(str::to_owned).collect(),
        lock_key: field("lock_key")?.to_owned(),
        clock_key: field("clock_key")?.to_owned(),
    })
}

fn line(number: usize, text: &str) -> Option<Line> {
    let mut words = text.split(' ');
    let at = words.next()?.parse().ok()?;
    let who = words.next()?.to_owned();
    let verb = words.next()?;
    let rest: Vec<&str> = words.collect();
    let what = match who.as_str() {
        "run" => of_run(verb, &rest)?,
        _ => of_host(who, verb, &rest)?,
    };
    Some(Line {
        at,
        what,
        number,
        text: text.to_owned(),
    })
}

fn of_host(node: String, verb: &str, rest: &[&str]) -> Option<What> {
    let boot = (*rest.first()?).to_owned();
    let act = |kind| What::Act {
        node: node.clone(),
        boot: boot.clone(),
        kind,
    };
    Some(match verb {
        "drain" => act(Kind::Drain),
        "reboot" => act(Kind::Reboot {
            idle: ["nothing", "fail"].contains(rest.get(1)?),
        }),
        "undrain" => What::Undrain { node },
        "health-good" | "health-bad" => What::Health {
            node,
            boot,
            good: verb == "health-good",
        },
        "down" => What::Down {
            node,
            boot,
            asked: *rest.get(1)? == "asked",
        },
        "boot" => What::Boot {
            node,
            still_needed: rest.get(1) == Some(&"needed"),
        },
        "retired" => What::Retired { node, boot },
        "need" => What::Need { node },
        "cleared" => What::Cleared { node },
        "died" => What::Died { node },
        _ => return None,
    })
}

fn of_run(verb: &str, rest: &[&str]) -> Option<What> {
    if verb == "end" {
        return Some(What::End);
    }
    let number = rest.first()?.parse().ok()?;
    Some(match verb {
        "round" => What::Round(number),
        "calm" => What::Calm(number),
        "settled" => What::Settled(number),
        "unfinished" => What::Unfinished(number),
        "fault" => What::Fault {
            id: number,
            kind: (*rest.get(1)?).to_owned(),
        },
        "fault-end" => What::FaultEnd { id: number },
        _ => return None,
    })
}
