//! What can be seen of this host without running anything of the operator's and without taking a lock.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::config::{Config, Detector, DetectorKind};
use crate::core::facts::{DetectorReport, DetectorResult};
use crate::core::line::HaltScope;
use crate::core::policy::Policies;
use crate::core::windows::Windows;
use crate::detect;
use crate::host::{self, KillSwitch};
use crate::lock::outcome::HOST_LIMIT;
use crate::process::{Cancel, bounded};
use crate::status::times::ago;
use crate::trust;

/// The first 15 bytes of our name: all that the kernel keeps of it.
const COMM: &str = "reboot-coordina";

/// This host and what its configuration says of it.
#[derive(Clone, Debug)]
pub(crate) struct Local {
    pub(crate) node: String,
    pub(crate) node_id: String,
    /// The kernel's boot id, when it can be read.
    pub(crate) boot_id: Option<String>,
    pub(crate) limit: u32,
    pub(crate) budget: u32,
    pub(crate) dry_run: bool,
    /// After how much time a node that has not come back is one to worry about: `reboot_timeout_sec`.
    pub(crate) patience: Duration,
    pub(crate) halt_after: u32,
    pub(crate) halt_scope: HaltScope,
    pub(crate) wave: i32,
    pub(crate) policies: Option<Policies>,
    pub(crate) windows: Option<Windows>,
    pub(crate) kill_switch_file: PathBuf,
    pub(crate) kill_switch: KillSwitch,
    /// The process id of the daemon, when one runs.
    pub(crate) daemon: Option<u32>,
    pub(crate) detectors: Detectors,
}

/// What is known of the detectors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Detectors {
    /// None was asked.
    NotRun,
    /// Those that look at files were asked; the others, by name, were not.
    Asked(Vec<DetectorReport>, Vec<String>),
}

impl Local {
    /// Looks around. With `ask` it asks the detectors that only look at files.
    pub(crate) fn look(config: &Config, ask: bool) -> Local {
        Local {
            node: config.node_name.clone(),
            node_id: config.node_id.clone(),
            boot_id: host::boot_id(&config.boot_id_file).ok(),
            limit: config.max_concurrent_reboots,
            budget: config.max_reboots_without_clearing,
            dry_run: config.dry_run,
            patience: config.reboot_timeout,
            halt_after: config.halt_after,
            halt_scope: config.halt_scope,
            wave: config.wave,
            policies: config.cluster_policies.clone(),
            windows: config.windows.clone(),
            kill_switch_file: config.kill_switch_file.clone(),
            kill_switch: kill_switch(&config.kill_switch_file),
            daemon: daemon(&config.run_dir),
            detectors: if ask {
                asked(&config.detectors)
            } else {
                Detectors::NotRun
            },
        }
    }

    /// The zone in which times are shown: that of the windows, so that they can be compared.
    pub(crate) fn zone(&self) -> TimeZone {
        self.windows
            .as_ref()
            .map_or_else(TimeZone::system, |windows| windows.zone().clone())
    }
}

fn kill_switch(path: &Path) -> KillSwitch {
    let cancel = Cancel::new();
    let owned = path.to_path_buf();
    // A key of its own: in a daemon the machine's look must not find this one in its way.
    bounded("kill switch, for status", HOST_LIMIT, &cancel, move || {
        host::kill_switch(&owned)
    })
    .unwrap_or_else(|_| {
        KillSwitch::Unknown(format!(
            "{}: the file system does not answer",
            path.display()
        ))
    })
}

fn asked(detectors: &[Detector]) -> Detectors {
    let only_looks = |detector: &Detector| match detector.kind {
        DetectorKind::File { .. } | DetectorKind::Kernel => true,
        DetectorKind::Command { .. } | DetectorKind::Http(_) => false,
    };
    let (looking, running): (Vec<Detector>, Vec<Detector>) =
        detectors.iter().cloned().partition(only_looks);
    let running: Vec<String> = running.into_iter().map(|detector| detector.name).collect();
    let mut reports = detect::run_all(&looking, &[], &Cancel::new());
    for (detector, report) in looking.iter().zip(&mut reports) {
        add_age(detector, report);
    }
    Detectors::Asked(reports, running)
}

/// Since when a file asks: when it was written. It answered a moment ago, so that the file system is there.
fn add_age(detector: &Detector, report: &mut DetectorReport) {
    let (DetectorKind::File { path }, DetectorResult::Required(detail)) =
        (&detector.kind, &mut report.result)
    else {
        return;
    };
    let written = fs::symlink_metadata(path).and_then(|file| file.modified());
    if let Some(at) = written.ok().and_then(|at| Timestamp::try_from(at).ok()) {
        detail.push_str(&format!(", written {}", ago(Timestamp::now(), at)));
    }
}

/// Whose process id stands in the lock file, if that process lives and is one of ours. The lock itself is not touched: a look
/// must not keep a daemon from starting.
fn daemon(run_dir: &Path) -> Option<u32> {
    let text = trust::read(&run_dir.join("instance.lock"), 64).ok()?;
    let pid: u32 = std::str::from_utf8(&text).ok()?.trim().parse().ok()?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    (name.trim() == COMM).then_some(pid)
}
