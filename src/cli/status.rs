//! `status`: the cluster and this node, as they are now.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

use super::cluster::{Cluster, Trouble, load};
use super::exit::Exit;
use super::gates::{Gate, gates};
use super::local::Local;
pub(crate) use super::status_page::POLICY;
use super::table::Style;
use super::{print, status_json, status_page, status_text, watch};
use crate::config::Config;
use crate::lock::Keys;
use crate::lock::survey::Survey;

/// Everything a status shows.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(super) lock_key: String,
    /// Version of the etcd server, when one answered.
    pub(super) version: Option<String>,
    /// What etcd said just now.
    pub(super) survey: Result<Arc<Survey>, Trouble>,
    /// What it said before, when it does not answer any more.
    pub(super) earlier: Option<Arc<Survey>>,
    /// When that, or what it said just now, was read.
    pub(super) read_at: Option<Timestamp>,
    pub(super) local: Local,
    pub(super) gates: Vec<Gate>,
    /// What the daemon of this node says of itself, when it is the one who shows this.
    pub(super) standing: Option<Standing>,
}

/// What a daemon says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// The name of its state.
    pub(crate) state: &'static str,
    /// The state and why, in words.
    pub(crate) text: String,
}

/// What a daemon knows of the cluster for its pages.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sight {
    /// The last survey that succeeded, and when.
    pub(crate) survey: Option<(Arc<Survey>, Timestamp)>,
    /// Why the last read failed; `None` also before the first one.
    pub(crate) error: Option<String>,
    /// Version of the server.
    pub(crate) version: Option<String>,
}

/// Shows it once, or again and again.
pub(super) fn status(path: &Path, json: bool, follow: bool) -> Exit {
    let config = match load(path) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let cluster = match Cluster::of(config) {
        Ok(cluster) => cluster,
        Err(trouble) => return super::cluster::failed(trouble),
    };
    if follow {
        return watch::watch(&cluster, json);
    }
    let view = View::of(&cluster);
    print(&view.shown(json, Timestamp::now()));
    if view.survey.is_ok() {
        Exit::Done
    } else {
        Exit::Failure
    }
}

impl View {
    /// Looks at everything now.
    pub(super) fn of(cluster: &Cluster) -> View {
        View::with(cluster, cluster.survey().map(Arc::new))
    }

    /// Looks at this host, and takes what was read of the cluster.
    pub(super) fn with(cluster: &Cluster, survey: Result<Arc<Survey>, Trouble>) -> View {
        let now = Timestamp::now();
        View {
            version: cluster.client.server_version(),
            read_at: survey.is_ok().then_some(now),
            ..View::at(&cluster.config, survey, now)
        }
    }

    /// The same from within a daemon: looks at this host, and takes what was read.
    pub(crate) fn of_daemon(config: &Config, sight: Sight, standing: Standing) -> View {
        let (survey, read_at) = sight.survey.unzip();
        let not_yet = || "it has not answered yet".to_owned();
        let (now, earlier) = match (survey, sight.error) {
            (Some(survey), None) => (Ok(survey), None),
            (survey, error) => (Err(Trouble(error.unwrap_or_else(not_yet))), survey),
        };
        View {
            version: sight.version,
            earlier,
            read_at,
            standing: Some(standing),
            ..View::at(config, now, Timestamp::now())
        }
    }

    fn at(config: &Config, survey: Result<Arc<Survey>, Trouble>, now: Timestamp) -> View {
        let local = Local::look(config, false);
        let keys = Keys::new(&config.etcd.namespace, &config.lock_key);
        View {
            lock_key: keys.prefix().to_owned(),
            version: None,
            gates: gates(&local, survey.as_deref().ok(), now, now),
            survey,
            earlier: None,
            read_at: None,
            local,
            standing: None,
        }
    }

    /// What is known of the cluster, be it old.
    pub(super) fn known(&self) -> Option<&Survey> {
        self.survey.as_deref().ok().or(self.earlier.as_deref())
    }

    /// As text for people or as JSON on one line.
    pub(super) fn shown(&self, json: bool, now: Timestamp) -> String {
        if json {
            self.json(now)
        } else {
            status_text::text(self, now, Style::of_stdout())
        }
    }

    /// For programs, on one line.
    pub(crate) fn json(&self, now: Timestamp) -> String {
        status_json::json(self, now).to_string()
    }

    /// For a browser.
    pub(crate) fn page(&self, now: Timestamp) -> String {
        status_page::page(self, now)
    }
}
