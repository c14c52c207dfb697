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
    let view = look(&cluster, cluster.survey().map(Arc::new));
    print(&view.shown(json, Timestamp::now()));
    if view.survey.is_ok() {
        Exit::Done
    } else {
        Exit::Failure
    }
}

/// Looks at this host, and takes what was read of the cluster.
pub(super) fn look(cluster: &Cluster, survey: Result<Arc<Survey>, Trouble>) -> View {
    View::of_command(&cluster.config, survey, cluster.client.server_version())
}
