//! Command lines, what is made of each, and what is said of those that are wrong.

use super::*;
use crate::cli::completions::script;

fn line(text: &str) -> Result<Invocation, String> {
    parse(text.split_whitespace().map(OsString::from))
}

fn run(once: bool, wait: Option<u64>, dry_run: bool) -> Command {
    let wait = Duration::from_secs(wait.unwrap_or(0));
    let mode = match once {
        true => Mode::Once { wait },
        false => Mode::Daemon,
    };
    Command::Run { mode, dry_run }
}

#[test]
fn command_lines_are_understood() {
    for (text, config, json, command) in [
        ("run", DEFAULT_CONFIG, false, run(false, None, false)),
        ("run", DEFAULT_CONFIG, false, run(false, None, false)),
        ("run --once", DEFAULT_CONFIG, false, run(true, None, false)),
        (
            "run --once --wait 10m --dry-run",
            DEFAULT_CONFIG,
            false,
            run(true, Some(600), true),
        ),
        (
            "--dry-run run --wait=45 --once",
            DEFAULT_CONFIG,
            false,
            run(true, Some(45), true),
        ),
        (
            "--config a.yaml run",
            "a.yaml",
            false,
            run(false, None, false),
        ),
        (
            "run --config=a.yaml -c b.yaml",
            "b.yaml",
            false,
            run(false, None, false),
        ),
        (
            "validate-config --json",
            DEFAULT_CONFIG,
            true,
            Command::ValidateConfig(0),
        ),
        (
            "--config x validate-config",
            "x",
            false,
            Command::ValidateConfig(0),
        ),
        ("simulate", DEFAULT_CONFIG, false, Command::Simulate(false)),
        (
            "simulate --health --json",
            DEFAULT_CONFIG,
            true,
            Command::Simulate(true),
        ),
        ("version", DEFAULT_CONFIG, false, Command::Version),
        ("--version", DEFAULT_CONFIG, false, Command::Version),
        ("-V --json", DEFAULT_CONFIG, true, Command::Version),
        ("help", DEFAULT_CONFIG, false, Command::Help(None)),
        ("--help", DEFAULT_CONFIG, false, Command::Help(None)),
        ("-h", DEFAULT_CONFIG, false, Command::Help(None)),
        (
            "status --watch --json",
            DEFAULT_CONFIG,
            true,
            Command::Status {
                watch: true,
                verbose: false,
            },
        ),
        (
            "explain --at 22:00",
            DEFAULT_CONFIG,
            false,
            Command::Explain {
                node: None,
                at: Some("22:00".parse().unwrap()),
            },
        ),
        ("history -c /c", "/c", false, Command::History),
        (
            "verify-history --from 17 --json",
            DEFAULT_CONFIG,
            true,
            Command::VerifyHistory(Some(17)),
        ),
        (
            "verify-history",
            DEFAULT_CONFIG,
            false,
            Command::VerifyHistory(None),
        ),
        (
            "pause",
            DEFAULT_CONFIG,
            false,
            Command::Pause(PauseOptions::default()),
        ),
        (
            "pause --for 4h --reason upgrade -y",
            DEFAULT_CONFIG,
            false,
            Command::Pause(PauseOptions {
                reason: Some("upgrade".into()),
                length: Some(Duration::from_secs(4 * 3600)),
                yes: true,
            }),
        ),
        ("resume", DEFAULT_CONFIG, false, Command::Resume),
        (
            "release --reason broken node-a --yes",
            DEFAULT_CONFIG,
            false,
            Command::Release {
                node: "node-a".into(),
                reason: "broken".into(),
                yes: true,
            },
        ),
        (
            "forget node-a",
            DEFAULT_CONFIG,
            false,
            Command::Forget("node-a".into()),
        ),
        (
            "completions fish",
            DEFAULT_CONFIG,
            false,
            Command::Completions(script("fish").unwrap()),
        ),
        (
            "help simulate",
            DEFAULT_CONFIG,
            false,
            Command::Help(spec("simulate")),
        ),
        (
            "help help",
            DEFAULT_CONFIG,
            false,
            Command::Help(spec("help")),
        ),
        (
            "simulate --help",
            DEFAULT_CONFIG,
            false,
            Command::Help(spec("simulate")),
        ),
        (
            "simulate --once --help",
            DEFAULT_CONFIG,
            false,
            Command::Help(spec("simulate")),
        ),
    ] {
        assert_eq!(
            line(text),
            Ok(Invocation {
                config: config.into(),
                json,
                command
            }),
            "{text}"
        );
    }
}

#[test]
fn mistakes_are_explained() {
    for (text, expected) in [
        ("rnu", "unknown command \"rnu\"; did you mean `run`?"),
        ("validate", "did you mean `validate-config`?"),
        (
            "frobnicate",
            "known are run, validate-config, check-etcd, simulate, status, explain, history, verify-history, pause, resume, request, release, go-on, reset-budget, forget, completions, version, help",
        ),
        ("help frobnicate", "unknown command \"frobnicate\""),
        ("run now", "unexpected argument \"now\""),
        ("help run now", "unexpected argument \"now\""),
        ("--onec", "unknown flag --onec; did you mean --once?"),
        ("--frobnicate", "unknown flag --frobnicate"),
        ("pause --foo", "unknown flag --foo; did you mean --for?"),
        ("-x", "unknown flag -x"),
        ("--config", "--config needs a value: --config FILE"),
        ("--once=yes", "once"),
        (
            "request a --reason --cancel",
            "--reason needs a value before --cancel: --reason TEXT; if --cancel is the value, write --reason=--cancel",
        ),
        (
            "simulate --once",
            "--once does not belong to `simulate`, but to `run`",
        ),
        ("run --json", "--json does not belong to `run`"),
        ("--version --once", "--once does not belong to `version`"),
        ("run --wait 10m", "--wait needs --once"),
        (
            "release",
            "`release` needs a NODE: reboot-coordinator release NODE",
        ),
        ("release node-a", "`release` needs --reason TEXT"),
        (
            "release node-a node-b --reason x",
            "unexpected argument \"node-b\"",
        ),
        ("forget a/b", "is not a node name"),
        (
            "reset-budget pause --reason x",
            "\"pause\" is not a node name",
        ),
        ("request", "`request` needs a NODE, several, or --all"),
        ("request --all a", "`request` takes either nodes or --all"),
        ("request a ../pause", "is not a node name"),
        (
            "request a --cancel --reason x",
            "--reason does not go with --cancel",
        ),
        ("request a --urgent", "--urgent needs --reason TEXT"),
        (
            "request --all --urgent --reason x",
            "--urgent is for nodes that are named",
        ),
        (
            "request a --urgent --cancel",
            "--urgent is for nodes that are named",
        ),
        ("request a --for 2h", "--for goes with --urgent"),
        (
            "request a --urgent --reason x --for 59",
            "is 1m at least and 24h at most",
        ),
        (
            "request a --urgent --reason x --for 25h",
            "is 1m at least and 24h at most",
        ),
        (
            "release a --reason x --all",
            "--all does not belong to `release`",
        ),
        ("reset-budget a", "`reset-budget` needs --reason TEXT"),
        ("forget", "`forget` needs a NODE"),
        ("pause now", "unexpected argument \"now\""),
        ("pause --for 0", "--for must be longer than nothing"),
        ("pause --reason", "--reason needs a value"),
        ("explain --at soon", "\"soon\" is not a time"),
        (
            "verify-history --from 0",
            "`--from` needs a revision of etcd, 1 or more",
        ),
        ("verify-history --from now", "`--from` needs a revision"),
        (
            "history --from 3",
            "--from does not belong to `history`, but to `verify-history`",
        ),
        ("completions tcsh", "unknown shell \"tcsh\""),
        ("completions", "`completions` needs a SHELL"),
        (
            "resume --yes",
            "--yes does not belong to `resume`, but to `pause`, `release`",
        ),
        ("run --once --wait soon", "\"soon\" is not a duration"),
    ] {
        let why = line(text).expect_err(text);
        assert!(why.contains(expected), "{text}: {why}");
        assert!(!why.contains('\n'), "{why}");
    }
    // What is no flag of `status` is no help there.
    assert_eq!(line("status --foo"), Err("unknown flag --foo".to_owned()));
}

#[test]
fn requests_name_several_nodes_or_all() {
    let request = |text: &str| match line(text).expect(text).command {
        Command::Request(options) => options,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        request("request b a --reason x"),
        RequestOptions {
            nodes: vec!["b".into(), "a".into()],
            cancel: false,
            reason: Some("x".into()),
            urgent: None,
        }
    );
    for (text, hours) in [("", 4), ("--for 2h", 2), ("--for 24h", 24)] {
        let text = format!("request a --urgent --reason x {text}");
        let options = request(&text);
        assert_eq!(options.urgent, Some(Duration::from_secs(hours * 3600)));
    }
    let all = RequestOptions {
        cancel: true,
        ..RequestOptions::default()
    };
    assert_eq!(request("request --all --cancel"), all);
}

#[test]
fn a_value_that_looks_like_a_flag_is_joined_to_its_own() {
    for (text, reason) in [
        ("request a --reason=--cancel", "--cancel"),
        ("request a --reason --urgently", "--urgently"),
        ("request a --reason -", "-"),
    ] {
        let Ok(Invocation {
            command: Command::Request(options),
            ..
        }) = line(text)
        else {
            panic!("{text}");
        };
        assert_eq!(options.reason.as_deref(), Some(reason), "{text}");
    }
}

#[test]
fn every_command_of_the_table_is_its_own() {
    for spec in COMMANDS.iter().filter(|spec| spec.name != "help") {
        let operand = match spec.operand {
            "SHELL" => "bash",
            "" => "",
            _ => "node-a",
        };
        let reason = ["release", "go-on", "reset-budget"].contains(&spec.name);
        let reason = if reason { "--reason why" } else { "" };
        let parsed = line(&format!("{} {operand} {reason}", spec.name)).unwrap();
        assert!(!matches!(parsed.command, Command::Help(_)), "{}", spec.name);
    }
}
