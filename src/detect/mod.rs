//! What is asked of the host: does it require a reboot?

mod http;
pub mod kernel;

use std::path::Path;
use std::time::{Duration, Instant};

use crate::config::{Detector, DetectorKind, NOT_STARTED};
use crate::core::facts::{DetectorReport, DetectorResult, ScriptOutcome, ScriptReport};
use crate::process::{self, Cancel, NoAnswer, bounded};
use crate::trust;

/// Asks all detectors, one after the other, in the order of the configuration.
///
/// `env` is the environment of command detectors. After a cancel the remaining ones report that they were stopped, as
/// failures: nobody may take that for "no reboot required".
pub fn run_all(
    detectors: &[Detector],
    env: &[(String, String)],
    cancel: &Cancel,
) -> Vec<DetectorReport> {
    detectors
        .iter()
        .map(|detector| run(detector, env, cancel))
        .collect()
}

fn run(detector: &Detector, env: &[(String, String)], cancel: &Cancel) -> DetectorReport {
    let began = Instant::now();
    let limit = detector.timeout;
    let mut target = None;
    let result = match &detector.kind {
        DetectorKind::File(path) => {
            let owned = path.clone();
            let key = format!("file {}", path.display());
            limited(&key, limit, cancel, FILES, move || file(&owned))
                .unwrap_or_else(DetectorResult::Failed)
        }
        DetectorKind::Command(cmd, success_exit_codes) => {
            let spec = process::Command::new(cmd.clone(), env.to_vec(), limit);
            command(&process::run(&spec, cancel), success_exit_codes)
        }
        DetectorKind::Http(check) => http::ask(check, limit, cancel),
        DetectorKind::Kernel => {
            let check = || kernel::check(Path::new("/"));
            let (result, next) = limited("kernel", limit, cancel, FILES, check)
                .unwrap_or_else(|why| (DetectorResult::Failed(why), None));
            target = next;
            result
        }
    };
    DetectorReport {
        name: detector.name.clone(),
        result,
        target,
        took: began.elapsed(),
    }
}

/// What is said when there is no answer in time, and when an earlier check still waits for one.
type Silence = (&'static str, &'static str);

const FILES: Silence = (
    "no answer from the file system",
    "the file system has not answered an earlier check yet",
);

/// A check with a limit: a path on a dead network file system blocks without end, and so does a look-up of a name.
fn limited<T: Send + 'static>(
    key: &str,
    limit: Duration,
    cancel: &Cancel,
    (late, busy): Silence,
    check: impl FnOnce() -> T + Send + 'static,
) -> Result<T, String> {
    bounded(key, limit, cancel, check).map_err(|why| match why {
        NoAnswer::TimedOut => format!("{late} within {} s", limit.as_secs_f64()),
        NoAnswer::StillBusy => busy.into(),
        NoAnswer::Cancelled => ScriptOutcome::Cancelled.to_string(),
        NoAnswer::NotStarted(why) => why,
    })
}

/// Required while something exists at `path`, whatever it is; a dangling link exists. Only "not found" means absent: a
/// file where a folder should be (ENOTDIR) is a mistake in the path or the host, and so is a loop, a denied access, or a link to
/// nowhere on the way.
fn file(path: &Path) -> DetectorResult {
    match trust::look(path) {
        Ok(Some(_)) => DetectorResult::Required(format!("{} exists", path.display())),
        Ok(None) => DetectorResult::Clear,
        Err(e) => DetectorResult::Failed(format!("{}: {e}", path.display())),
    }
}

/// How much of a command's error output goes into a reason.
const REASON_CHARS: usize = 200;

/// From here on a shell's exit codes are about itself: 126 not executable, 127 not found, 128 and above killed by a signal.
const SHELL_FAILURES: i32 = 126;

fn command(report: &ScriptReport, success_exit_codes: &[i32]) -> DetectorResult {
    let complaint = saying(&report.stderr.text);
    let ScriptOutcome::Exited(code) = report.outcome else {
        return DetectorResult::Failed(format!("{}{complaint}", report.outcome));
    };
    let required = match success_exit_codes {
        codes if codes.contains(&code) => true,
        codes if NOT_STARTED.contains(&code) || codes.is_empty() && code >= SHELL_FAILURES => {
            return DetectorResult::Failed(format!(
                "exit code {code}, by which a shell says that a program is missing or was killed{complaint}"
            ));
        }
        codes => codes.is_empty() && code != 0,
    };
    let said = saying(&report.stdout.text);
    match required {
        true => DetectorResult::Required(format!("exit code {code}{said}")),
        false => DetectorResult::Clear,
    }
}

/// The first line of an output that says something, behind a colon.
fn saying(text: &str) -> String {
    let mut lines = text.lines().map(str::trim);
    let line = lines.find(|line| !matches!(*line, "" | "…"));
    line.map_or_else(String::new, |line| {
        let short: String = line.chars().take(REASON_CHARS).collect();
        format!(": {short}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn ask(kind: DetectorKind) -> DetectorResult {
        let detector = Detector {
            name: "d".into(),
            timeout: PATIENCE,
            kind,
        };
        let env = [
            ("PATH".into(), "/usr/bin:/bin".into()),
            ("RC_NODE_NAME".into(), "n1".into()),
        ];
        let mut reports = run_all(&[detector], &env, &Cancel::new());
        assert_eq!((reports.len(), reports[0].name.as_str()), (1, "d"));
        reports.remove(0).result
    }

    fn ask_file(path: PathBuf) -> DetectorResult {
        ask(DetectorKind::File(path))
    }

    fn ask_sh(script: &str, success_exit_codes: &[i32]) -> DetectorResult {
        let cmd = vec!["/bin/sh".into(), "-c".into(), script.into()];
        ask(DetectorKind::Command(cmd, success_exit_codes.to_vec()))
    }

    fn required(why: &str) -> DetectorResult {
        DetectorResult::Required(why.into())
    }

    #[test]
    fn a_file_is_required_clear_or_an_error_and_never_clear_by_mistake() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::write(path("file"), "").unwrap();
        std::os::unix::fs::symlink("nowhere", path("dangling")).unwrap();
        std::os::unix::fs::symlink("loop", path("loop")).unwrap();
        for there in ["file", "dangling", "loop", ""] {
            assert!(
                matches!(ask_file(path(there)), DetectorResult::Required(_)),
                "{there}"
            );
        }
        assert_eq!(ask_file(path("missing")), DetectorResult::Clear);
        assert_eq!(ask_file(path("missing/below")), DetectorResult::Clear);
        let long = "x".repeat(300);
        for broken in [
            "file/below",
            "loop/below",
            "dangling/",
            "dangling/below",
            "nul\0byte",
            &long,
        ] {
            assert!(
                matches!(ask_file(path(broken)), DetectorResult::Failed(_)),
                "{broken}"
            );
        }
    }

    /// A shell whose program is missing exits with 127, one that was killed by a signal with 128 and more.
    #[test]
    fn what_a_shell_says_of_itself_is_no_requirement() {
        for script in [
            "/nonexistent/needs-restarting -r",
            "/etc/passwd",
            "exit 137",
            "exit 255",
        ] {
            let result = ask_sh(script, &[]);
            assert!(matches!(result, DetectorResult::Failed(_)), "{script}");
        }
        for script in ["/nonexistent/sentinel", "/etc/passwd"] {
            let result = ask_sh(script, &[0]);
            assert!(matches!(result, DetectorResult::Failed(_)), "{script}");
        }
    }

    #[test]
    fn any_other_exit_code_than_zero_is_required_or_exactly_the_listed_ones() {
        let rows: &[(&str, &[i32], DetectorResult)] = &[
            ("exit 0", &[], DetectorResult::Clear),
            ("exit 1", &[], required("exit code 1")),
            ("exit 125", &[], required("exit code 125")),
            ("exit 255", &[255], required("exit code 255")),
            ("exit 127", &[127], required("exit code 127")),
            ("exit 255", &[0], DetectorResult::Clear),
            (
                "echo; echo new kernel; echo more; exit 100",
                &[],
                required("exit code 100: new kernel"),
            ),
            ("exit 0", &[0], required("exit code 0")),
            ("exit 1", &[0, 77], DetectorResult::Clear),
            ("exit 77", &[0, 77], required("exit code 77")),
            (
                "test \"$RC_NODE_NAME\" = n1 || exit 1",
                &[],
                DetectorResult::Clear,
            ),
        ];
        for (script, codes, expected) in rows {
            assert_eq!(ask_sh(script, codes), *expected, "{script} {codes:?}");
        }
    }

    #[test]
    fn a_command_that_did_not_exit_by_itself_is_an_error() {
        let failed = |result| matches!(result, DetectorResult::Failed(_));
        assert_eq!(
            ask_sh("echo broken >&2; kill -9 $$", &[]),
            DetectorResult::Failed("killed by signal 9: broken".into())
        );
        let cmd = vec!["/nonexistent/command".into()];
        assert!(failed(ask(DetectorKind::Command(cmd, vec![]))));
        let sleep = vec!["/bin/sleep".into(), "1000".into()];
        let kind = DetectorKind::Command(sleep, vec![]);
        let slow = Detector {
            name: "slow".into(),
            timeout: Duration::from_millis(100),
            kind,
        };
        let cancel = Cancel::new();
        assert_eq!(
            run(&slow, &[], &cancel).result,
            DetectorResult::Failed("timed out".into())
        );
        cancel.cancel();
        let kinds = [
            DetectorKind::File("/nonexistent".into()),
            DetectorKind::Kernel,
            slow.kind.clone(),
        ];
        for kind in kinds {
            let report = run(
                &Detector {
                    kind,
                    ..slow.clone()
                },
                &[],
                &cancel,
            );
            assert_eq!(report.result, DetectorResult::Failed("stopped".into()));
        }
    }
}
