//! Keys, guards and answers that the simulation looks at only from afar.

use std::collections::BTreeMap;

use etcd_rs_sync::{
    Compare, Delete, KeyValue, Keys as Span, Op, OpReply, Order, Put, Range, RangeReply, Reply,
    Txn, TxnReply,
};
use serde_json::json;

use super::outcome::Malformed;
use super::record::{self, Blocked, RecordError, Report, Required, Standing, decode, encode};
use super::request::Others;
use super::survey::Pages;
use super::*;

fn keys() -> Keys {
    Keys::new("ns/", "rc")
}

fn kv(key: &str, value: impl Into<Vec<u8>>) -> KeyValue {
    KeyValue {
        key: key.into(),
        value: value.into(),
        create_revision: 3,
        mod_revision: 4,
        ..KeyValue::default()
    }
}

/// The answer to a transaction that reads: the pairs of each read.
fn answer(succeeded: bool, reads: impl IntoIterator<Item = Vec<KeyValue>>) -> Reply {
    let read = |kvs| {
        OpReply::Range(RangeReply {
            kvs,
            ..RangeReply::default()
        })
    };
    Reply::Txn(TxnReply {
        succeeded,
        replies: reads.into_iter().map(read).collect(),
        ..TxnReply::default()
    })
}

fn claim(node: &str, phase: &str) -> Vec<u8> {
    let claim = json!({
        "v": 1, "node": node, "node_id": "m", "boot_id": "b", "session": "s", "phase": phase, "limit": 1,
        "labels": {}, "limits": {}, "reasons": [], "since": "", "version": "1",
    });
    decode::<Claim>(claim.to_string().as_bytes()).unwrap();
    claim.to_string().into_bytes()
}

fn failure() -> Failure {
    Failure {
        v: 1,
        node: "a".to_owned(),
        claim: 3,
        kind: FailureKind::NotBack,
        detail: String::new(),
        reasons: Vec::new(),
        target: None,
        since: String::new(),
        by: None,
    }
}

fn word(left: Option<u32>) -> GoOn {
    GoOn {
        v: 1,
        by: "me".to_owned(),
        reason: "looked at".to_owned(),
        since: String::new(),
        left,
        known: BTreeMap::new(),
    }
}

fn standing(state: &str, node: &str, node_id: &str) -> Standing {
    Standing {
        v: 1,
        node: node.to_owned(),
        node_id: node_id.to_owned(),
        state: state.to_owned(),
        ..Standing::default()
    }
}

#[test]
fn a_standing_lies_below_what_all_of_them_start_with() {
    let keys = keys();
    assert_eq!(keys.standings(), "ns/rc/standing/");
    for (state, key) in [
        ("idle", "ns/rc/standing/a"),
        (Standing::REFUSED, "ns/rc/standing/a/m"),
    ] {
        assert_eq!(standing(state, "a", "m").key(&keys), key);
    }
}

#[test]
fn a_standing_is_another_one_by_what_it_says_and_not_by_its_words() {
    let blocked = |label: &str, text: &str| {
        Some(Blocked {
            label: label.to_owned(),
            text: text.to_owned(),
            ..Blocked::default()
        })
    };
    let one = Standing {
        blocked: blocked("window", "opens at 2"),
        ..standing("blocked", "a", "m")
    };
    let said_otherwise = Standing {
        blocked: blocked("window", "opens at 3"),
        since: "later".to_owned(),
        said: Some("words".to_owned()),
        ..one.clone()
    };
    assert!(one.same(&said_otherwise));
    let others: [fn(&mut Standing); 5] = [
        |it| it.state = "queued".to_owned(),
        |it| it.blocked = None,
        |it| it.required = Some(Required::default()),
        |it| it.hampered = Some(String::new()),
        |it| it.once = true,
    ];
    for (at, change) in others.iter().enumerate() {
        let mut other = one.clone();
        change(&mut other);
        assert!(!one.same(&other) && !other.same(&one), "{at}");
    }
}

#[test]
fn attempts_are_alike_that_differ_in_their_times_only() {
    let history = |of: [&str; 3], at: &str| -> History {
        let [outcome, detail, reason] = of;
        let text = json!({
            "v": 1, "node": "a", "outcome": outcome, "detail": detail, "reasons": [reason], "since": at, "ended_at": at,
        });
        decode(text.to_string().as_bytes()).unwrap()
    };
    let one = history(["aborted", "why", "kernel"], "1");
    assert!(one.is_like(&history(["aborted", "why", "kernel"], "2")));
    for other in [
        ["completed", "why", "kernel"],
        ["aborted", "else", "kernel"],
        ["aborted", "why", "libc"],
    ] {
        assert!(!one.is_like(&history(other, "1")), "{other:?}");
    }
}

#[test]
fn a_cooldown_without_a_lease_is_endless() {
    let value = br#"{"v":1,"node":"a","since":"then","until":"soon"}"#;
    assert_eq!(record::cooldown(value, 7).unwrap().node, "a");
    let ends = "reboot-coordinator resume removes it (a wrote it at then)".to_owned();
    let endless = Err(RecordError::Endless(ends));
    assert_eq!(record::cooldown(value, 0), endless);
}

#[test]
fn what_a_daemon_says_of_itself_counts_for_as_long_as_it_runs() {
    let of = |lease| KeyValue {
        lease,
        ..kv("ns/rc/standing/a", encode(&standing("idle", "a", "m1")))
    };
    assert!(record::alive::<Standing>(&of(7)).is_ok());
    let copied = record::alive::<Standing>(&of(0));
    assert!(matches!(copied, Err(RecordError::Endless(_))), "{copied:?}");
}

/// A copy of the store has no leases.
#[test]
fn a_pause_without_a_lease_does_not_end_by_itself() {
    let value = br#"{"v":1,"by":"eva","reason":"r","since":"s","until":"u"}"#;
    for (lease, until) in [(7, Some("u")), (0, None)] {
        let pair = KeyValue {
            lease,
            value: value.to_vec(),
            ..KeyValue::default()
        };
        let pause = record::pause(&pair).unwrap();
        assert_eq!(pause.until.as_deref(), until, "{lease}");
    }
}

#[test]
fn a_report_that_hangs_on_no_lease_is_of_nobody_who_is_healthy() {
    let value = br#"{"v":1,"node":"a","node_id":"m1","healthy":true,"since":"then"}"#;
    for (lease, healthy) in [(7, true), (0, false)] {
        let report = KeyValue {
            lease,
            ..kv("ns/rc/alive/a", value.to_vec())
        };
        assert_eq!(super::read::is_healthy(&report), healthy, "{lease}");
    }
}

#[test]
fn a_record_is_read_up_to_the_longest() {
    let long = |length: usize| {
        let mut value = br#"{"v":1,"node":"a","since":"","until":""}"#.to_vec();
        value.resize(length, b' ');
        decode::<Cooldown>(&value)
    };
    assert!(long(65_536).is_ok());
    let why = "it has 65537 bytes, 65536 are allowed".to_owned();
    assert_eq!(long(65_537), Err(RecordError::Malformed(why)));
    assert!(long(65_538).is_err());
}

#[test]
fn an_operators_transaction_changes_what_was_seen_and_else_answers_what_stands_there() {
    let guarded = |key: &str, change: Op| Txn {
        compares: vec![Compare::mod_revision(Span::one(key), 7)],
        success: vec![change],
        failure: vec![Op::Range(Range::of(Span::one(key)))],
    };
    let key = "ns/rc/cooldown";
    let delete = Op::Delete(Delete::of(Span::one(key)));
    assert_eq!(operator::end_cooldown(&keys(), 7), guarded(key, delete));
    let (key, said) = ("ns/rc/line/go-on", word(Some(2)));
    let put = Op::Put(Put::new(key, encode(&said), 0));
    assert_eq!(operator::go_on(&keys(), &said, 7), guarded(key, put));
}

#[test]
fn a_cooldown_is_over_when_it_was_deleted_or_nothing_stands_there() {
    let ended = |succeeded, reads| operator::cooldown_ended(answer(succeeded, reads));
    assert_eq!(ended(true, vec![]), Ok(true));
    assert_eq!(ended(false, vec![vec![]]), Ok(true));
    let stands = kv("ns/rc/cooldown", "{}");
    assert_eq!(ended(false, vec![vec![stands]]), Ok(false));
    assert!(ended(false, vec![]).is_err());
}

#[test]
fn the_line_goes_on_by_the_word_that_was_given_however_much_of_it_is_left() {
    let goes_on = |found: Option<&GoOn>| {
        let pairs = found.map(|word| kv("ns/rc/line/go-on", encode(word)));
        operator::goes_on(answer(false, [pairs.into_iter().collect()]), &word(Some(3)))
    };
    let another = GoOn {
        by: "you".to_owned(),
        ..word(Some(3))
    };
    assert_eq!(operator::goes_on(answer(true, []), &another), Ok(true));
    assert_eq!(goes_on(Some(&word(Some(3)))), Ok(true));
    assert_eq!(goes_on(Some(&word(Some(1)))), Ok(true));
    assert_eq!(goes_on(Some(&another)), Ok(false));
    assert_eq!(goes_on(None), Ok(false));
    let none = Err(Malformed("a txn answered another number of reads"));
    assert_eq!(operator::goes_on(answer(false, []), &another), none);
}

#[test]
fn the_gates_read_claims_as_far_as_they_are_asked_for() {
    let keys = keys();
    let read = |others: Vec<Vec<KeyValue>>| {
        let own = vec![Vec::new(); 7];
        outcome::gate_read(answer(true, [own, others].concat()), &keys).map(|read| {
            let names = read.claims.into_iter().map(|(node, _)| node);
            (names.collect::<Vec<_>>(), read.members.is_some())
        })
    };
    let claims = || {
        let pairs = ["queued", "draining", "rebooting", "verifying", "nonsense"];
        let of = |phase: &str| {
            let value = claim_or_nonsense(phase);
            kv(&format!("ns/rc/claims/{phase}"), value)
        };
        pairs.map(of).to_vec()
    };
    let down = ["draining", "rebooting", "verifying", "nonsense"].map(str::to_owned);
    assert_eq!(read(vec![]), Ok((vec![], false)));
    assert_eq!(read(vec![claims()]), Ok((down.to_vec(), false)));
    let members = vec![vec![], vec![], claims()];
    assert_eq!(read(members), Ok((down.to_vec(), true)));
    // What is no claim and took the place of one, where the answer was cut.
    for (more, displaced) in [(false, 0), (true, 2)] {
        let foreign = ["x/1", "x/2"].map(|below| kv(&format!("ns/rc/claims/{below}"), ""));
        let Reply::Txn(mut txn) = answer(true, vec![Vec::new(); 7]) else {
            unreachable!("it is a txn");
        };
        txn.replies.push(OpReply::Range(RangeReply {
            kvs: [claims(), foreign.to_vec()].concat(),
            more,
            ..RangeReply::default()
        }));
        let read = outcome::gate_read(Reply::Txn(txn), &keys).unwrap();
        assert_eq!(read.displaced, displaced);
    }
    assert!(read(vec![vec![], vec![]]).is_err());
}

fn claim_or_nonsense(phase: &str) -> Vec<u8> {
    match phase {
        "nonsense" => phase.into(),
        _ => claim("a", phase),
    }
}

#[test]
fn the_oldest_claims_are_asked_for_in_the_order_of_the_queue() {
    let txn = request::gate_read(&keys(), "a", Others::Oldest(3));
    let Some(Op::Range(range)) = txn.success.last() else {
        panic!("{txn:?}");
    };
    let oldest = Range {
        limit: 3,
        order: Order::CreateRevision,
        ..Range::of(Span::prefix("ns/rc/claims/"))
    };
    assert_eq!(*range, oldest);
}

/// Below the name there may be another group, and each machine that was refused another name says so there.
#[test]
fn a_member_is_forgotten_with_the_machines_that_were_refused_its_name_and_no_others() {
    let refused = ["a", "b"].map(|node| standing(Standing::REFUSED, node, "m2"));
    let txn = operator::forget(&keys(), "a", &refused);
    let gone = |key: &str| {
        txn.success
            .contains(&Op::Delete(Delete::of(Span::one(key))))
    };
    assert!(gone("ns/rc/standing/a/m2") && gone("ns/rc/nodes/a"));
    assert!(!gone("ns/rc/standing/b/m2"));
}

#[test]
fn a_former_registration_is_gone_when_its_answer_says_so() {
    let text = json!({"v": 1, "node": "a", "node_id": "m", "version": "1", "budget_used": 1});
    let former = vec![(
        4,
        decode::<NodeRecord>(text.to_string().as_bytes()).unwrap(),
    )];
    let nested = |succeeded, reads: Vec<Vec<KeyValue>>| match answer(succeeded, reads) {
        Reply::Txn(txn) => OpReply::Txn(txn),
        other => panic!("{other:?}"),
    };
    let kept = |succeeded, replies| {
        let txn = TxnReply {
            succeeded,
            replies,
            ..TxnReply::default()
        };
        !outcome::refused(&Reply::Txn(txn), former.clone()).is_empty()
    };
    let stands = || vec![vec![kv("ns/rc/nodes/a", text.to_string())]];
    assert!(!kept(true, vec![nested(true, vec![])]));
    assert!(kept(true, vec![nested(false, stands())]));
    assert!(!kept(true, vec![nested(false, vec![vec![]])]));
    assert!(kept(true, vec![]), "nothing is known of it");
    // What was refused as a whole has done nothing.
    assert!(kept(false, vec![nested(true, vec![])]));
}

/// In a long queue the answer would else be all claims, at each joining node.
#[test]
fn who_joins_asks_how_many_there_are_and_not_for_what_they_say() {
    let claim = decode(&claim("a", "queued")).unwrap();
    let txn = request::join(&keys(), &claim, 7, true);
    let counts = |op: &Op| matches!(op, Op::Range(range) if range.count_only);
    assert!(txn.success.last().is_some_and(counts), "{txn:?}");
}

#[test]
fn the_queue_before_a_claim_is_read_past_whatever_lies_in_between() {
    let limit = |foreign| request::recount(&keys(), 9, 4, foreign).limit;
    assert_eq!((limit(0), limit(3)), (5, 8));
    assert_eq!(limit(u32::MAX), i64::from(u32::MAX) + 5);
}

#[test]
fn a_failure_is_marked_once_for_the_claim_that_was_seen() {
    let (key, failed) = ("ns/rc/claims/a", "ns/rc/line/failed/a");
    let older = Compare {
        result: etcd_rs_sync::Is::Less,
        ..Compare::mod_revision(Span::one(failed), 3)
    };
    let marked = Txn {
        compares: vec![
            Compare::create_revision(Span::one(key), 3),
            Compare::mod_revision(Span::one(key), 5),
            older,
        ],
        success: vec![Op::Put(Put::new(failed, encode(&failure()), 0))],
        failure: vec![Op::Range(Range::of(Span::one(key)))],
    };
    let seen = Held {
        create: 3,
        modified: 5,
        claim: decode(&claim("a", "rebooting")).unwrap(),
    };
    assert_eq!(request::mark(&keys(), &seen, &failure()), marked);
}

#[test]
fn with_a_whole_budget_a_registration_ends_a_failure_and_with_a_used_one_it_does_not() {
    for (used, ends) in [(0, true), (1, false)] {
        let text =
            json!({"v": 1, "node": "a", "node_id": "m", "version": "1", "budget_used": used});
        let record: NodeRecord = decode(text.to_string().as_bytes()).unwrap();
        let forget = Op::Delete(Delete::of(Span::one("ns/rc/line/failed/a")));
        let txn = request::register(&keys(), &record, (7, 0));
        assert_eq!(txn.success.contains(&forget), ends, "{used}");
    }
}

/// Not even the right to the keys of waves is needed in a fleet without any.
/// check-etcd asks a server for as many.
#[test]
fn a_commit_has_no_more_guards_than_it_says() {
    let seen = Held {
        create: 3,
        modified: 4,
        claim: decode(&claim("a", "queued")).unwrap(),
    };
    let healthy: Vec<String> = (0..200).map(|node| format!("n{node}")).collect();
    for (members, guards) in [
        (None, request::GUARDS[0]),
        (
            Some((9, healthy)),
            request::GUARDS[1] + request::MOST_REPORTS,
        ),
    ] {
        let judged = request::Judged {
            registration: (4, 0),
            request: 5,
            past_cooldown: false,
            members,
            line: Some((9, Some((8, word(Some(1)))))),
            waves: Some(9),
        };
        let text = json!({"v": 1, "node": "a", "node_id": "m", "version": "1", "budget_used": 1});
        let registration = decode(text.to_string().as_bytes()).unwrap();
        let commit = request::commit(&keys(), &seen, &seen.claim, &registration, judged);
        assert_eq!(commit.compares.len(), guards);
    }
}

#[test]
fn only_a_member_that_is_or_was_below_wave_0_writes_a_key_of_waves() {
    let at = |wave: i32| -> NodeRecord {
        let text = json!({"v": 1, "node": "a", "node_id": "m", "version": "1", "budget_used": 1, "wave": wave});
        decode(text.to_string().as_bytes()).unwrap()
    };
    let touches = |txn: &Txn| {
        let keys = txn.success.iter().map(|op| match op {
            Op::Put(put) => &put.key,
            Op::Delete(delete) => &delete.keys.key,
            other => panic!("{other:?}"),
        });
        keys.filter(|key| *key == b"ns/rc/waves/a").count() == 1
    };
    for (wave, was, either, is) in [
        (-1, 0, true, true),
        (-1, -2, true, true),
        (0, -1, true, false),
        (0, 0, false, false),
        (1, 0, false, false),
    ] {
        let register = request::register(&keys(), &at(wave), (7, was));
        assert_eq!(touches(&register), either, "{wave} {was}");
        let unregister = request::unregister(&keys(), &at(wave), 7, false);
        assert_eq!(touches(&unregister), is, "{wave}");
    }
}

#[test]
fn a_survey_tells_standings_refusals_and_what_is_not_ours_apart() {
    let below = |key: &str, said: &Standing| KeyValue {
        lease: 7,
        ..kv(&format!("ns/rc/{key}"), encode(said))
    };
    let refused = standing(Standing::REFUSED, "b", "m2");
    let idle = standing("idle", "a", "m1");
    let standings = vec![
        below("standing/a", &idle),
        below("standing/b/m2", &refused),
        below("standing/b/m3", &refused),
        below("standing/a/m1", &idle),
    ];
    let report = Report {
        v: 1,
        node: "a".to_owned(),
        node_id: "m1".to_owned(),
        healthy: true,
        reason: None,
        since: "then".to_owned(),
    };
    let alive = KeyValue {
        lease: 7,
        ..kv("ns/rc/alive/a", encode(&report))
    };
    let mut reads = vec![Vec::new(); 10];
    reads[2] = vec![kv("ns/rc/claims/a", claim("a", "queued"))];
    reads[3] = vec![kv("ns/rc/nodes/of/a-tool", "{}")];
    reads[4] = vec![alive];
    reads[6] = standings;
    reads[8] = vec![kv("ns/rc/line/go-on", encode(&word(None)))];
    reads[9] = vec![
        kv("ns/rc/line/failed/a", encode(&failure())),
        kv("ns/rc/line/failed/claims/b", "{}"),
    ];
    let survey = Pages::of(answer(true, reads), &keys()).unwrap().complete();
    assert_eq!(survey.standings, [("a".to_owned(), Ok(idle))]);
    assert_eq!(survey.refused, [refused]);
    let foreign = [
        "line/failed/claims/b",
        "nodes/of/a-tool",
        "standing/b/m3",
        "standing/a/m1",
    ];
    assert_eq!(survey.foreign, foreign.map(|key| format!("ns/rc/{key}")));
    assert_eq!(survey.line.failures[0].failure, Ok(failure()));
    assert_eq!(survey.line.go_on, Some((4, Ok(word(None)))));
    assert_eq!(survey.reports[0].1.since.as_deref(), Some("then"));
    assert_eq!((survey.claims.len(), survey.partial), (1, false));
}
