//! What the hosts did, and whether they were permitted to: the ledger, compared with the spans of the committed claims.

use std::collections::BTreeMap;

use crate::claims::Span;
use crate::clock::Clock;
use crate::ledger::{Kind, Ledger, Line, What};
use crate::{STAMP_ERROR, Verdict, node_of};

/// How long a request of a host that is gone may be on its way, in seconds: what a daemon waits for an answer here.
const ON_ITS_WAY: f64 = 1.5;

/// Judges all acts.
pub(crate) fn judge(ledger: &Ledger, spans: &[Span], clock: &Clock, verdict: &mut Verdict) {
    for line in &ledger.lines {
        if let Some((node, boot)) = disrupted(&line.what) {
            permitted(line, node, boot, spans, clock, verdict);
        }
    }
    wanted(ledger, verdict);
    overlaps(ledger, spans, clock, verdict);
    for span in spans {
        proved(span, spans, ledger, clock, verdict);
    }
    let died = ledger
        .lines
        .iter()
        .filter(|line| matches!(line.what, What::Died { .. }));
    for line in died {
        let what = "a daemon ended by itself".to_owned();
        verdict.accuse("P5", what, vec![line.to_string()]);
    }
}

/// Whom the program disrupted, in which boot: by an act, or by going down because an act asked for it, which may be later.
fn disrupted(what: &What) -> Option<(&str, &str)> {
    match what {
        What::Act { node, boot, .. }
        | What::Down {
            node,
            boot,
            asked: true,
        } => Some((node, boot)),
        _ => None,
    }
}

/// P2: an act lies within a committed claim of the same node, made during the same boot.
fn permitted(
    act: &Line,
    node: &str,
    boot: &str,
    spans: &[Span],
    clock: &Clock,
    verdict: &mut Verdict,
) {
    let own = |span: &&Span| span.node == node_of(node) && span.boot == boot;
    let holds = |span: &Span| {
        let begun = act.at + STAMP_ERROR >= clock.after(span.committed);
        begun && span.ended.is_none_or(|end| act.at <= clock.before(end))
    };
    if spans.iter().filter(own).any(holds) {
        return;
    }
    let mut evidence = vec![act.to_string()];
    for span in spans.iter().filter(own) {
        evidence.push(format!(
            "committed after {:.2}, ended before {:.2}:",
            clock.after(span.committed),
            span.ended.map_or(f64::INFINITY, |end| clock.before(end))
        ));
        evidence.extend(span.evidence.iter().cloned());
    }
    let what = format!("{node} disrupted itself without a committed claim");
    verdict.accuse("P2", what, evidence);
}

/// P2 and P6: an act needs a reason, and a reboot that did not clear it is not repeated.
fn wanted(ledger: &Ledger, verdict: &mut Verdict) {
    let mut needs: BTreeMap<&str, &Line> = BTreeMap::new();
    let mut rebooted: BTreeMap<&str, &Line> = BTreeMap::new();
    for line in &ledger.lines {
        match &line.what {
            What::Round(_) => rebooted.clear(),
            What::Need { node } => {
                needs.insert(node, line);
            }
            What::Boot {
                node,
                still_needed: false,
            }
            | What::Cleared { node } => {
                needs.remove(node.as_str());
            }
            What::Down {
                node, asked: true, ..
            } => {
                rebooted.insert(node, line);
            }
            What::Act { node, .. } => {
                if !needs.contains_key(node.as_str()) {
                    let what = format!("{node} disrupted itself though nothing asked for it");
                    verdict.accuse("P2", what, vec![line.to_string()]);
                }
                if let Some(before) = rebooted.get(node.as_str()) {
                    let what = format!("{node} disrupted itself again after its reboot");
                    let evidence = vec![before.to_string(), line.to_string()];
                    verdict.accuse("P6", what, evidence);
                }
            }
            _ => {}
        }
    }
}

/// A host between its first disruptive act and its return.
struct Out<'a> {
    from: f64,
    until: f64,
    act: &'a Line,
}

impl Out<'_> {
    fn node(&self) -> &str {
        disrupted(&self.act.what).map_or("", |(node, _)| node_of(node))
    }
}

/// P1: never more hosts out than the limit allows, by the hosts' own lines. A host counts as back at its first good health
/// report afterwards, or at the earliest moment at which its claim can have ended: both are early rather than late.
fn overlaps(ledger: &Ledger, spans: &[Span], clock: &Clock, verdict: &mut Verdict) {
    let mut outs: Vec<Out<'_>> = Vec::new();
    let mut open: BTreeMap<&str, usize> = BTreeMap::new();
    for line in &ledger.lines {
        match (disrupted(&line.what), &line.what) {
            (Some((node, boot)), _) => {
                // Before the end of its own window the act belongs to it.
                let within = open.get(node).is_some_and(|i| line.at < outs[*i].until);
                if !within {
                    open.insert(node, outs.len());
                    outs.push(Out {
                        from: line.at,
                        until: claim_end(line.at, node, boot, spans, clock),
                        act: line,
                    });
                }
            }
            (
                None,
                What::Health {
                    node, good: true, ..
                },
            ) => {
                if let Some(index) = open.remove(node.as_str()) {
                    outs[index].until = outs[index].until.min(line.at);
                }
            }
            (None, What::Retired { node, .. }) => {
                if let Some(index) = open.remove(node.as_str()) {
                    outs[index].until = outs[index].until.min(line.at);
                }
            }
            (None, _) => {}
        }
    }
    for out in &outs {
        let at_once = outs
            .iter()
            .filter(|other| other.from <= out.from && out.from < other.until);
        let at_once: Vec<String> = at_once.map(|other| other.act.to_string()).collect();
        // A window that is closed in the hundredth of a second in which it was opened counts all the same.
        let count = at_once.len().max(1);
        verdict.figures.most_out = verdict.figures.most_out.max(count);
        if count > ledger.setup.limit {
            let what = format!(
                "{count} hosts are out at {:.2}, the limit is {}",
                out.from, ledger.setup.limit
            );
            verdict.accuse("P1", what, at_once);
        }
        rack_overlaps(out, &outs, ledger, verdict);
    }
}

/// P1, of the hosts that stand in the rack of this one.
fn rack_overlaps(out: &Out<'_>, outs: &[Out<'_>], ledger: &Ledger, verdict: &mut Verdict) {
    let Some(rack) = ledger.setup.rack(out.node()) else {
        return;
    };
    let together = outs.iter().filter(|other| {
        let at_once = other.from <= out.from && out.from < other.until;
        at_once && ledger.setup.rack(other.node()) == Some(rack)
    });
    let together: BTreeMap<&str, String> = together
        .map(|other| (other.node(), other.act.to_string()))
        .collect();
    if together.len() > ledger.setup.rack_limit {
        let what = format!(
            "{} hosts of rack {rack} are out at {:.2}",
            together.len(),
            out.from
        );
        verdict.accuse("P1", what, together.into_values().collect());
    }
}

/// The earliest moment at which the claim behind an act can have ended.
fn claim_end(at: f64, node: &str, boot: &str, spans: &[Span], clock: &Clock) -> f64 {
    let node = node_of(node);
    let own = spans.iter().filter(|s| s.node == node && s.boot == boot);
    let ends = own.filter_map(|span| span.ended);
    let after = ends
        .filter(|end| clock.before(*end) >= at)
        .map(|end| clock.after(end));
    after.reduce(f64::min).unwrap_or(f64::INFINITY)
}

/// P1 and P3: a claim ends only after its node proved that it is healthy again, on the boot that followed if it went down.
/// What the node did when its next claim of the same boot may have been committed already is no act of this one for certain.
fn proved(span: &Span, spans: &[Span], ledger: &Ledger, clock: &Clock, verdict: &mut Verdict) {
    let Some(end) = span.ended else { return };
    let (from, until) = (clock.after(span.committed), clock.before(end));
    let next = spans
        .iter()
        .filter(|s| s.node == span.node && s.boot == span.boot && s.committed > end)
        .map(|s| clock.after(s.committed))
        .fold(f64::INFINITY, f64::min);
    let within = |line: &&Line| line.at + STAMP_ERROR >= from && line.at <= until;
    let lines: Vec<&Line> = ledger.lines.iter().filter(within).collect();
    let certain = |line: &Line| line.at + STAMP_ERROR < next;
    let down = lines.iter().rposition(|line| {
        certain(line)
            && matches!(&line.what, What::Down { node, boot, asked } if node_of(node) == span.node && *boot == span.boot
                // The release of an attempt that was called off arrives all the same when its host loses power behind it.
                && (*asked || until - line.at > ON_ITS_WAY))
    });
    let drained = lines.iter().rposition(|line| {
        certain(line)
            && matches!(&line.what, What::Act { node, boot, kind: Kind::Drain } if node_of(node) == span.node && *boot == span.boot)
    });
    let Some(since) = down.or(drained) else {
        return;
    };
    let machine = match &lines[since].what {
        What::Down { node, .. } | What::Act { node, .. } => node,
        _ => return,
    };
    let returned = |line: &&Line| match &line.what {
        What::Health { node, boot, good } => {
            *good && node == machine && (down.is_none() || *boot != span.boot)
        }
        // Who switches a copy off releases what it left.
        What::Retired { node, .. } => node == machine,
        _ => false,
    };
    if lines[since..].iter().copied().any(|line| returned(&line)) {
        return;
    }
    let node = &span.node;
    let mut evidence = vec![lines[since].to_string()];
    evidence.extend(span.evidence.iter().cloned());
    evidence.push(format!("the claim ended before {until:.2}"));
    let what = format!("{node}'s claim ended before the node was back and healthy");
    verdict.accuse("P3", what, evidence);
}
