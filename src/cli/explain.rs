//! `explain`: why this node does not reboot now, gate by gate.

use std::path::Path;

use jiff::Timestamp;

use super::cluster::{Cluster, load};
use super::exit::Exit;
use super::moment::Moment;
use super::{complain, print};
use crate::lock::survey::Survey;
use crate::status::gates::{Gate, gates, next_opening, summary};
use crate::status::local::Local;
use crate::status::table::Style;
use crate::status::table::folded;
use crate::status::text::gate_table;

/// Says it. What etcd knows is missing when etcd cannot be reached.
pub(super) fn explain(path: &Path, at: Option<Moment>) -> Exit {
    let config = match load(path) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let local = Local::look(&config, true);
    let now = Timestamp::now();
    let window_at = match at.map(|moment| moment.at(now, &local.zone())) {
        None => now,
        Some(Some(at)) => at,
        Some(None) => {
            complain("reboot-coordinator: --at is beyond the calendar");
            return Exit::Usage;
        }
    };
    let survey = Cluster::of(config).and_then(|cluster| cluster.survey());
    let gates = gates(&local, survey.as_ref().ok(), now, window_at);
    let told = text(
        &local,
        survey.as_ref().ok(),
        &gates,
        now,
        Style::of_stdout(),
    );
    print(&told);
    match survey {
        Ok(_) => Exit::Done,
        Err(trouble) => super::cluster::failed(trouble),
    }
}

fn text(
    local: &Local,
    survey: Option<&Survey>,
    gates: &[Gate],
    now: Timestamp,
    style: Style,
) -> String {
    let mut lines = vec![folded(&summary(local, survey, gates, now))];
    lines.extend(gate_table(local, gates).lines(style));
    lines.extend(next_opening(gates, now, &local.zone()).map(|text| folded(&text)));
    lines.join("\n")
}
