//! `status`: the cluster and this node, as they are now.

use std::sync::Arc;

use jiff::Timestamp;

use super::cluster::Cluster;
use super::exit::Exit;
use super::output::print;
use crate::etcd::Trouble;
use crate::lock::survey::Survey;
use crate::status::View;

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
        match self.json {
            true => view.json(Timestamp::now()),
            false => view.text(self.verbose, Timestamp::now()),
        }
    }
}

/// Shows it once.
pub(super) fn status(cluster: &Cluster, form: Form) -> Result<Exit, Trouble> {
    let view = look(cluster, cluster.survey().map(Arc::new));
    print(&form.shown(&view));
    Ok(match view.survey {
        Ok(_) => Exit::Done,
        Err(_) => Exit::Failure,
    })
}

/// Looks at this host, and takes what was read of the cluster.
pub(super) fn look(cluster: &Cluster, survey: Result<Arc<Survey>, Trouble>) -> View {
    View::of_command(&cluster.config, survey, &cluster.client.endpoints())
}
