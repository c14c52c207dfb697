//! The pages as text: names that are meant to be HTML, clusters that are large, and what is ill.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::etcd::Trouble;
use crate::lock::Phase;
use crate::lock::record::RecordError;
use crate::lock::survey::{Said, Survey};
use crate::status::Own;
use crate::status::fixtures::{busy, found, history, local, member, now, pause, view};

/// As the daemon of node-c shows it.
fn of_daemon(survey: Survey) -> View {
    View {
        said: Some(Own {
            state: "idle".to_owned(),
            text: "idle: no reboot is required".to_owned(),
            ..Own::default()
        }),
        ..view(local(), survey)
    }
}

fn fact(survey: Survey) -> (Tone, String) {
    let parts = headline(&of_daemon(survey), now());
    (parts[0].tone, parts[0].fact.clone())
}

fn claims(claims: &[(&str, Phase, &str)]) -> Survey {
    let claims = claims.iter().zip(1..);
    Survey {
        claims: claims
            .map(|((node, phase, since), create)| found(node, *phase, create, since))
            .collect(),
        ..Survey::default()
    }
}

fn said(healthy: bool) -> Said {
    Said {
        healthy: Some(healthy),
        ..Said::default()
    }
}

/// The text of a page, without its markup.
fn words(page: &str) -> String {
    let body = page.split_once("</style>").unwrap().1;
    let body = body.split_once("<script>").unwrap().0;
    let mut out = String::new();
    for part in body.split('<') {
        let (_, text) = part.split_once('>').unwrap_or(("", part));
        out.push_str(text);
        out.push(' ');
    }
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_headline_is_what_somebody_on_call_needs() {
    use Phase::{Draining, Queued, Rebooting, Verifying};
    let queued = ("node-b", Queued, "11:58");
    let paused = |claims: &[_]| Survey {
        pause: Some(Ok(pause(None))),
        ..self::claims(claims)
    };
    for (survey, tone, expected) in [
        (
            Survey::default(),
            Tone::Good,
            "Nothing to do: nobody reboots, nobody waits.",
        ),
        (
            claims(&[queued]),
            Tone::Notice,
            "Nobody reboots yet; 1 node waits.",
        ),
        (
            claims(&[("node-a", Draining, "11:59"), queued]),
            Tone::Notice,
            "node-a is being drained; 1 node waits.",
        ),
        (
            claims(&[("node-a", Rebooting, "11:50"), queued, queued]),
            Tone::Notice,
            "node-a reboots; 2 nodes wait.",
        ),
        (
            claims(&[
                ("node-a", Verifying, "11:55"),
                ("node-d", Rebooting, "11:59"),
            ]),
            Tone::Notice,
            "node-a is back and has to prove that it is healthy, node-d reboots; nobody waits.",
        ),
        (
            claims(&[("node-a", Rebooting, "11:49"), queued]),
            Tone::Bad,
            "node-a has not come back, by its own clock; 1 node waits.",
        ),
        (
            paused(&[queued]),
            Tone::Bad,
            "Paused: nobody begins to reboot; 1 node waits.",
        ),
    ] {
        assert_eq!(fact(survey), (tone, expected.to_owned()));
    }
}

#[test]
fn whose_reboot_is_requested_is_shown() {
    let request = crate::lock::RebootRequest {
        v: 1,
        node: "node-b".into(),
        by: "eva@admin".into(),
        reason: "new <firmware>".into(),
        since: "2026-11-23T11:50:00.000Z".into(),
        boot_id: None,
        urgent_until: None,
    };
    let survey = Survey {
        requests: vec![("node-b".into(), Ok(request))],
        ..busy()
    };
    let page = of_daemon(survey).page(now());
    let found = words(&page);
    let wanted = "Requests: 1 Node Requested node-b by eva@admin 10 min ago: new";
    assert!(
        found.contains(wanted) && !page.contains("<firmware>"),
        "{found}"
    );
    assert!(!words(&of_daemon(busy()).page(now())).contains("Requests"));
}

#[test]
fn a_page_says_who_is_down_who_waits_and_what_to_type() {
    let page = of_daemon(busy()).page(now());
    let words = words(&page);
    for text in [
        "node-a has not come back, by its own clock; 2 nodes wait.",
        "For 12 min. While node-a holds its claim the line stands still",
        "reboot-coordinator release node-a --reason TEXT",
        "As node-c sees it, just now; etcd 3.5.16.",
        "Rebooting: 1 Node Phase For Why node-a rebooting 12 min kernel",
        "Queue: 2 Node Place Waits for Why node-b 1 4 min kernel node-c 2 2 min kernel",
        "Members: 3, 0 with nothing to do",
        "node-x 35 min ago completed kernel",
        "node-c: idle: no reboot is required",
        "turn blocks in the queue for 2 min; 2 before it: node-a, node-b",
    ] {
        let squeezed = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains(&squeezed), "{squeezed}\n{words}");
    }
    assert!(page.len() < 12 * 1024, "{}", page.len());
}

#[test]
fn who_is_not_healthy_comes_first() {
    let survey = Survey {
        nodes: vec![
            member("a", None, 0),
            member("b", None, 0),
            member("c", None, 0),
        ],
        reports: vec![("a".into(), said(true)), ("c".into(), said(false))],
        ..Survey::default()
    };
    let words = words(&of_daemon(survey).page(now()));
    assert!(
        words.contains("Members: 3, 1 with nothing to do Node What For Last reboot Version b is silent: no daemon, or cut off from etcd no reboot yet 0.1.0 c is unhealthy"),
        "{words}"
    );
}

#[test]
fn without_etcd_this_node_and_what_was_read_before_are_shown_with_its_age() {
    let trouble = Trouble::new("connection refused");
    let minutes_ago = "2026-11-23T11:57:00Z".parse().unwrap();
    let away = View {
        survey: Err(trouble),
        earlier: Some(Arc::new(busy())),
        read_at: Some(minutes_ago),
        ..of_daemon(busy())
    };
    let old = words(&away.page(now()));
    assert!(
        old.contains("etcd does not answer : connection refused. What follows was read 3 min ago."),
        "{old}"
    );
    assert!(old.contains("node-a rebooting 12 min"), "{old}");
    let parts = headline(&away, now());
    assert_eq!(parts[0].tone, Tone::Bad);
    assert!(
        parts[0]
            .fact
            .starts_with("etcd does not answer since Mon 2026-11-23 11:57"),
        "{parts:?}"
    );
    let nothing = View {
        earlier: None,
        read_at: None,
        ..away
    };
    let nothing = words(&nothing.page(now()));
    assert!(
        nothing.contains("Nothing is known of the cluster: etcd does not answer."),
        "{nothing}"
    );
    assert!(nothing.contains("node-c: idle"), "{nothing}");
}

/// Markup in every text that somebody else writes: names, reasons, details, authors, versions, errors.
#[test]
fn nothing_from_elsewhere_is_markup() {
    let evil = "<img src=x onerror=alert(1)>\"'&\u{202e}\u{1b}";
    let mut survey = busy();
    survey.pause = Some(Ok(crate::lock::Pause {
        by: evil.into(),
        reason: evil.into(),
        since: evil.into(),
        ..pause(None)
    }));
    survey
        .claims
        .push(found(evil, Phase::Rebooting, 1, "11:00"));
    for (node, found) in &mut survey.claims {
        node.push_str(evil);
        if let Ok(claim) = &mut found.claim {
            claim.reasons.push(evil.into());
        }
    }
    for (node, record) in &mut survey.nodes {
        node.push_str(evil);
        if let Ok(record) = record {
            record.version = evil.into();
            if let Some(last) = &mut record.last_reboot {
                (last.at, last.reasons) = (evil.into(), vec![evil.into()]);
            }
        }
    }
    survey
        .nodes
        .push((evil.into(), Err(RecordError::Malformed(evil.into()))));
    let mut entry = history(evil, evil);
    (entry.detail, entry.ended_at, entry.by) = (evil.into(), evil.into(), Some(evil.into()));
    survey.recent.push(entry);
    let mut paused = of_daemon(survey.clone());
    paused.lock_key = evil.into();
    paused.version = Some(evil.into());
    paused.local.config.node_name = evil.into();
    survey.pause = None;
    let stopped = of_daemon(survey.clone());
    let away = View {
        survey: Err(Trouble::new(evil)),
        earlier: Some(Arc::new(survey)),
        ..of_daemon(busy())
    };
    for view in [paused, stopped, away] {
        let page = view.page(now());
        assert!(
            page.contains("&lt;img src=x onerror=alert(1)&gt;&quot;&#39;&amp;"),
            "{page}"
        );
        assert!(
            !page.contains("<img") && !page.contains('\u{202e}') && !page.contains('\u{1b}'),
            "{page}"
        );
    }
}

#[test]
fn a_page_has_an_end_however_large_the_cluster_and_its_texts_are() {
    let long = "&".repeat(100_000);
    let mut survey = Survey {
        partial: true,
        ..Survey::default()
    };
    for number in 0..3000 {
        let (name, mut found) = found(&format!("{number}{long}"), Phase::Queued, number, "11:00");
        found.claim.as_mut().unwrap().reasons = vec![long.clone()];
        survey.claims.push((name.clone(), found));
        survey.nodes.push(member(&name, None, 0));
    }
    let page = of_daemon(survey).page(now());
    assert!(page.len() < 2 * 1024 * 1024, "{}", page.len());
    let words = words(&page);
    assert!(words.contains("and 2800 more"));
    assert!(words.contains("too large for this page"));
}

#[test]
fn the_policy_allows_this_style_and_this_script_and_nothing_else() {
    let hash = |text: &str| {
        let suite = rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
        let hash = suite
            .tls13()
            .unwrap()
            .common
            .hash_provider
            .hash(text.as_bytes());
        format!("'sha256-{}'", STANDARD.encode(hash.as_ref()))
    };
    let wanted = [("style-src", hash(STYLE)), ("script-src", hash(SCRIPT))];
    for (directive, hash) in wanted {
        let expected = format!("{directive} {hash}");
        assert!(
            POLICY.split("; ").any(|part| part == expected),
            "POLICY needs: {expected}"
        );
    }
    assert!(POLICY.starts_with("default-src 'none';"));
    let page = of_daemon(busy()).page(now());
    assert!(
        !page
            .replace("http://www.w3.org/2000/svg", "")
            .contains("http:")
            && !page.contains("https:")
            && !page.contains(" style="),
        "{page}"
    );
}

#[test]
fn a_name_is_not_broken_at_its_hyphen_and_a_tab_shows_no_markup() {
    let page = page(&of_daemon(busy()), now());
    let whole = "<span class=\"w\">node-a</span>";
    let title = page.split_once("<title>").unwrap().1;
    assert!(
        title.starts_with("\u{2717} node-a has not come back"),
        "{title}"
    );
    for place in [
        format!("<span class=\"bad\">{whole} has not"),
        format!("<th scope=\"row\">{whole}</th>"),
    ] {
        assert!(page.contains(&place), "{place}\n{page}");
    }
    // A narrow screen has no room for this one, which may be broken.
    let long = format!("node-{}", "x".repeat(40));
    let mut html = Html::default();
    html.text(&long);
    assert_eq!(html.0, long);
}
