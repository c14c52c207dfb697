//! The binary as its users meet it: help, version, usage errors and `validate-config`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_reboot-coordinator"))
}

fn run(arguments: &[&str]) -> Output {
    program()
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Writes a valid configuration with `more` at its end, and the health script it needs.
fn configuration(folder: &Path, more: &str) -> PathBuf {
    let script = folder.join("health.sh");
    fs::write(&script, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let path = folder.join("config.yaml");
    let script = script.display();
    let config = format!(
        "node_name: node-a\nnode_id: test\nreboot_required_detectors:\n  - type: file\n    path: /var/run/reboot-required\n\
         health_script: {script}\nlock_key: /cluster/lock\netcd_endpoints: [127.0.0.1:2379]\nreboot_command: [/bin/sh]\n{more}"
    );
    fs::write(&path, config).unwrap();
    path
}

fn validate(path: &Path, more: &[&str]) -> Output {
    let mut arguments = vec!["validate-config", "--config", path.to_str().unwrap()];
    arguments.extend(more);
    run(&arguments)
}

/// A file of version 1 has no rule for what follows its table, and neither have the zones with leap seconds.
#[test]
fn a_zone_whose_table_has_ended_is_warned_about() {
    let folder = tempfile::tempdir().unwrap();
    let mut zone = b"TZif\0".to_vec();
    zone.extend([0; 15]);
    for number in [0_u32, 0, 0, 1, 1, 4] {
        zone.extend(number.to_be_bytes());
    }
    // One change at 2001-09-09, to UTC.
    zone.extend(1_000_000_000_i32.to_be_bytes());
    zone.extend([0, 0, 0, 0, 0, 0, 0]);
    zone.extend(b"UTC\0");
    fs::write(folder.path().join("Old"), zone).unwrap();
    let windows = "windows: {timezone: Old, allow: ['* 02:00-04:00']}\n";
    let path = configuration(folder.path(), windows);
    let mut validate = program();
    validate.args(["validate-config", "--config"]).arg(path);
    let said = text(
        &validate
            .env("TZDIR", folder.path())
            .output()
            .unwrap()
            .stdout,
    );
    let warning = "windows.timezone: the file of this zone knows no change of the clock after 2001-09-09T01:46:40Z";
    assert!(said.contains(warning), "{said}");
}

/// Whoever opens a FIFO waits for its writer.
#[test]
fn a_zone_file_that_is_a_fifo_is_refused_and_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("zone");
    let made = Command::new("mkfifo").arg(&fifo).status().unwrap();
    assert!(made.success());
    let shown = fifo.display();
    for (timezone, variables) in [
        ("local", vec![("TZ", format!("{shown}"))]),
        ("local", vec![("TZ", format!(":{shown}"))]),
        ("zone", vec![("TZDIR", folder.path().display().to_string())]),
    ] {
        let windows = format!("windows: {{timezone: {timezone}, allow: ['* 02:00-04:00']}}\n");
        let output = Command::new("timeout")
            .args(["20", env!("CARGO_BIN_EXE_reboot-coordinator")])
            .args(["validate-config", "--config"])
            .arg(configuration(folder.path(), &windows))
            .envs(variables)
            .output()
            .unwrap();
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{timezone}: {stderr}");
        assert!(
            stderr.contains("windows.timezone: ") && stderr.contains("zone is not a regular file"),
            "{stderr}"
        );
    }
}

#[test]
fn a_valid_configuration_is_called_valid() {
    let folder = tempfile::tempdir().unwrap();
    let output = validate(&configuration(folder.path(), ""), &[]);
    let stdout = text(&output.stdout);
    assert_eq!(
        (output.status.code(), text(&output.stderr).as_str()),
        (Some(0), "")
    );
    assert!(stdout.starts_with("configuration is valid\n"), "{stdout}");
    assert!(
        stdout.contains("node-a") && !stdout.contains("dry_run"),
        "{stdout}"
    );
}

#[test]
fn warnings_and_dry_run_are_mentioned() {
    let folder = tempfile::tempdir().unwrap();
    let output = validate(
        &configuration(folder.path(), "dry_run: true\nhold_timeout_sec: 1\n"),
        &[],
    );
    let stdout = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0));
    assert!(
        stdout.contains("warning: ") && stdout.contains("hold_timeout_sec: is shorter"),
        "{stdout}"
    );
    assert!(stdout.contains("dry_run    is on"), "{stdout}");
}

#[test]
fn problems_go_to_stderr_one_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = configuration(
        folder.path(),
        "dry_run: maybe\nlog:\n  levle: info\nmax_concurrent_reboots: 0\n",
    );
    let output = validate(&path, &[]);
    let stderr = text(&output.stderr);
    assert_eq!(
        (output.status.code(), text(&output.stdout).as_str()),
        (Some(2), "")
    );
    let lines: Vec<&str> = stderr.lines().collect();
    assert_eq!(lines.len(), 3, "{stderr}");
    for field in [
        "config.yaml:10: dry_run:",
        "config.yaml:12: log.levle:",
        "config.yaml:13: max_concurrent_reboots:",
    ] {
        assert!(
            lines.iter().any(|line| line.contains(field)),
            "{field}\n{stderr}"
        );
    }
}

#[test]
fn a_missing_configuration_is_an_invalid_one() {
    let folder = tempfile::tempdir().unwrap();
    let output = validate(&folder.path().join("nothing.yaml"), &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("nothing.yaml: cannot be read: No such file"),
        "{output:?}"
    );
}

#[test]
fn whoever_may_not_read_the_configuration_is_told_to_be_root() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let path = configuration(folder.path(), "");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let copy = folder.path().join("reboot-coordinator");
    fs::copy(env!("CARGO_BIN_EXE_reboot-coordinator"), &copy).unwrap();
    for command in ["validate-config", "simulate", "run", "status"] {
        let ended = Command::new("setpriv")
            .args(["--reuid", "65534", "--clear-groups"])
            .arg(&copy)
            .args([command, "--config"])
            .arg(&path)
            .output();
        let Some(ended) = ended.ok().filter(|it| it.status.code() != Some(127)) else {
            return println!("skipped: only root may be somebody else");
        };
        let said = text(&ended.stderr);
        assert_eq!(ended.status.code(), Some(2), "{command}: {said}");
        assert!(!said.contains("create it"), "{command}: {said}");
        assert!(said.contains("run it as root"), "{command}: {said}");
    }
}

/// What could not be looked at is not wrong.
#[test]
fn a_lack_of_descriptors_is_no_invalid_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let path = configuration(folder.path(), "");
    let mut told = 0;
    // With three, no library can be loaded.
    for files in 4..16 {
        let ended = Command::new("sh")
            .args(["-c", "ulimit -n \"$0\" && exec \"$@\"", &files.to_string()])
            .arg(program().get_program())
            .args(["validate-config", "--config"])
            .arg(&path)
            .output()
            .unwrap();
        let said = text(&ended.stderr);
        if ended.status.code() != Some(0) {
            assert_eq!(ended.status.code(), Some(1), "{files} files: {said}");
            assert!(
                said.contains("may open no more files (os error 24); raise"),
                "{said}"
            );
            told += 1;
        }
    }
    assert!(told > 0);
}

#[test]
fn json_reports_both_ways() {
    let folder = tempfile::tempdir().unwrap();
    let parse =
        |output: &Output| serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap();
    let valid = validate(&configuration(folder.path(), ""), &["--json"]);
    assert_eq!(
        (valid.status.code(), &parse(&valid)["valid"]),
        (Some(0), &true.into())
    );
    let broken = validate(
        &configuration(folder.path(), "dry_run: maybe\n"),
        &["--json"],
    );
    let report = parse(&broken);
    assert_eq!(broken.status.code(), Some(2));
    assert_eq!(
        (&report["valid"], &report["problems"][0]["field"]),
        (&false.into(), &"dry_run".into())
    );
    assert_eq!(report["problems"][0]["line"], 10);
}

#[test]
fn help_and_version_work_with_a_broken_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.yaml");
    fs::write(&path, "]: broken").unwrap();
    let config = path.to_str().unwrap();
    for arguments in [
        &["help"][..],
        &["--help"],
        &["-h"],
        &["help", "run"],
        &["run", "--help", "--config", config],
        &["--config", config, "help", "validate-config"],
    ] {
        let output = run(arguments);
        assert_eq!(
            (output.status.code(), text(&output.stderr).as_str()),
            (Some(0), ""),
            "{arguments:?}"
        );
        assert!(
            text(&output.stdout).contains("Usage: reboot-coordinator"),
            "{arguments:?}"
        );
    }
    for arguments in [
        &["version"][..],
        &["--version"],
        &["--config", config, "version"],
    ] {
        let output = run(arguments);
        let stdout = text(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(
            stdout.starts_with(concat!("reboot-coordinator ", env!("CARGO_PKG_VERSION"))),
            "{stdout}"
        );
        assert_eq!(stdout.lines().count(), 1, "{stdout}");
    }
}

#[test]
fn usage_errors_exit_with_64_and_a_suggestion() {
    for (arguments, expected) in [
        (&["validat-config"][..], "did you mean `validate-config`?"),
        (&["--jsno", "version"], "did you mean --json?"),
        (&["run", "--wait", "10m"], "--wait needs --once"),
        (&["version", "please"], "unexpected argument \"please\""),
        (&["--config"], "--config needs a value"),
        (&["status", "--config", ""], "--config needs a value"),
    ] {
        let output = run(arguments);
        let stderr = text(&output.stderr);
        assert_eq!(
            (output.status.code(), text(&output.stdout).as_str()),
            (Some(64), ""),
            "{arguments:?}"
        );
        assert!(
            stderr.starts_with("reboot-coordinator: ") && stderr.contains(expected),
            "{stderr}"
        );
    }
}

#[test]
fn bash_completes_commands_flags_and_files() {
    let script = text(&run(&["completions", "bash"]).stdout);
    let complete = |words: &[&str]| {
        let line = format!(
            "{script}\nCOMP_WORDS=(\"$@\") COMP_CWORD=$(($# - 1))\n_reboot_coordinator\nprintf '%s\\n' \"${{COMPREPLY[@]}}\""
        );
        let output = Command::new("bash")
            .args(["-c", &line, "bash", "reboot-coordinator"])
            .args(words)
            .output()
            .unwrap();
        assert_eq!(text(&output.stderr), "", "{words:?}");
        text(&output.stdout).trim().replace('\n', " ")
    };
    for (words, expected) in [
        (&["pa"][..], "pause"),
        (&["--dr"], "--dry-run"),
        (&["release", "node-a", "--r"], "--reason"),
        (&["release", "--reason", "run", "--y"], "--yes"),
        (&["status", "--dr"], ""),
        (&["help", "hist"], "history"),
        (&["completions", "z"], "zsh"),
        (&["status", "--config", "/etc/pass"], "/etc/passwd"),
        (&["pause", "--for", ""], ""),
    ] {
        let got = complete(words);
        let got: Vec<&str> = got.split(' ').filter(|word| !word.ends_with('-')).collect();
        assert_eq!(got.join(" "), expected, "{words:?}");
    }
}

/// What each of these comes to when the key is pressed at its end.
const COMPLETED: [(&str, &str); 6] = [
    ("pa", "pause"),
    ("--dr", "--dry-run"),
    ("release node-a --r", "--reason"),
    ("help hist", "history"),
    ("completions z", "zsh"),
    ("status --config /etc/passw", "/etc/passwd"),
];

/// The shell, unless it is not here: then nothing is shown of it.
fn has(shell: &str) -> bool {
    let here = Command::new(shell).arg("--version").output().is_ok();
    if !here {
        println!("skipped: {shell} is not installed here");
    }
    here
}

#[test]
fn fish_completes_the_same() {
    if !has("fish") {
        return;
    }
    let script = text(&run(&["completions", "fish"]).stdout);
    let home = tempfile::tempdir().unwrap();
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_reboot-coordinator"));
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", program.parent().unwrap().display());
    for (typed, expected) in COMPLETED {
        let line = format!("{script}\ncomplete -C 'reboot-coordinator {typed}'");
        let output = Command::new("fish")
            .args(["--no-config", "-c", &line])
            .env("PATH", &path)
            .env("HOME", home.path())
            .output()
            .unwrap();
        assert_eq!(text(&output.stderr), "", "{typed}");
        // A word, and what it is.
        let got = text(&output.stdout);
        let words = got.lines().map(|it| it.split('\t').next().unwrap());
        let words: Vec<&str> = words.filter(|word| !word.ends_with('-')).collect();
        assert_eq!(words, [expected], "{typed}");
    }
}

/// A shell on a terminal, in which the key is pressed after each line; what then stands there is printed.
const ZSH: &str = r#"
zmodload zsh/zpty
zpty z zsh -f -i
zpty -w z "fpath=($0 \$fpath); "'autoload -Uz compinit; compinit -u -D; PS1=; PS2=; RPS1=; unset zle_bracketed_paste; unsetopt promptsp promptcr'
zpty -w z 'show() { print -r -- "<<$BUFFER>>" ; BUFFER=; zle accept-line }; zle -N show; bindkey "^X" show; bindkey "^I" complete-word; print ready'
zpty -r -m z out '*ready*ready*'
for line in "$@"; do
  zpty -w -n z "$line"$'\t\x18'
  zpty -r -m z out '*<<*>>*'
  [[ $out =~ '<<([^>]*)>>' ]] && print -r -- "$match[1]"
done
"#;

#[test]
fn zsh_completes_the_same() {
    if !has("zsh") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let script = text(&run(&["completions", "zsh"]).stdout);
    std::fs::write(folder.path().join("_reboot-coordinator"), script).unwrap();
    let typed = COMPLETED.map(|(typed, _)| format!("reboot-coordinator {typed}"));
    let output = Command::new("zsh")
        .args(["-f", "-c", ZSH])
        .arg(folder.path())
        .args(&typed)
        .output()
        .unwrap();
    let got = text(&output.stdout);
    let got: Vec<&str> = got.lines().map(|line| line.trim_end()).collect();
    let wanted = COMPLETED.map(|(typed, expected)| {
        let before = typed.rsplit_once(' ').map_or("", |(before, _)| before);
        format!("reboot-coordinator {before} {expected}").replace("  ", " ")
    });
    assert_eq!(got, wanted);
}

#[test]
fn a_closed_standard_output_is_no_panic() {
    for arguments in [&["help"][..], &["version"], &["version", "--json"]] {
        let mut child = program()
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Closed before anything is read, as by `| head -0`.
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(
            (output.status.code(), text(&output.stderr).as_str()),
            (Some(0), ""),
            "{arguments:?}"
        );
    }
}

/// Whoever started us may have told the kernel to throw the exit codes of children away.
#[test]
fn the_end_of_a_child_is_seen_by_a_program_that_was_started_with_an_ignored_sigchld() {
    let folder = tempfile::tempdir().unwrap();
    let path = configuration(folder.path(), "");
    let detector = "reboot_required_detectors: [{name: slow, type: command, cmd: [/bin/sh, -c, \"exec >&- 2>&-; sleep 0.3; exit 7\"]}]";
    let text = fs::read_to_string(&path).unwrap();
    let old = "reboot_required_detectors:\n  - type: file\n    path: /var/run/reboot-required";
    fs::write(&path, text.replace(old, detector)).unwrap();
    let line = format!(
        "trap '' CHLD; exec {} simulate --config {}",
        env!("CARGO_BIN_EXE_reboot-coordinator"),
        path.display()
    );
    let output = Command::new("/bin/sh")
        .args(["-c", &line])
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(stdout.contains("exit code 7"), "{output:?}");
}
