//! `explain`: why a node does not reboot now, gate by gate, from any host.

use std::sync::Arc;

use jiff::Timestamp;

use super::cluster::{Cluster, Done, not_a_member};
use super::exit::Exit;
use super::moment::Moment;
use super::output::{complain, print};
use crate::config::Config;
use crate::etcd::Trouble;
use crate::status::View;
use crate::status::describe::named;
use crate::status::explanation;
use crate::status::times::zone;

/// Says it. What etcd knows is missing when etcd cannot be reached.
pub(super) fn explain(config: &Config, node: Option<&str>, at: Option<Moment>, json: bool) -> Done {
    let now = Timestamp::now();
    let window_at = at.map_or(Some(now), |moment| moment.at(now, &zone(config)));
    let Some(window_at) = window_at else {
        complain("reboot-coordinator: --at is beyond the calendar");
        return Ok(Exit::USAGE);
    };
    let survey = Cluster::of(config.clone()).and_then(|cluster| cluster.survey());
    let view = View::of_explain(config, survey.map(Arc::new), (now, window_at));
    let other = node.filter(|node| *node != config.node_name);
    if let (Some(node), Ok(survey)) = (other, &view.survey)
        && !explanation::knows(survey, node)
    {
        let why = not_a_member(node, named(&survey.nodes));
        return Err(Trouble::new(why));
    }
    print(&match json {
        true => explanation::json(&view, other, now),
        false => explanation::text(&view, other, now),
    });
    view.survey.map(|_| Exit::DONE)
}
