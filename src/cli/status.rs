//! `status`: the cluster and this node, as they are now.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

use super::cluster::{Cluster, load};
use super::exit::Exit;
use super::{print, watch};
use crate::lock::survey::Survey;
use crate::status::View;
use crate::store::Trouble;

/// How it is shown.
#[derive(Clone, Copy)]
pub(super) struct Form {
    /// For programs.
    pub(super) json: bool,
    /// With the endpoints of etcd.
    pub(super) verbose: bool,
}

impl Form {
    pub(super) fn shown(self, view: &View) -> String {
        let now = Timestamp::now();
        match self.verbose && !self.json {
            true => view.verbose(now),
            false => view.shown(self.json, now),
        }
    }
}

/// Shows it once, or again and again.
pub(super) fn status(path: &Path, form: Form, follow: bool) -> Exit {
    let config = match load(path) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let cluster = match Cluster::of(config) {
        Ok(cluster) => cluster,
        Err(trouble) => return super::cluster::failed(trouble),
    };
    if follow {
        return watch::watch(&cluster, form);
    }
    let view = look(&cluster, cluster.survey().map(Arc::new));
    print(&form.shown(&view));
    if view.survey.is_ok() {
        Exit::Done
    } else {
        Exit::Failure
    }
}

/// Looks at this host, and takes what was read of the cluster.
pub(super) fn look(cluster: &Cluster, survey: Result<Arc<Survey>, Trouble>) -> View {
    View::of_command(&cluster.config, survey, &cluster.client.endpoints())
}
