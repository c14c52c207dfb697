//! What is the matter with each node, from its own words and its claim.

mod around;
mod idle;

use jiff::Timestamp;

use around::Around;
pub(super) use idle::why_ill;
use idle::{as_it_is, idle};

use super::describe::{by_node, committed, everybody, of_node};
use super::stood::{Here, Reader};
use super::table::Tone;
use super::times::{instant, is_ahead, rfc3339, since_text, span};
use crate::identity::is_same;
use crate::lock::Phase;
use crate::lock::line::Known;
use crate::lock::outcome::Found;
use crate::lock::record::{RecordError, Standing};
use crate::lock::survey::Survey;

/// When a claim is to be released.
const NO_RETURN: &str = "Only when it will not return:";

/// What is the matter with one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NodeState {
    pub(crate) node: String,
    /// The lower, the more it matters.
    pub(crate) rank: Rank,
    /// A sentence without its stop, and without anything that changes every second.
    pub(crate) fact: String,
    /// Since when, by the clock of that node; empty where that is not known.
    pub(super) since: String,
    /// When to type which command of ours.
    pub(crate) command: Option<(&'static str, String)>,
    /// What holds it up before its commit, as it is now.
    pub(super) why: Option<String>,
}

/// What comes first on a screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    /// It holds the line up and needs somebody.
    Stuck,
    /// It needs a reboot, and somebody has to do something.
    Blocked,
    /// It is on its way.
    Under,
    /// It needs a reboot and will go by itself.
    Waits,
    /// It waits in the queue.
    Queued,
    /// It needs no reboot and is ill, or says nothing.
    Ill,
    /// Nothing is the matter.
    Fine,
}

impl Rank {
    pub(crate) fn tone(self) -> Tone {
        match self {
            Rank::Stuck | Rank::Blocked => Tone::Bad,
            Rank::Under | Rank::Waits | Rank::Queued | Rank::Ill => Tone::Notice,
            Rank::Fine => Tone::Good,
        }
    }
}

/// Of every node that is known, what matters first.
pub(crate) fn node_states(survey: &Survey, reader: &Reader<'_>) -> Vec<NodeState> {
    let claims = by_node(&survey.claims);
    let nodes = by_node(&survey.nodes);
    let reports = by_node(&survey.reports);
    let standings = by_node(&survey.standings);
    let known = |here: &Here<'_>| here.word.is_some() || here.phase.is_some() || here.starts;
    let here = reader.here.filter(known);
    let mut names = everybody(survey);
    names.extend(here.map(|it| it.node));
    let state = |node: &str, around: &Around<'_>| {
        let there = standings.get(node).and_then(|it| it.as_ref().ok());
        let here = reader.here.filter(|here| here.node == node);
        let standing = here.and_then(|here| here.word).or(there);
        let mut state = match (here.filter(|it| it.is_away && known(it)), claims.get(node)) {
            (Some(here), _) => alone(node, &here),
            (None, Some(found)) if committed(found) => {
                let unread = nodes.get(node).and_then(|it| it.as_ref().err());
                match unread.filter(|_| here.is_some_and(|here| here.is_left)) {
                    Some(error) => stranded(node, error),
                    None => holder(node, found, words_of(found, standing), reader),
                }
            }
            (None, Some(found)) if found.lease == 0 => endless(node),
            (None, Some(_)) => queued(node, standing, Some(around)),
            (None, None) => {
                let record = nodes.get(node).and_then(|it| it.as_ref().ok());
                let required = here.is_some_and(|here| here.required);
                let said = (reports.get(node).copied(), record, Some(around));
                unsaid(survey, standing, idle(node, standing, said, required))
            }
        };
        if let Some(why) = standing.and_then(|standing| standing.hampered.as_ref()) {
            state = hampered(state, why);
        }
        state.fact += marked(survey, &state);
        let older = here.and_then(|here| older(&here, there));
        state.fact += &older.unwrap_or_default();
        state
    };
    // What keeps those behind a policy hangs on how who is down is, and a wave on how all the others are.
    let place = |node: &str| {
        let said = standings.get(node).and_then(|it| it.as_ref().ok());
        match said.and_then(Standing::label) {
            _ if claims.get(node).is_some_and(|it| committed(it)) => 0,
            Some("policy") => 1,
            Some("wave") => 2,
            _ => 0,
        }
    };
    let mut around = Around::of(survey, reader);
    let mut all: Vec<NodeState> = Vec::new();
    for at in 0..=2 {
        let those: Vec<&str> = (names.iter().copied())
            .filter(|node| place(node) == at)
            .collect();
        if at > 0 && !those.is_empty() {
            around.look(&all);
        }
        all.extend(those.into_iter().map(|node| state(node, &around)));
    }
    all.sort_by(|a, b| (a.rank, &a.node).cmp(&(b.rank, &b.node)));
    all
}

/// A node of which nothing is known to be wrong may say so in words that cannot be read.
fn unsaid(survey: &Survey, standing: Option<&Standing>, state: NodeState) -> NodeState {
    let is_fine = standing.is_none() && state.rank == Rank::Fine;
    match is_fine.then(|| of_node(&survey.standings, &state.node)) {
        Some(Some(Err(error))) => {
            let fact = format!("{} says of itself what cannot be read: {error}", state.node);
            NodeState::new(&state.node, Rank::Ill, fact)
        }
        _ => state,
    }
}

/// What others know of its reboot, who may have seen more of it than this host.
fn marked(survey: &Survey, state: &NodeState) -> &'static str {
    let create = |node: &str| of_node(&survey.claims, node).map(|found| found.create);
    let mark = |it: &Known| it.node == state.node && create(&it.node) == Some(it.id);
    match state.rank == Rank::Under && survey.line.failures.iter().any(mark) {
        true => " (its reboot is marked as failed)",
        false => "",
    }
}

/// What others see of a node that could not tell etcd what it says here.
fn older(here: &Here<'_>, there: Option<&Standing>) -> Option<String> {
    let (word, there) = (here.word?, there?);
    let once = word.once;
    let same = word.same(&Standing {
        once,
        ..there.clone()
    });
    let untold = here.etcd.is_some() || word.label() == Some("etcd");
    (untold && !same).then(|| format!("; others see an older word of it: {}", there.state))
}

/// The node of this host while etcd is away: nothing but its own words tells of it.
fn alone(node: &str, here: &Here<'_>) -> NodeState {
    let (word, is_left) = (here.word, here.is_left);
    match here.phase {
        Some(phase) if phase.committed() => {
            let said = word.filter(|it| speaks_of_claim(it) && !is_left);
            let begun = || NodeState::new(node, Rank::Stuck, begun(node, is_left));
            said.map_or_else(begun, |said| of_holder(node, said))
        }
        Some(_) => queued(node, word, None),
        None if here.starts => {
            let fact = format!(
                "{node} was started while etcd is away: whether it has begun a reboot is not known until etcd answers"
            );
            NodeState::new(node, Rank::Waits, fact)
        }
        None => idle(node, word, (None, None, None), here.required),
    }
}

/// That nobody goes on with a claim at present, on the host of its node.
fn begun(node: &str, is_left: bool) -> String {
    let left = match is_left {
        true => " and no daemon runs on it: its next start goes on",
        false => "",
    };
    format!("{node} has begun its reboot{left}")
}

/// A node past its commit without a daemon, which would end at its start.
fn stranded(node: &str, error: &RecordError) -> NodeState {
    let fact = format!(
        "{node} has begun its reboot and no daemon runs on it; its next start cannot go on, as its registration cannot be read: {error}"
    );
    NodeState::new(node, Rank::Stuck, fact)
        .release("When no newer version wrote it, release it and forget it:")
}

/// With what does not work on its host though it goes on.
fn hampered(state: NodeState, why: &str) -> NodeState {
    let node = &state.node;
    if state.rank == Rank::Fine {
        return NodeState::new(node, Rank::Ill, format!("{node} {why}"));
    }
    let fact = format!("{}; it {why}", state.fact);
    NodeState { fact, ..state }
}

/// What is said of this claim: by a living daemon, or by a pass that left it with a trouble; not by another machine.
fn words_of<'a>(found: &Found, standing: Option<&'a Standing>) -> Option<&'a Standing> {
    let claim = found.claim.as_ref().ok();
    let ours = |said: &&Standing| claim.is_none_or(|it| is_same(&it.node_id, &said.node_id));
    let speaks = |said: &&Standing| !said.once || left_with_claim(found, said);
    standing.filter(ours).filter(speaks)
}

/// Whether a pass left this in the phase that the claim is in, since its commit; both times are by the clock of that host. What it
/// was about to do tells nothing of what came of it.
fn left_with_claim(found: &Found, standing: &Standing) -> bool {
    let Ok(claim) = &found.claim else {
        return false;
    };
    let in_phase = match claim.phase {
        Phase::Verifying => standing.state == "verifying",
        Phase::Draining | Phase::Rebooting => standing.state == "holding",
        Phase::Queued => false,
    };
    let committed = claim.committed_at.as_deref().and_then(instant);
    let since = instant(&standing.since).zip(committed);
    in_phase && standing.blocked.is_some() && since.is_some_and(|(since, at)| since >= at)
}

impl NodeState {
    fn new(node: &str, rank: Rank, fact: String) -> NodeState {
        NodeState {
            node: node.to_owned(),
            rank,
            fact,
            since: String::new(),
            command: None,
            why: None,
        }
    }

    fn since(self, since: &str) -> NodeState {
        let since = since.to_owned();
        NodeState { since, ..self }
    }

    fn command(self, when: &'static str, command: String) -> NodeState {
        let command = Some((when, command));
        NodeState { command, ..self }
    }

    fn release(self, when: &'static str) -> NodeState {
        let command = format!("release {} --reason TEXT", self.node);
        self.command(when, command)
    }

    /// How long, when clocks allow to say it.
    pub(crate) fn age(&self, now: Timestamp) -> String {
        since_text(now, &self.since)
    }
}

/// A node past its commit: what it says itself, and when it says nothing, that it is silent.
fn holder(node: &str, found: &Found, words: Option<&Standing>, reader: &Reader<'_>) -> NodeState {
    let claim = match &found.claim {
        Ok(claim) => claim,
        Err(error) => {
            let fact = format!("{node} has a claim that cannot be read: {error}");
            return NodeState::new(node, Rank::Stuck, fact).release(NO_RETURN);
        }
    };
    let ours = |here: &Here<'_>| here.node == node && here.is_left;
    let is_left = reader.here.is_some_and(|here| ours(&here));
    let speaks = |said: &&Standing| speaks_of_claim(said) && (said.once || !is_left);
    if let Some(standing) = words.filter(speaks) {
        return of_holder(node, standing);
    }
    let (late, began) = (reader.is_late(found), reader.began(found));
    let rank = if late { Rank::Stuck } else { Rank::Under };
    let since = began.map(rfc3339).unwrap_or_default();
    let state = |fact| NodeState::new(node, rank, fact).since(&since);
    if is_left {
        return state(begun(node, is_left));
    }
    let what = match (claim.phase, late) {
        (Phase::Rebooting, true) => "has not come back",
        (Phase::Rebooting, false) => "reboots",
        (Phase::Verifying, true) => {
            "had yet to prove that it is healthy and is silent: its daemon does not run, or is cut off from etcd"
        }
        (Phase::Verifying, false) => "is back and has to prove that it is healthy",
        (Phase::Draining | Phase::Queued, true) => {
            "was being drained and is silent: it is down, or its daemon does not run"
        }
        (Phase::Draining | Phase::Queued, false) => "is being drained",
    };
    if late {
        let by = reader.seen.map_or(", by its own clock", |_| "");
        return state(format!("{node} {what}{by}")).release(NO_RETURN);
    }
    let ahead = began.filter(|at| is_ahead(reader.now, *at));
    let clock = ahead.map_or_else(String::new, |at| {
        let by = span(at.as_second() - reader.now.as_second());
        format!("; since when is not known, as its clock is ahead by {by} or more")
    });
    state(format!("{node} {what}{clock}"))
}

/// The same by what it says.
fn of_holder(node: &str, standing: &Standing) -> NodeState {
    let state = |rank| NodeState::new(node, rank, words(node, standing)).since(&standing.since);
    match (standing.state.as_str(), &standing.blocked) {
        ("holding", Some(_)) | ("retrying", _) => state(Rank::Stuck).release(NO_RETURN),
        ("verifying", Some(_)) => state(Rank::Stuck).release("Only when it cannot be repaired:"),
        _ => state(Rank::Under),
    }
}

/// What a node past its commit says that it is at.
fn words(node: &str, standing: &Standing) -> String {
    let doing = standing.doing.as_deref().unwrap_or_default();
    let why = standing.blocked.as_ref().map(|blocked| &blocked.text);
    let left = as_left(standing);
    match (standing.state.as_str(), why) {
        ("holding", Some(why)) => format!("{node} {doing}: {why}{left}"),
        ("verifying", Some(why)) => format!("{node} {doing}, but {why}{left}"),
        ("draining", _) => format!("{node} is being drained: {doing}{left}"),
        ("rebooting", _) => format!("{node} reboots: {doing}{left}"),
        _ => format!("{node} {doing}{left}"),
    }
}

/// That it was so at the end of a pass, and nobody has looked since.
pub(super) fn as_left(standing: &Standing) -> &'static str {
    match standing.once {
        true => ", as its last pass left it",
        false => "",
    }
}

/// What a node said before its commit is about to be written anew.
pub(super) fn speaks_of_claim(standing: &Standing) -> bool {
    matches!(
        standing.state.as_str(),
        "draining" | "rebooting" | "retrying" | "holding" | "verifying"
    )
}

/// A node that goes on with a claim that is there no more.
fn without_claim(node: &str, standing: &Standing) -> NodeState {
    let mut fact = words(node, standing);
    let rank = match (standing.state.as_str(), &standing.blocked) {
        // It knows, or has just given it back.
        ("verifying", None) => Rank::Under,
        ("verifying", Some(_)) => Rank::Blocked,
        _ => {
            fact +=
                "; its claim was taken away, which it has yet to notice: others may go meanwhile";
            Rank::Blocked
        }
    };
    NodeState::new(node, rank, fact)
        .since(&standing.since)
        .command("More of it:", format!("explain {node}"))
}

/// A place of which nobody knows whose it is: a daemon's own hangs on its session.
fn endless(node: &str) -> NodeState {
    let fact = format!(
        "{node} has a place in the queue that hangs on no lease, so that it never ends by itself"
    );
    NodeState::new(node, Rank::Stuck, fact).release("To end it:")
}

fn queued(node: &str, standing: Option<&Standing>, around: Option<&Around<'_>>) -> NodeState {
    let queued = standing.filter(|standing| standing.state == "queued");
    let blocked = queued.and_then(|standing| standing.blocked.as_ref());
    let why = blocked.map(|blocked| as_it_is(node, blocked, around));
    let fact = match &why {
        Some(why) => format!("{node} has its turn and waits: {why}"),
        None => format!("{node} waits for its turn"),
    };
    let required = standing.and_then(|standing| standing.required.as_ref());
    let since = required.map_or("", |required| &required.since);
    let state = NodeState::new(node, Rank::Queued, fact).since(since);
    NodeState { why, ..state }
}
