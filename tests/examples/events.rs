//! Scripts that are told of events.

use std::fs;
use std::os::unix::fs::symlink;

use crate::Stage;

const WEBHOOK: &str = "events/webhook.sh";
const MAIL: &str = "events/mail.sh";

/// A client that keeps what it is to post, and whom to.
const CLIENT: &str = r#"
for word; do
	case $word in
	@*) cat "${word#@}" >"$STAGE/posted" ;;
	--post-file=*) cat "${word#--post-file=}" >"$STAGE/posted" ;;
	--input-file=*) cat "${word#--input-file=}" >"$STAGE/url" ;;
	*.conf) cat "$word" >"$STAGE/url" ;;
	esac
done
[ ! -e "$STAGE/broken" ] || { echo "HTTP 503" >&2; exit 22; }
"#;

fn stage(name: &str, text: &str) -> Stage {
    let stage = Stage::new();
    stage.write("secret", "https://chat.example/T0/secret\n");
    let url_file = stage.path("secret");
    stage
        .set("URL_FILE", url_file)
        .set("RC_EVENT_NAME", name)
        .set("RC_EVENT_NODE", "node-a")
        .set("RC_EVENT_TIME", "2026-11-28T10:00:00.000Z")
        .set("RC_EVENT_TEXT", text)
        .set("RC_EVENT_REASON", "")
        .set("RC_EVENT_REASONS", "kernel")
        .set("RC_EVENT_OUTCOME", "")
}

fn read(stage: &Stage, name: &str) -> String {
    fs::read_to_string(stage.path(name)).unwrap_or_default()
}

#[test]
fn a_chat_is_told_in_its_own_form_and_the_url_stays_secret() {
    let stage = stage("held", r#"it said "no" and \ was there"#);
    stage.tool("curl", CLIENT);
    stage.passes(WEBHOOK, "event");
    let posted: serde_json::Value = serde_json::from_str(&read(&stage, "posted")).unwrap();
    let text = r#"node-a: held: it said "no" and \ was there"#;
    assert_eq!(posted, serde_json::json!({ "text": text }));
    assert_eq!(
        read(&stage, "url"),
        "url = \"https://chat.example/T0/secret\"\n"
    );
    let calls = stage.calls();
    assert!(
        calls.starts_with("curl ") && !calls.contains("secret"),
        "{calls}"
    );
    stage.write("broken", "");
    stage.refuses(WEBHOOK, "event", "HTTP 503");
}

#[test]
fn a_program_is_told_as_the_daemon_tells_it_and_of_what_it_wants() {
    let stage = stage("back", "the host has rebooted").set("FORMAT", "json");
    stage.tool("curl", CLIENT);
    stage.write("stdin", "{\"event\":\"back\"}\n");
    stage.passes(WEBHOOK, "event");
    assert_eq!(read(&stage, "posted"), "{\"event\":\"back\"}\n");
    stage.calls();
    let stage = stage.set("QUIET", "committed back");
    stage.passes(WEBHOOK, "event");
    assert_eq!(stage.calls(), "");
}

#[test]
fn a_host_without_curl_uses_wget() {
    let stage = stage("aborted", "the drain failed");
    for tool in ["cat", "mktemp", "rm", "sed", "sh"] {
        symlink(format!("/bin/{tool}"), stage.path("bin").join(tool)).unwrap();
    }
    let only = stage.path("bin");
    let stage = stage.set("PATH", only);
    stage.refuses(WEBHOOK, "event", "neither curl nor wget");
    stage.tool("wget", CLIENT);
    stage.passes(WEBHOOK, "event");
    assert_eq!(
        read(&stage, "posted"),
        "{\"text\": \"node-a: aborted: the drain failed\"}\n"
    );
    assert_eq!(read(&stage, "url"), "https://chat.example/T0/secret\n");
    assert!(!stage.calls().contains("secret"));
}

#[test]
fn a_mail_is_written_of_what_somebody_has_to_look_at() {
    let held =
        stage("held", "the health script does not pass: exit code 1").set("TO", "ops@example");
    held.tool("sendmail", "cat >\"$STAGE/mail\"");
    held.passes(MAIL, "event");
    assert_eq!(held.calls(), "sendmail -i ops@example\n");
    let mail = read(&held, "mail");
    let (head, body) = mail.split_once("\n\n").unwrap();
    assert!(head.contains("\nSubject: node-a: held\n"), "{head}");
    assert!(
        body.starts_with("the health script does not pass: exit code 1\n"),
        "{body}"
    );
    assert!(body.contains("reboot-coordinator explain node-a"), "{body}");
    let back = stage("back", "");
    back.tool("sendmail", "");
    back.passes(MAIL, "event");
    assert_eq!(back.calls(), "");
    let all = back.set("EVENTS", "all");
    all.passes(MAIL, "event");
    assert_eq!(all.calls(), "sendmail -i root\n");
    all.tool("sendmail", "echo full >&2; exit 75");
    all.refuses(MAIL, "event", "full");
}
