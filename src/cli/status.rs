//! `status`: the cluster and this node, as they are now.

use std::path::Path;

use jiff::Timestamp;

use super::cluster::{Cluster, Trouble, load};
use super::exit::Exit;
use super::gates::{Gate, gates};
use super::local::Local;
use super::table::Style;
use super::{print, status_json, status_text, watch};
use crate::lock::survey::Survey;

/// Everything a status shows.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub(super) lock_key: String,
    /// Version of the etcd server, when one answered.
    pub(super) version: Option<String>,
    pub(super) survey: Result<Survey, Trouble>,
    pub(super) local: Local,
    pub(super) gates: Vec<Gate>,
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
        View::with(cluster, cluster.survey())
    }

    /// Looks at this host, and takes what was read of the cluster.
    pub(super) fn with(cluster: &Cluster, survey: Result<Survey, Trouble>) -> View {
        let local = Local::look(&cluster.config, false);
        let now = Timestamp::now();
        View {
            lock_key: cluster.keys.prefix().to_owned(),
            version: cluster.client.server_version(),
            gates: gates(&local, survey.as_ref().ok(), now, now),
            survey,
            local,
        }
    }

    /// As text for people or as JSON on one line.
    pub(super) fn shown(&self, json: bool, now: Timestamp) -> String {
        if json {
            status_json::json(self, now).to_string()
        } else {
            status_text::text(self, now, Style::of_stdout())
        }
    }
}
