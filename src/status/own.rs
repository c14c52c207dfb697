//! What the daemon of a host says of itself to `status` and `explain` on the same host, also while etcd is away: a file in `run_dir`.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::core::{Verdict, View};
use crate::host;
use crate::lock::Phase;
use crate::lock::record::Standing;
use crate::observe::notify::words;

use super::endpoints::Endpoint;
use super::local::Local;
use super::stood::Revisions;

/// What a daemon says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Own {
    /// Whose words these are: those of a process that is gone are old.
    pub(crate) pid: u32,
    /// In which boot it said them.
    #[serde(default)]
    pub(crate) boot: Option<String>,
    /// Below which key its cluster has its records.
    #[serde(default)]
    pub(crate) key: Option<String>,
    /// How far the claim of its node has come, as far as it knows.
    #[serde(default)]
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
}
