//! What is shown of the cluster and of a node, to people and to programs: the model, the one sentence, and the renderings as text,
//! page and JSON. The commands and the daemon both stand above it.

pub(crate) mod describe;
pub(crate) mod domains;
mod endpoints;
pub(crate) mod explanation;
#[cfg(test)]
#[path = "tests/fixtures.rs"]
pub(crate) mod fixtures;
mod forecast;
pub(crate) mod gates;
mod headline;
mod json;
pub(crate) mod local;
pub(crate) mod node_state;
pub(crate) mod own;
mod page;
mod screen;
mod standstill;
mod stood;
pub(crate) mod table;
pub(crate) mod text;
pub(crate) mod times;

use std::sync::Arc;
use std::time::Duration;

use etcd_rs_sync::EndpointHealth;
use jiff::Timestamp;
use jiff::fmt::rfc2822;

use self::describe::{of_node, standing};
pub(crate) use self::endpoints::Endpoint;
use self::gates::{gates, unseen, with_own};
use self::headline::other_machine;
pub use self::headline::{Part, of_cluster};
use self::local::{Local, detected};
use self::node_state::speaks_of_claim;
pub(crate) use self::own::Own;
use self::own::speaks_elsewhere;
pub(crate) use self::page::POLICY;
pub(crate) use self::screen::Size;
pub(crate) use self::stood::since_boot;
pub use self::stood::{Here, Reader, Revisions};
pub use self::table::Tone;
use crate::config::Config;
use crate::core::line::HaltScope;
use crate::core::{Refusal, Verdict, Word};
use crate::etcd::Trouble;
use crate::identity::is_same;
use crate::lock::Keys;
use crate::lock::record::{Blocked, Standing};
use crate::lock::survey::Survey;

/// What etcd said just now of the cluster, or why it did not.
pub(crate) type Known = Result<Arc<Survey>, Trouble>;

/// Everything a status shows.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) lock_key: String,
    /// Version of the etcd server, when one answered.
    pub(crate) version: Option<String>,
    /// What etcd said just now.
    pub(crate) survey: Known,
    /// What it said before, when it does not answer any more.
    pub(crate) earlier: Option<Arc<Survey>>,
    /// When that, or what it said just now, was read.
    pub(crate) read_at: Option<Timestamp>,
    pub(crate) local: Local,
    pub(crate) gates: Vec<Verdict>,
    /// What the daemon of this node says of itself; where none runs, what was said last in this boot.
    pub(crate) said: Option<Own>,
    /// Why that tells nothing of this node, though its daemon runs: what that does.
    pub(crate) doubt: Option<String>,
    /// What this command learnt of the endpoints.
    pub(crate) asked: Vec<Endpoint>,
    /// When that was, since this host was started.
    pub(crate) since_boot: Duration,
}

/// What a daemon knows of the cluster for its pages.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sight {
    /// The last survey that succeeded, and when.
    pub(crate) survey: Option<(Arc<Survey>, Timestamp)>,
    /// Why the last read failed; `None` also before the first one.
    pub(crate) error: Option<Trouble>,
    /// Version of the server.
    pub(crate) version: Option<String>,
    /// By how many seconds the clock of this host is ahead of etcd's.
    pub(crate) skew_sec: i64,
}

impl View {
    /// Looks at this host, and takes what was read of the cluster.
    pub(crate) fn of_command(config: &Config, survey: Known, asked: &[EndpointHealth]) -> View {
        let now = Timestamp::now();
        View {
            version: asked.iter().find_map(|it| it.version.clone()),
            asked: asked.iter().map(Endpoint::of).collect(),
            ..View::at(
                Local::look(config, skew_sec(asked)),
                survey,
                None,
                (now, now),
            )
        }
    }

    /// For `explain`: asks the detectors that only look, and judges the maintenance window at a moment of its own.
    pub(crate) fn of_explain(
        config: &Config,
        survey: Known,
        times: (Timestamp, Timestamp),
    ) -> View {
        let local = Local {
            detectors: Some(detected(&config.detectors)),
            ..Local::look(config, 0)
        };
        View::at(local, survey, None, times)
    }

    /// The same from within a daemon: looks at this host, and takes what was read.
    pub(crate) fn of_daemon(config: &Config, sight: Sight, own: Own) -> View {
        let (survey, read_at) = sight.survey.unzip();
        let not_yet = || Trouble::new("it has not answered yet");
        let (current, earlier) = match (survey, sight.error) {
            (Some(survey), None) => (Ok(survey), None),
            (survey, error) => (Err(error.unwrap_or_else(not_yet)), survey),
        };
        let now = Timestamp::now();
        let local = Local {
            // Who shows its own words is the daemon.
            daemon: Ok(Some(std::process::id())),
            ..Local::look(config, sight.skew_sec)
        };
        View {
            version: sight.version,
            earlier,
            read_at,
            ..View::at(local, current, Some(own), (now, now))
        }
    }

    fn at(
        local: Local,
        survey: Known,
        own: Option<Own>,
        (now, window_at): (Timestamp, Timestamp),
    ) -> View {
        let config = &local.config;
        let keys = Keys::new(&config.etcd.namespace, &config.lock_key);
        let asked_itself = own.is_some();
        let mut view = View {
            lock_key: keys.prefix().to_owned(),
            version: None,
            gates: gates(&local, survey.as_deref().ok(), now, window_at),
            read_at: survey.is_ok().then_some(now),
            survey,
            earlier: None,
            said: own.or_else(|| Own::read(&config.run_dir, &local)),
            doubt: None,
            local,
            asked: Vec::new(),
            since_boot: since_boot(),
        };
        if !asked_itself {
            view.doubt(now);
        }
        if let (Some(own), None) = (view.own(), &view.doubt) {
            view.gates = with_own(own, &view.gates, now);
            // A pass that runs has not ended.
            let said = view.said.as_mut().and_then(|own| own.standing.as_mut());
            said.into_iter().for_each(|said| said.once = false);
        }
        view.forget_what_is_over();
        if let Some(told) = unseen(&view, now) {
            view.gates.retain(|it| it.gate != told.gate);
            view.gates.insert(0, told);
        }
        view
    }

    /// Where the daemon of this host goes by something else than its configuration or etcd say.
    fn doubt(&mut self, now: Timestamp) {
        let (local, own) = (&self.local, self.own());
        let there = |test: &dyn Fn(&Survey) -> bool| self.survey.as_deref().is_ok_and(test);
        let unlike = own.and_then(|own| own.unlike(&self.lock_key, local.node()));
        if unlike.is_some() {
            self.doubt = unlike;
        } else if own.is_some_and(|own| there(&|it| own.is_silent(it, local, now))) {
            let why = "says nothing to etcd: it may hang; restart it";
            (self.said, self.doubt) = (None, Some(why.to_owned()));
        } else if own.is_some_and(|own| there(&|it| own.is_old(it, local.node()))) {
            self.said = None;
        } else if local.daemon == Ok(None) && there(&|it| speaks_elsewhere(it, local)) {
            let why = "runs by its word in etcd, but not with this run_dir: that was deleted, or it has another one; or it ended a \
                       moment ago";
            (self.local.daemon, self.doubt) = (Err(why.to_owned()), Some(why.to_owned()));
        }
    }

    /// What a pass was held up by is over once the detectors look and ask for nothing: then the next one does not begin.
    fn forget_what_is_over(&mut self) {
        let not_required = Refusal::NotRequired.label();
        let asks_nobody = |it: &Verdict| it.reason.as_deref() == Some(not_required);
        let is_gone = self.local.daemon == Ok(None) && self.gates.iter().any(asks_nobody);
        let said = self.said.as_mut().and_then(|own| own.standing.as_mut());
        let Some(said) = said.filter(|said| is_gone && said.state == "blocked") else {
            return;
        };
        said.required = None;
        // These it looks at whether or not a reboot is required.
        let other = |it: &Blocked| ["etcd", "configuration"].contains(&it.label.as_str());
        said.blocked = said.blocked.take().filter(other);
    }

    /// What the daemon of this node says of itself.
    pub(crate) fn own(&self) -> Option<&Own> {
        let runs = matches!(self.local.daemon, Ok(Some(_)));
        self.said.as_ref().filter(|_| runs)
    }

    /// The newest that is known of what a node says of itself.
    fn standing_of(&self, node: &str) -> Option<&Standing> {
        let here = self.here().filter(|here| here.node == node);
        let there = || standing(self.known_of(node)?, node);
        here.and_then(|here| here.word).or_else(there)
    }

    /// What is known of a node; nothing where another machine has the name of this host, since it is all about that one.
    fn known_of(&self, node: &str) -> Option<&Survey> {
        let ours =
            |it: &&Survey| node != self.local.node() || other_machine(&self.local, it).is_none();
        self.known().filter(ours)
    }

    /// What is known of the cluster, be it old.
    pub(crate) fn known(&self) -> Option<&Survey> {
        self.survey.as_deref().ok().or(self.earlier.as_deref())
    }

    /// What the daemon of this host knows of the endpoints, and without one what was just learnt; and whose word it is.
    pub(crate) fn endpoints(&self) -> (bool, &[Endpoint]) {
        let own = self.own().map(|own| own.endpoints.as_slice());
        match own.filter(|known| !known.is_empty()) {
            Some(known) => (true, known),
            None => (false, &self.asked),
        }
    }

    /// For people; with the endpoints of etcd, which is more than most of them want.
    pub(crate) fn text(&self, endpoints: bool, now: Timestamp) -> String {
        let mut text = text::text(self, self.local.of_etcd(now));
        if endpoints {
            text = format!("{text}\n{}", endpoints::lines(self, now).join("\n"));
        }
        text
    }

    /// For a terminal of this size.
    pub(crate) fn fitted(&self, size: Size, now: Timestamp) -> String {
        screen::screen(self, self.local.of_etcd(now), size)
    }

    /// What is known here of time.
    fn reader(&self, now: Timestamp) -> Reader<'_> {
        let known = self.own().map(|own| &own.revisions);
        let seen = known.filter(|known| **known != Revisions::default());
        let config = &self.local.config;
        Reader {
            now,
            patience: config.reboot_timeout + config.post_boot_settle,
            seen: seen.map(|seen| (seen, self.since_boot)),
            here: self.here(),
            limit: config.max_concurrent_reboots,
            // Whom a failure to boot another kernel stops is not known of others.
            halt_after: match config.halt_scope {
                HaltScope::All => config.halt_after,
                HaltScope::Target => 0,
            },
        }
    }

    /// What this host knows of its own node; nothing where the name is another machine's.
    pub(crate) fn here(&self) -> Option<Here<'_>> {
        let local = &self.local;
        let other = self.known().and_then(|it| other_machine(local, it));
        let (gone, is_away) = (self.own().is_none(), self.survey.is_err());
        // What was said of another cluster, as before a new `lock_key` was loaded, is none of this one.
        let of_it = |own: &&Own| own.key.as_ref().is_none_or(|key| *key == self.lock_key);
        let own = self.said.as_ref().filter(of_it);
        // What a daemon said that is gone is old; a pass leaves what it came to, which a claim that was taken away since ends.
        let survey = self.survey.as_ref().ok();
        let stands = survey.is_none_or(|it| of_node(&it.claims, local.node()).is_some());
        let is_under_way = |it: &Standing| speaks_of_claim(it) || it.state == "queued";
        let ours = |it: &&Standing| {
            let node_id = &local.config.node_id;
            let lasts = !gone || it.once && (!is_under_way(it) || stands);
            it.node == local.node() && is_same(&it.node_id, node_id) && lasts
        };
        let word = own.and_then(|own| own.standing.as_ref()).filter(ours);
        let speaks = own.filter(|_| !gone || word.is_some());
        let phase = own.and_then(|own| own.phase);
        // After a reload it still has a word.
        let starts = |own: &Own| !gone && own.state == "starting" && own.standing.is_none();
        let required = |it: &Verdict| it.gate == "detectors" && it.verdict == Word::Ok;
        other.is_none().then(|| Here {
            node: local.node(),
            word,
            is_left: gone && local.daemon == Ok(None),
            is_away,
            etcd: speaks.and_then(|own| own.etcd.as_ref()),
            starts: is_away && own.is_some_and(starts),
            phase: phase.filter(|it| is_away && (!gone || it.committed())),
            required: self.gates.iter().any(required),
        })
    }

    /// For programs, on one line.
    pub(crate) fn json(&self, now: Timestamp) -> String {
        json::json(self, self.local.of_etcd(now)).to_string()
    }

    /// For a browser.
    pub(crate) fn page(&self, now: Timestamp) -> String {
        page::page(self, self.local.of_etcd(now))
    }
}

/// By how many seconds the clock of this host is ahead of that of the endpoint which said so first; 0 for next to nothing, which
/// clocks always differ by.
pub(crate) fn skew_sec(health: &[EndpointHealth]) -> i64 {
    const NOTHING: i64 = 10;
    let dates = health.iter().filter_map(|it| it.date.as_ref());
    let mut apart = dates.filter_map(|(at, date)| {
        let said = rfc2822::parse(date).ok()?.timestamp();
        let then = Timestamp::now().checked_sub(at.elapsed()).ok()?;
        Some(then.as_second() - said.as_second())
    });
    let first = apart.next().filter(|apart| apart.abs() > NOTHING);
    first.unwrap_or(0)
}
