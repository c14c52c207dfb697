//! The one sentence that somebody on call needs, and what to type.

use jiff::Timestamp;

use super::View;
use super::describe::{age, began, committed, names, pause_text};
use super::table::Tone;
use super::times::instant;
use crate::lock::Phase;
use crate::lock::outcome::Found;
use crate::lock::survey::Survey;

/// What is going on.
pub(crate) struct Headline {
    pub(crate) tone: Tone,
    /// One sentence, without anything that changes every second.
    pub(crate) fact: String,
    /// More of it.
    pub(crate) more: Vec<String>,
    /// When to type which command of ours.
    pub(crate) command: Option<(&'static str, String)>,
}

impl Headline {
    fn new(tone: Tone, fact: impl Into<String>) -> Headline {
        Headline {
            tone,
            fact: fact.into(),
            more: Vec::new(),
            command: None,
        }
    }

    fn more(mut self, text: impl Into<String>) -> Headline {
        self.more.push(text.into());
        self
    }

    fn command(self, when: &'static str, command: impl Into<String>) -> Headline {
        Headline {
            command: Some((when, command.into())),
            ..self
        }
    }
}

/// The first of these that holds: nothing is known, paused, somebody does not come back, somebody reboots, somebody waits.
pub(crate) fn headline(view: &View, now: Timestamp) -> Headline {
    let Some(survey) = view.known() else {
        return Headline::new(
            Tone::Bad,
            "Nothing is known of the cluster: etcd does not answer.",
        )
        .more("No node begins to reboot while etcd is away.");
    };
    let down: Vec<_> = survey
        .claims
        .iter()
        .filter(|(_, found)| committed(found))
        .collect();
    let waiting = waiting(survey.claims.len() - down.len());
    if let Some(pause) = &survey.pause {
        return paused(view, survey, pause.as_ref().ok(), &down, now);
    }
    let overdue: Vec<_> = down
        .iter()
        .filter(|(_, found)| is_overdue(view, found, now))
        .collect();
    if let Some((node, found)) = overdue.first() {
        let who = names(overdue.iter().map(|(node, _)| node.as_str()));
        let verb = if overdue.len() == 1 { "has" } else { "have" };
        return Headline::new(Tone::Bad, format!("{who} {verb} not come back; {waiting}."))
            .more(format!(
                "{node} began its reboot {} ago and has not proved that it is healthy. While it holds its claim the line stands still: \
                 look at that machine.",
                age(found, now)
            ))
            .command(
                "Only when it will not return:",
                format!("release {node} --reason TEXT"),
            );
    }
    if !down.is_empty() {
        let doing: Vec<String> = down
            .iter()
            .map(|(node, found)| format!("{node} {}", doing(found)))
            .collect();
        let doing = names(doing.iter().map(String::as_str));
        return Headline::new(Tone::Notice, format!("{doing}; {waiting}."));
    }
    if survey.cooldown.is_some() {
        return Headline::new(Tone::Notice, format!("The cluster cools down; {waiting}."));
    }
    if !survey.claims.is_empty() {
        return Headline::new(Tone::Notice, format!("Nobody reboots yet; {waiting}."));
    }
    Headline::new(Tone::Good, "Nothing to do: nobody reboots, nobody waits.")
}

fn paused(
    view: &View,
    survey: &Survey,
    pause: Option<&crate::lock::Pause>,
    down: &[&(String, Found)],
    now: Timestamp,
) -> Headline {
    let waiting = waiting(survey.claims.len() - down.len());
    let mut headline = Headline::new(
        Tone::Bad,
        format!("Paused: nobody begins to reboot; {waiting}."),
    );
    if let Some(pause) = pause {
        headline = headline.more(pause_text(pause, now, &view.local.zone()));
    }
    if !down.is_empty() {
        let who = names(down.iter().map(|(node, _)| node.as_str()));
        headline = headline.more(format!(
            "{who} was past the point of no return before the pause and goes on."
        ));
    }
    headline.command("When reboots may go on:", "resume")
}

fn waiting(count: usize) -> String {
    match count {
        0 => "nobody waits".to_owned(),
        1 => "1 node waits".to_owned(),
        count => format!("{count} nodes wait"),
    }
}

fn doing(found: &Found) -> &'static str {
    match found.claim.as_ref().map(|claim| claim.phase) {
        Ok(Phase::Draining) => "is being drained",
        Ok(Phase::Rebooting) => "reboots",
        Ok(Phase::Verifying) => "is back and has to prove that it is healthy",
        Ok(Phase::Queued) | Err(_) => "has a claim that cannot be read",
    }
}

/// Whether a node has been away for longer than the reboot command is given on this node.
pub(crate) fn is_overdue(view: &View, found: &Found, now: Timestamp) -> bool {
    let since = found
        .claim
        .as_ref()
        .ok()
        .and_then(|claim| instant(began(claim)));
    since.is_some_and(|since| {
        let seconds = u64::try_from(now.as_second() - since.as_second()).unwrap_or(0);
        seconds > view.local.patience.as_secs()
    })
}
