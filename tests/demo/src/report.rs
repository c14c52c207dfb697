//! The end: what was seen, and whether it is what was promised.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use crate::failure::stops_everyone;
use crate::ledger::Turn;
use crate::show::Show;
use crate::{Error, Options};

/// What was seen.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Hosts that went down and came back.
    pub reboots: usize,
    /// The most claims that were committed at once, in the order of etcd's revisions.
    pub most_committed: usize,
    /// The most of one rack among them.
    pub most_of_a_rack: usize,
    /// The most hosts that were off at once, by their power supplies.
    pub most_down: usize,
    /// From each release to the commit that it made possible, ascending.
    pub handovers: Vec<Duration>,
    /// How long the claim of the host that failed stood.
    pub stopped: Option<Duration>,
    /// What `verify-history` makes of etcd's history.
    pub proved: String,
    /// The promises that were not kept; empty when all were.
    pub broken: Vec<String>,
    /// It was stopped before its end; nothing was judged.
    pub interrupted: bool,
}

/// Judges, prints, and ends everything that runs.
pub(crate) fn finish(show: Show<'_>, interrupted: bool) -> Result<Report, Error> {
    if interrupted {
        let out = show.view.end();
        let written = writeln!(out, "stopped; cleaning up");
        written.map_err(Error::io("cannot write"))?;
        return Ok(Report {
            interrupted,
            ..Report::default()
        });
    }
    let report = judge(&show)?;
    let options = show.options;
    let version = show.fleet.cluster.version().to_string();
    let fleet = show.fleet;
    let out = show.view.end();
    // A broken promise is worth its logs.
    let kept = (options.keep || !report.broken.is_empty()).then(|| fleet.keep_folder());
    let printed = print(&report, options, &version, out).and_then(|()| match kept {
        Some(folder) => writeln!(out, "\nconfigurations and logs are in {}", folder.display()),
        None => Ok(()),
    });
    printed.map_err(Error::io("cannot write"))?;
    Ok(report)
}

fn judge(show: &Show<'_>) -> Result<Report, Error> {
    let hosts = &show.fleet.hosts;
    let outages = || hosts.iter().flat_map(|host| host.outages.iter().copied());
    let mut broken = show.broken.clone();
    broken.extend(show.ledger.broken.iter().cloned());
    // A host that never comes back counts until its claim is taken away: from then on an operator answers for it.
    let given_up = |name: &str| {
        let turn = show.ledger.releases.iter().find(|turn| turn.node == name);
        turn.map(|turn| turn.at)
    };
    let most_down = most_at_once(hosts.iter().flat_map(|host| {
        let end = move |back: Option<Instant>| back.or_else(|| given_up(&host.name));
        host.outages
            .iter()
            .map(move |(down, back)| (*down, end(*back)))
    }));
    if most_down > show.options.limit {
        broken.push(format!(
            "{most_down} hosts were off at once, the limit is {}",
            show.options.limit
        ));
    }
    for host in hosts {
        let commits = show
            .ledger
            .commits
            .iter()
            .filter(|turn| turn.node == host.name)
            .count();
        if (host.outages.len(), commits) != (1, 1) {
            broken.push(format!(
                "{} went down {} times and committed {commits} times, instead of once",
                host.name,
                host.outages.len()
            ));
        }
        let release = show
            .ledger
            .releases
            .iter()
            .find(|turn| turn.node == host.name);
        if let (Some(release), Some((_, Some(back)))) = (release, host.outages.first())
            && release.at < *back
        {
            broken.push(format!(
                "{} gave its claim back while it was down",
                host.name
            ));
        }
    }
    for kind in ["claims", "requests"] {
        let left = show.fleet.having(kind)?;
        if !left.is_empty() {
            broken.push(format!("{kind} are left: {}", left.join(", ")));
        }
    }
    let stopped = show.stopped();
    match &stopped {
        Some(stop)
            if stops_everyone(show.options)
                && (stop.others.commits, stop.others.outages) != (0, 0) =>
        {
            broken.push(format!("others rebooted while {} was out", stop.name));
        }
        None if show.options.fail.is_some() => {
            broken.push("the failure did not come about".to_owned())
        }
        Some(_) | None => {}
    }
    let line = show.line_stood();
    match &line {
        Some(line) if line.commits > 0 => {
            broken.push(format!("{} committed while the line stood", line.commits));
        }
        None if show.options.bad_kernel => broken.push("the line did not stop".to_owned()),
        Some(_) | None => {}
    }
    broken.extend(out_of_wave(show));
    let proved = show.fleet.command(&["verify-history"]);
    let proved = proved.unwrap_or_else(|error| error.to_string());
    // A claim that etcdctl deletes is one that no program of ours deletes, and it is told as that.
    let by_hand = proved.starts_with("`verify-history` failed: VIOLATED: 1 finding\n");
    if !(proved.starts_with("KEPT: ") || by_hand && show.options.fail.is_some()) {
        broken.push(proved.clone());
    }
    let mut handovers = show.ledger.handovers();
    handovers.sort();
    Ok(Report {
        reboots: outages().filter(|(_, back)| back.is_some()).count(),
        most_committed: show.ledger.most_at_once,
        most_of_a_rack: show.ledger.most_of_a_rack,
        most_down,
        handovers,
        stopped: stopped
            .map(|stop| stop.lasted)
            .or(line.map(|line| line.lasted)),
        proved: proved.lines().next().unwrap_or_default().to_owned(),
        broken,
        interrupted: false,
    })
}

/// Who committed before all of a lower wave had given their claims back.
fn out_of_wave(show: &Show<'_>) -> Vec<String> {
    let wave = |node: &str| {
        let number = node.strip_prefix("node-").and_then(|it| it.parse().ok());
        number.map_or(0, |number| show.options.wave(number))
    };
    let (commits, releases) = (&show.ledger.commits, &show.ledger.releases);
    let early = commits.iter().filter(|commit| {
        let late =
            |turn: &&Turn| wave(&turn.node) < wave(&commit.node) && turn.revision > commit.revision;
        releases.iter().any(|turn| late(&turn))
    });
    early
        .map(|commit| format!("{} committed before a lower wave was through", commit.node))
        .collect()
}

/// The most of these that overlap. One without an end is for ever.
fn most_at_once(spans: impl Iterator<Item = (Instant, Option<Instant>)>) -> usize {
    let spans: Vec<_> = spans.collect();
    let covers = |at: Instant| {
        let over =
            |(from, to): &&(Instant, Option<Instant>)| *from <= at && to.is_none_or(|to| to > at);
        spans.iter().filter(over).count()
    };
    spans
        .iter()
        .map(|(from, _)| covers(*from))
        .max()
        .unwrap_or(0)
}

fn print(report: &Report, options: &Options, version: &str, out: &mut dyn Write) -> io::Result<()> {
    let failed = usize::from(options.fail.is_some());
    writeln!(out)?;
    writeln!(
        out,
        "reboots      {} of {} hosts",
        report.reboots,
        options.nodes - failed
    )?;
    writeln!(
        out,
        "at once      {} committed by etcd's history, {} off by the hosts' power; limit {}",
        report.most_committed, report.most_down, options.limit
    )?;
    if let Some(racks) = options.racks {
        writeln!(
            out,
            "racks        {racks}, never more than {} of one at once; limit {}",
            report.most_of_a_rack, options.rack_limit
        )?;
    }
    print_handovers(&report.handovers, out)?;
    if let (true, Some(stood)) = (options.bad_kernel, report.stopped) {
        writeln!(
            out,
            "line         stood for {:.1} s behind node-1, until an operator let it go on;\n\
             \x20            nobody committed meanwhile",
            stood.as_secs_f64()
        )?;
    }
    if let (Some(number), Some(lasted)) = (options.fail, report.stopped) {
        let others = if stops_everyone(options) {
            "until then nobody else rebooted".to_owned()
        } else {
            format!(
                "the others shared {} of {} places",
                options.limit - 1,
                options.limit
            )
        };
        writeln!(
            out,
            "failure      node-{number} held its claim for {:.1} s, until it was taken away;\n\
             \x20            {others}",
            lasted.as_secs_f64()
        )?;
    }
    writeln!(
        out,
        "settings     {} hosts, limit {}, {} s a boot, a check every second, etcd {version}",
        options.nodes,
        options.limit,
        options.boot.as_secs_f64()
    )?;
    writeln!(out, "history      {}", report.proved)?;
    if report.broken.is_empty() {
        return writeln!(out, "result       every promise held");
    }
    for broken in &report.broken {
        writeln!(out, "BROKEN       {broken}")?;
    }
    Ok(())
}

fn print_handovers(sorted: &[Duration], out: &mut dyn Write) -> io::Result<()> {
    let ms = |span: Duration| span.as_secs_f64() * 1000.0;
    let (Some(fastest), Some(slowest)) = (sorted.first(), sorted.last()) else {
        return writeln!(out, "handover     none: nobody waited for a place");
    };
    writeln!(
        out,
        "handover     median {:.1} ms, fastest {:.1} ms, slowest {:.1} ms, of {}\n\
         \x20            (from a release to the commit that it made possible, both as one\n\
         \x20            watch on etcd received them)",
        ms(median(sorted)),
        ms(*fastest),
        ms(*slowest),
        sorted.len()
    )
}

fn median(sorted: &[Duration]) -> Duration {
    let (low, high) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
    (low + high) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlaps_are_counted_and_ends_are_exclusive() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let spans = [
            (at(0), Some(at(10))),
            (at(10), Some(at(20))),
            (at(5), Some(at(15))),
            (at(12), None),
        ];
        assert_eq!(most_at_once(spans.into_iter()), 3);
        assert_eq!(most_at_once(spans[..2].iter().copied()), 1);
        assert_eq!(most_at_once([].into_iter()), 0);
    }

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        let spans: Vec<Duration> = [1, 2, 4, 9].map(Duration::from_millis).into();
        assert_eq!(median(&spans), Duration::from_millis(3));
        assert_eq!(median(&spans[..3]), Duration::from_millis(2));
    }
}
