//! What somebody on call needs to know, what matters first, and what to type. Sentences on one node are in `node_state.rs`.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::View;
use super::describe::{by_node, committed, names, of_node, pause_text, standing};
use super::gates::namesake;
use super::local::Local;
use super::node_state::{NodeState, Rank, node_states};
use super::standstill::consequence;
use super::stood::Reader;
use super::table::Tone;
use super::times::{clock, instant, is_ahead, span, zone};
use crate::core::Refusal;
use crate::identity::is_same;
use crate::lock::NodeRecord;
use crate::lock::record::{Blocked, RecordError, Standing};
use crate::lock::survey::Survey;

/// One thing that is going on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// Whether all is well.
    pub tone: Tone,
    /// One sentence, without anything that changes every second.
    pub fact: String,
    /// More of it.
    pub more: Option<String>,
    /// When to type which command of ours.
    pub command: Option<(&'static str, String)>,
}

impl Part {
    fn new(tone: Tone, fact: impl Into<String>) -> Part {
        Part {
            tone,
            fact: fact.into(),
            ..Part::default()
        }
    }

    fn more(self, text: impl Into<String>) -> Part {
        let more = Some(text.into());
        Part { more, ..self }
    }

    fn command(self, when: &'static str, command: impl Into<String>) -> Part {
        let command = Some((when, command.into()));
        Part { command, ..self }
    }
}

/// Everything that is going on, what matters first; at least one part.
pub(crate) fn headline(view: &View, now: Timestamp) -> Vec<Part> {
    let doubt = (view.doubt.as_ref())
        .map(|why| Part::new(Tone::Bad, format!("The daemon of this host {why}.")));
    let parts = doubt.into_iter().chain(etcd(view));
    let mut parts: Vec<Part> = parts.chain(conflict(view)).collect();
    let reader = view.reader(now);
    if let Some(survey) = view.known() {
        parts.extend(refused(view, survey));
        parts.extend(of_cluster(survey, &reader, &zone(&view.local.config)));
    } else {
        let own = node_states(&Survey::default(), &reader).into_iter();
        let told = own.filter(|state| state.rank != Rank::Fine);
        parts.extend(told.map(|state| part(&state, None)));
    }
    parts.extend(skew(view));
    // What is well there may not be well here.
    parts.retain(|part| view.doubt.is_none() || part.tone != Tone::Good);
    parts
}

/// The headline by what was read of the cluster, and nothing else. The simulation compares it with what is true.
pub fn of_cluster(survey: &Survey, reader: &Reader<'_>, zone: &TimeZone) -> Vec<Part> {
    let (now, mut parts) = (reader.now, Vec::new());
    let node_states = node_states(survey, reader);
    let with = |rank: Rank| node_states.iter().filter(move |state| state.rank == rank);
    let waiting = waiting(survey);
    let stuck = with(Rank::Stuck).map(|state| Part {
        more: stuck(
            state,
            &consequence(survey, reader, &node_states, &state.node),
            now,
        ),
        ..part(state, Some(&waiting))
    });
    parts.extend(stuck);
    parts.extend(pause(survey, zone, &waiting, now));
    parts.extend(with(Rank::Blocked).map(|state| part(state, None)));
    parts.extend(under(&with(Rank::Under).collect::<Vec<_>>(), &waiting));
    let nobody = !survey.claims.iter().any(|(_, found)| committed(found));
    let idles = if survey.cooldown.is_some() {
        Some("The cluster cools down")
    } else if nobody && survey.pause.is_none() && !survey.claims.is_empty() {
        Some("Nobody reboots yet")
    } else {
        None
    };
    parts.extend(idles.map(|fact| Part::new(Tone::Notice, format!("{fact}; {waiting}."))));
    parts.extend(with(Rank::Waits).map(|state| part(state, None)));
    if parts.is_empty() {
        let (tone, idle) = match survey.partial {
            true => (
                Tone::Notice,
                "Of those that were read nobody reboots and nobody waits; there are more.",
            ),
            false => (Tone::Good, "Nothing to do: nobody reboots, nobody waits."),
        };
        parts.push(Part::new(tone, idle));
    }
    parts.extend(ill(&with(Rank::Ill).collect::<Vec<_>>()));
    parts
}

/// For how long a node needs somebody, and what that is to the others.
fn stuck(state: &NodeState, consequence: &str, now: Timestamp) -> Option<String> {
    let age = state.age(now);
    let ahead = instant(&state.since).is_some_and(|at| is_ahead(now, at));
    let word = if ahead { "Since" } else { "For" };
    (!age.is_empty()).then(|| format!("{word} {age}. {consequence}: look at that machine."))
}

pub(super) fn part(state: &NodeState, waiting: Option<&str>) -> Part {
    let waiting = waiting.map_or_else(String::new, |waiting| format!("; {waiting}"));
    Part {
        tone: state.rank.tone(),
        fact: format!("{}{waiting}.", state.fact),
        command: state.command.clone(),
        ..Part::default()
    }
}

/// What is known of the cluster is old, or nothing; or the daemon of this host cannot use etcd.
fn etcd(view: &View) -> Option<Part> {
    let (fact, more) = match (&view.survey, view.known(), view.read_at) {
        (Err(trouble), None, _) => {
            let fact = match trouble.refused {
                true => format!("etcd refuses this node: {}.", trouble.text),
                false => "Nothing is known of the cluster: etcd does not answer.".to_owned(),
            };
            let more = "No node begins to reboot while etcd is away.";
            (fact, more.to_owned())
        }
        (Err(trouble), Some(_), at) => {
            let at = at.map(|at| format!(" since {}", clock(at, &zone(&view.local.config))));
            let at = at.unwrap_or_default();
            let verb = match trouble.refused {
                true => "refuses this node",
                false => "does not answer",
            };
            let fact = format!("etcd {verb}{at}; what follows is older than that.");
            (fact, trouble.text.clone())
        }
        (Ok(_), _, _) => {
            let here = view.here()?;
            let (node, (since, why)) = (here.node, here.etcd?);
            let fact = match here.is_left {
                true => format!("The last pass of {node} could not use etcd: {why}."),
                false => format!("The daemon of {node} cannot use etcd: {why}."),
            };
            (fact, format!("Since {since}, by its clock."))
        }
    };
    let part = Part::new(Tone::Bad, fact).more(more);
    Some(part.command("What is wrong with it:", "check-etcd"))
}

/// The clock of this host is not etcd's, so that windows open at another time than somebody thinks.
fn skew(view: &View) -> Option<Part> {
    let (side, by) = match view.local.skew_sec {
        0 => return None,
        ahead if ahead > 0 => ("ahead of", ahead),
        behind => ("behind", -behind),
    };
    let fact = format!("The clock of this host is {} {side} etcd's.", span(by));
    let more = "Ages here are told by etcd's clock. Set both by NTP: windows and the times in records are by the clock of each node.";
    Some(Part::new(Tone::Notice, fact).more(more))
}

/// Another machine is known under this node's name: its daemon refuses to run.
fn conflict(view: &View) -> Option<Part> {
    let survey = view.known()?;
    let local = &view.local;
    let other = other_machine(local, survey)?;
    let node = local.node();
    let fact = format!(
        "Two machines use the name {node}: this one is {}, the other is {other}; give one of them another node_name.",
        local.config.node_id
    );
    let part = Part::new(Tone::Bad, fact)
        .more("This one does not run until node_name is changed on one of them.");
    Some(part.command("When the other one is gone for good:", freed(survey, node)))
}

/// How a name becomes free: nobody is forgotten who has a claim.
fn freed(survey: &Survey, node: &str) -> String {
    match of_node(&survey.claims, node) {
        Some(_) => format!("release {node} --reason TEXT"),
        None => format!("forget {node}"),
    }
}

/// Whose the records under this node's name are, when they are another machine's: they tell nothing of this one.
pub(super) fn other_machine<'a>(local: &Local, survey: &'a Survey) -> Option<&'a str> {
    let said = standing(survey, local.node()).map(|it| it.node_id.as_str());
    let said = said.filter(|id| !is_same(id, &local.config.node_id));
    namesake(local, survey).or(said)
}

/// Machines whose name another one has, until they are known under a name of their own.
fn refused(view: &View, survey: &Survey) -> Vec<Part> {
    let (local, zone) = (&view.local, zone(&view.local.config));
    let here =
        |it: &Standing| it.node == local.node() && is_same(&it.node_id, &local.config.node_id);
    let speaks = |name: &String| survey.standings.iter().any(|(node, _)| node == name);
    // It has another name by now, and says something under it.
    let known = |it: &Standing| {
        let ours = |record: &NodeRecord| is_same(&record.node_id, &it.node_id);
        let mut nodes = survey.nodes.iter();
        nodes.any(|(name, record)| record.as_ref().is_ok_and(ours) && speaks(name))
    };
    let part = |it: &Standing| {
        let why = it.blocked.as_ref().filter(|_| !here(it))?;
        if why.label == "name_taken" && known(it) {
            return None;
        }
        let since = instant(&it.since)
            .map_or_else(String::new, |at| format!("Since {}, ", clock(at, &zone)));
        let fact = format!("{since}{}; give one of them another node_name.", why.text);
        let when = "When one of them is gone for good:";
        Some(Part::new(Tone::Bad, fact).command(when, freed(survey, &it.node)))
    };
    survey.refused.iter().filter_map(part).collect()
}

fn pause(survey: &Survey, zone: &TimeZone, waiting: &str, now: Timestamp) -> Option<Part> {
    let why = match survey.pause.as_ref()? {
        Ok(pause) => pause_text(pause, now, zone),
        Err(error) => error.to_string(),
    };
    let fact = format!("Paused: nobody begins to reboot; {waiting}.");
    let part = Part::new(Tone::Bad, fact).more(why);
    Some(part.command("When reboots may go on:", "resume"))
}

/// Those on their way, in one sentence.
fn under(those: &[&NodeState], waiting: &str) -> Option<Part> {
    let facts = names(those.iter().map(|state| state.fact.as_str()));
    (!those.is_empty()).then(|| Part::new(Tone::Notice, format!("{facts}; {waiting}.")))
}

/// Those that need no reboot and are ill or silent, in one sentence each as far as a screen has room.
fn ill(those: &[&NodeState]) -> Option<Part> {
    const TOLD: usize = 3;
    let facts = those.iter().take(TOLD).map(|state| state.fact.as_str());
    let facts = facts.collect::<Vec<_>>().join("; ");
    let more = match those.len().saturating_sub(TOLD) {
        0 => String::new(),
        more => format!("; and {more} more are unhealthy or silent"),
    };
    (!those.is_empty()).then(|| Part::new(Tone::Notice, format!("{facts}{more}.")))
}

/// How many wait for others: in the queue, or before it, where a stopped line or a lower wave keeps them.
fn waiting(survey: &Survey) -> String {
    let claims = by_node(&survey.claims);
    let queued = survey.claims.iter().filter(|(_, it)| !committed(it));
    let kept = |(node, standing): &&(String, Result<Standing, RecordError>)| {
        let standing = standing.as_ref().ok();
        let standing = standing.filter(|standing| standing.required.is_some());
        let blocked = standing.and_then(|standing| standing.blocked.as_ref());
        let by_others = |it: &Blocked| {
            let policy = Refusal::of(&it.label, &it.text).is_some_and(|it| it.passes());
            let label = it.label.as_str();
            policy || ["line", "wave", "not_turn", "paused", "cooldown"].contains(&label)
        };
        blocked.is_some_and(by_others) && !claims.contains_key(node.as_str())
    };
    match queued.count() + survey.standings.iter().filter(kept).count() {
        0 => "nobody waits".to_owned(),
        1 => "1 node waits".to_owned(),
        count => format!("{count} nodes wait"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::Phase;
    use crate::lock::record::{Required, decode};
    use crate::status::fixtures::{at, cooldown, found, local, member, now, pause, says, view};

    #[test]
    fn what_a_pass_left_is_told_while_it_speaks_of_this_claim() {
        let ill = ", but health: exit code 1: raid resync, as its last pass left it; nobody waits.";
        let ill = format!("node-a is back{ill}");
        let back = "node-a had yet to prove that it is healthy and is silent: its daemon does not run, or is cut off from etcd, \
                    by its own clock; nobody waits.";
        let up = "node-a is back: health: exit code 1: raid resync, as its last pass left it; nobody waits.";
        let gone = "node-a has not come back, by its own clock; nobody waits.";
        for (phase, state, since, told) in [
            (Phase::Verifying, "verifying", "11:40", ill.as_str()),
            // Of an earlier attempt, or of an earlier phase.
            (Phase::Verifying, "verifying", "11:20", back),
            (Phase::Verifying, "holding", "11:40", back),
            (Phase::Rebooting, "holding", "11:40", up),
            (Phase::Rebooting, "holding", "11:20", gone),
            // What it was about to do says nothing of what came of it.
            (Phase::Rebooting, "rebooting", "11:40", gone),
        ] {
            let standing = Standing {
                node: "node-a".into(),
                node_id: "id-node-a".into(),
                state: state.into(),
                since: at(since),
                doing: Some("is back".into()),
                blocked: Some(Blocked {
                    label: "health".into(),
                    text: "health: exit code 1: raid resync".into(),
                    ..Blocked::default()
                }),
                once: true,
                ..Standing::default()
            };
            let survey = Survey {
                claims: vec![found("node-a", phase, 1, "11:30")],
                standings: vec![("node-a".into(), Ok(standing))],
                ..Survey::default()
            };
            let parts = headline(&view(local(), survey), now());
            assert_eq!((parts[0].tone, parts[0].fact.as_str()), (Tone::Bad, told));
        }
    }

    fn kept(
        node: &str,
        label: &str,
        required: Option<Required>,
    ) -> (String, Result<Standing, RecordError>) {
        let standing = Standing {
            node: node.into(),
            node_id: format!("id-{node}"),
            state: "blocked".into(),
            required,
            blocked: Some(Blocked {
                label: label.into(),
                text: "node-a failed".into(),
                ..Blocked::default()
            }),
            ..Standing::default()
        };
        (node.to_owned(), Ok(standing))
    }

    #[test]
    fn what_is_over_is_not_said_to_hold_a_node_up_that_has_not_looked_again() {
        for (label, over) in [("paused", true), ("cooldown", true), ("policy", false)] {
            let told = |survey: Survey| {
                let standings = vec![kept("node-c", label, Some(Required::default()))];
                let survey = Survey {
                    standings,
                    ..survey
                };
                let parts = headline(&view(local(), survey), now());
                let goes_on = "node-c needs a reboot and goes on with its next check";
                parts.iter().any(|part| part.fact.starts_with(goes_on))
            };
            assert_eq!(told(Survey::default()), over, "{label}");
            let stands = Survey {
                pause: Some(decode(b"{")),
                cooldown: Some(decode(b"{")),
                ..Survey::default()
            };
            assert!(!told(stands), "{label}");
        }
    }

    #[test]
    fn who_is_kept_by_the_line_or_by_a_wave_waits_too() {
        let required = || Some(Required::default());
        let survey = Survey {
            claims: vec![
                found("node-a", Phase::Rebooting, 1, "11:00"),
                found("node-b", Phase::Queued, 2, "11:00"),
            ],
            standings: vec![
                // It is in the queue, and counted there.
                kept("node-b", "line", required()),
                kept("node-c", "line", required()),
                kept("node-d", "wave", required()),
                kept("node-e", "line", None),
                // That is of its own making.
                kept("node-f", "health", required()),
            ],
            ..Survey::default()
        };
        let parts = headline(&view(local(), survey), now());
        assert_eq!(
            parts[0].fact,
            "node-a has not come back, by its own clock; 3 nodes wait."
        );
        let kept = "node-d needs a reboot and is blocked: node-a failed.";
        assert!(parts.iter().any(|part| part.fact == kept), "{parts:?}");
    }

    /// Another may have begun since the node looked.
    #[test]
    fn a_pause_and_a_cooldown_are_told_as_they_stand_now() {
        let told = |label, survey: Survey| {
            let standings = vec![kept("node-c", label, Some(Required::default()))];
            let survey = Survey {
                standings,
                ..survey
            };
            let parts = headline(&view(local(), survey), now());
            parts
                .iter()
                .map(|part| part.fact.clone())
                .collect::<Vec<_>>()
        };
        let cools = Survey {
            cooldown: Some(Ok(cooldown())),
            ..Survey::default()
        };
        let fact = "node-c needs a reboot and is blocked: the cluster cools down: node-x rebooted; until 2026-11-23T12:10:00.000Z.";
        assert!(told("cooldown", cools).contains(&fact.to_owned()));
        let paused = Survey {
            pause: Some(Ok(pause(None))),
            ..Survey::default()
        };
        let fact = "node-c needs a reboot and is blocked: the cluster is paused: by eva@admin since 2026-11-23T11:50:00.000Z: bad kernel.";
        assert!(told("paused", paused).contains(&fact.to_owned()));
    }

    #[test]
    fn a_place_in_the_queue_without_a_lease_is_to_be_released() {
        for lease in [0, 7] {
            let mut first = found("node-c", Phase::Queued, 1, "11:00");
            first.1.lease = lease;
            let survey = Survey {
                claims: vec![first, found("node-b", Phase::Queued, 2, "11:10")],
                ..Survey::default()
            };
            let parts = headline(&view(local(), survey), now());
            let told = "node-c has a place in the queue that hangs on no lease, so that it never ends by itself; 2 nodes wait.";
            let typed = Some(("To end it:", "release node-c --reason TEXT".to_owned()));
            let is_told = parts[0].fact == told && parts[0].command == typed;
            assert_eq!(is_told, lease == 0, "{parts:?}");
        }
    }

    #[test]
    fn who_holds_a_claim_is_released_before_it_is_forgotten() {
        let (_, refused) = kept("node-a", "name_taken", None);
        let typed = |claims: Vec<_>| {
            let mut other = found("node-c", Phase::Rebooting, 2, "11:00");
            other.1.claim.as_mut().unwrap().node_id = "other".into();
            let is_claimed = !claims.is_empty();
            let (mut nodes, mut claims) = (vec![member("node-c", None, 0)], claims);
            nodes[0].1.as_mut().unwrap().node_id = "other".into();
            claims.extend(is_claimed.then_some(other));
            let refused = vec![refused.clone().unwrap()];
            let survey = Survey {
                claims,
                nodes,
                refused,
                ..Survey::default()
            };
            let parts = headline(&view(local(), survey), now());
            let typed = parts.into_iter().filter_map(|part| part.command);
            typed.map(|(_, typed)| typed).take(2).collect::<Vec<_>>()
        };
        assert_eq!(typed(vec![]), ["forget node-c", "forget node-a"]);
        assert_eq!(
            typed(vec![found("node-a", Phase::Rebooting, 1, "11:00")]),
            [
                "release node-c --reason TEXT",
                "release node-a --reason TEXT"
            ]
        );
    }

    #[test]
    fn what_held_a_pass_up_is_told_as_of_that_pass() {
        let mut window = kept("node-c", "window", Some(Required::default()));
        window.1.as_mut().unwrap().once = true;
        let survey = Survey {
            standings: vec![window],
            ..Survey::default()
        };
        let parts = headline(&view(local(), survey), now());
        let told = "node-c needs a reboot and is blocked: node-a failed, as its last pass left it.";
        assert_eq!(parts[0].fact, told);
    }

    #[test]
    fn a_line_that_nothing_stops_is_not_said_to_stand() {
        let goes_on = |claims| {
            let survey = Survey {
                claims,
                standings: vec![kept("node-c", "line", Some(Required::default()))],
                ..Survey::default()
            };
            let parts = headline(&view(local(), survey), now());
            let told = "node-c needs a reboot and goes on with its next check: no failure stops it";
            parts.iter().any(|part| part.fact.starts_with(told))
        };
        assert!(goes_on(vec![]));
        // One under way is none, and one that is late is, marked or not.
        for (since, expected) in [("11:59", true), ("11:00", false)] {
            let claims = vec![found("node-a", Phase::Rebooting, 1, since)];
            assert_eq!(goes_on(claims), expected, "{since}");
        }
    }

    /// A newer version says more of itself than this one can read.
    #[test]
    fn of_a_node_whose_word_cannot_be_read_nothing_is_said_to_be_well() {
        let mut survey = Survey::default();
        survey.reports.push(("node-x".into(), says(true)));
        let word = ("node-x".into(), Err(RecordError::Version(2)));
        survey.standings.push(word);
        let states = node_states(&survey, &view(local(), survey.clone()).reader(now()));
        let unread = "node-x says of itself what cannot be read: the record has version 2";
        assert!(states[0].fact.starts_with(unread), "{}", states[0].fact);
    }

    #[test]
    fn of_nodes_that_were_not_read_nothing_is_said() {
        let survey = Survey {
            partial: true,
            ..Survey::default()
        };
        let parts = headline(&view(local(), survey), now());
        let told = "Of those that were read nobody reboots and nobody waits; there are more.";
        assert_eq!(
            (parts[0].tone, parts[0].fact.as_str()),
            (Tone::Notice, told)
        );
    }

    #[test]
    fn a_node_that_is_stuck_since_the_future_is_not_said_to_be_so_for_that_long() {
        for (since, told) in [
            ("11:00", "For 1 h. While"),
            ("15:00", "Since 3 h in the future. While"),
        ] {
            let standing = Standing {
                node: "node-a".into(),
                node_id: "id-node-a".into(),
                state: "retrying".into(),
                since: at(since),
                ..Standing::default()
            };
            let survey = Survey {
                claims: vec![found("node-a", Phase::Rebooting, 1, since)],
                standings: vec![("node-a".into(), Ok(standing))],
                ..Survey::default()
            };
            let parts = headline(&view(local(), survey), now());
            let more = parts[0].more.as_ref().unwrap();
            assert!(more.starts_with(told), "{more}");
        }
    }
}
