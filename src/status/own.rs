//! What the daemon of a host says of itself to `status` and `explain` on the same host, also while etcd is away: a file in `run_dir`.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::core::{Verdict, View};
use crate::host;
use crate::identity::is_same;
use crate::lock::Phase;
use crate::lock::record::Standing;
use crate::lock::survey::Survey;
use crate::observe::notify::words;

use super::describe::{of_node, standing};
use super::endpoints::Endpoint;
use super::local::Local;
use super::stood::Revisions;
use super::times::instant;

/// What a daemon says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Own {
    /// Whose words these are: those of a process that is gone are old.
    pub(crate) pid: u32,
    /// In which boot it said them.
    pub(crate) boot: Option<String>,
    /// Below which key its cluster has its records.
    pub(crate) key: Option<String>,
    /// How far the claim of its node has come, as far as it knows.
    pub(crate) phase: Option<Phase>,
    /// The name of its state.
    pub(crate) state: String,
    /// The state and why, in words.
    pub(crate) text: String,
    /// What it says to everybody.
    pub(crate) standing: Option<Standing>,
    /// What each gate said when it was asked last.
    pub(crate) gates: Vec<Verdict>,
    /// Since when, RFC 3339, and why it cannot use etcd.
    pub(crate) etcd: Option<(String, String)>,
    /// What it learnt of the endpoints.
    #[serde(default)]
    pub(crate) endpoints: Vec<Endpoint>,
    /// When it knew which revision.
    #[serde(default)]
    pub(crate) revisions: Revisions,
}

impl Own {
    /// What this process says.
    pub(crate) fn of(
        view: &View,
        boot: Option<String>,
        endpoints: Vec<Endpoint>,
        revisions: Revisions,
    ) -> Own {
        Own {
            pid: std::process::id(),
            boot,
            key: Some(view.key.clone()),
            phase: view.phase,
            state: view.state.to_owned(),
            text: words(view),
            standing: view.standing.clone(),
            gates: view.verdicts.clone(),
            etcd: view.etcd_trouble.clone(),
            endpoints,
            revisions,
        }
    }

    /// For the file.
    pub(crate) fn json(&self) -> String {
        serde_json::to_string(self).expect("it is plain data with text keys")
    }

    /// What the daemon of this host says, if one runs and says anything; and where none runs, what was said last in this boot.
    pub(crate) fn read(run_dir: &Path, local: &Local) -> Option<Own> {
        let daemon = local.daemon.as_ref().ok()?;
        let own: Own = serde_json::from_str(&host::read_standing(run_dir)?).ok()?;
        let counts = match daemon {
            Some(pid) => own.pid == *pid,
            None => own.boot.is_some() && own.boot == local.boot_id,
        };
        counts.then_some(own)
    }

    /// What it goes by, when that is another cluster or another name than these.
    pub(super) fn unlike(&self, key: &str, node: &str) -> Option<String> {
        let said = self.standing.as_ref();
        let own_node = said.map_or(node, |said| said.node.as_str());
        let own_key = self.key.as_deref().unwrap_or(key);
        let state = &self.state;
        (own_node != node || own_key != key).then(|| {
            format!("goes by {own_key} as node {own_node}, and is {state}; the file says otherwise")
        })
    }

    /// Whether it told etcd since that nothing can be written here.
    pub(super) fn is_old(&self, survey: &Survey, node: &str) -> bool {
        let cannot = |it: &Standing| it.hampered.is_some();
        standing(survey, node).is_some_and(cannot) && !self.standing.as_ref().is_some_and(cannot)
    }

    /// Whether nothing is left in etcd of what it said there, for longer than it takes to say it.
    pub(super) fn is_silent(&self, survey: &Survey, local: &Local, now: Timestamp) -> bool {
        let node = local.node();
        let said = self.standing.as_ref().filter(|said| !said.once);
        let since = said.and_then(|said| instant(&said.since));
        let age = since.and_then(|at| Duration::try_from(now.duration_since(at)).ok());
        self.etcd.is_none()
            && !survey.partial
            && age.is_some_and(|age| age > local.config.health_publish_interval)
            && of_node(&survey.standings, node).is_none()
            && of_node(&survey.reports, node).is_none()
    }
}

/// Whether etcd has a word of a daemon of this node, and none has run with this `run_dir` since the boot.
pub(super) fn speaks_elsewhere(survey: &Survey, local: &Local) -> bool {
    let ours = |it: &Standing| !it.once && is_same(&it.node_id, &local.config.node_id);
    standing(survey, local.node()).is_some_and(ours)
        && !local.config.run_dir.join("instance.lock").exists()
}
