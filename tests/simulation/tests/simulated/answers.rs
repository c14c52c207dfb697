//! What etcd's answers are taken to mean, also answers that no etcd should give: each must be told apart from success.

#![allow(clippy::unwrap_used)] // all of it is test code, also outside of the test functions

use std::time::Duration;

use etcd_rs_sync::{
    Error, GrantReply, Header, KeyValue, OpReply, Put, RangeReply, Reply, Request, TxnReply,
};
use reboot_coordinator::lock::outcome::{self, Commit, Found, Write};
use reboot_coordinator::lock::reboot_requests::{
    Shown, ask, asked, look, note, seen, withdraw, written,
};
use reboot_coordinator::lock::record::{RecordError, decode, encode};
use reboot_coordinator::lock::request::Others;
use reboot_coordinator::lock::survey::{Pages, Said, next_page, survey};
use reboot_coordinator::lock::{
    Claim, Domains, Held, History, Keys, Pause, Phase, RebootRequest, request,
};
use simulation::etcd::FakeEtcd;

fn txn(succeeded: bool, revision: i64, replies: Vec<OpReply>) -> Reply {
    Reply::Txn(TxnReply {
        header: header(revision),
        succeeded,
        replies,
    })
}

fn header(revision: i64) -> Header {
    Header {
        revision,
        ..Header::default()
    }
}

fn nested(succeeded: bool) -> OpReply {
    OpReply::Txn(TxnReply {
        succeeded,
        ..TxnReply::default()
    })
}

fn range(pairs: Vec<KeyValue>) -> OpReply {
    OpReply::Range(RangeReply {
        count: i64::try_from(pairs.len()).unwrap(),
        kvs: pairs,
        ..RangeReply::default()
    })
}

fn claim(phase: Phase, attempts: u32) -> Claim {
    Claim {
        v: 1,
        node: "n".to_owned(),
        node_id: "m".to_owned(),
        boot_id: "b".to_owned(),
        session: "s".to_owned(),
        phase,
        limit: 1,
        domains: Domains::default(),
        reasons: Vec::new(),
        since: String::new(),
        committed_at: None,
        attempts,
        patience_sec: None,
        drain_sec: None,
        passed: Vec::new(),
        target: None,
        version: "0".to_owned(),
    }
}

fn pair(create: i64, modified: i64, claim: &Claim) -> KeyValue {
    KeyValue {
        key: b"/r/claims/n".to_vec(),
        value: encode(claim),
        create_revision: create,
        mod_revision: modified,
        version: 1,
        lease: 0,
    }
}

#[test]
fn the_self_test_is_passed_only_when_every_guard_failed() {
    let parts = |passed: usize| {
        txn(
            false,
            9,
            (0..4).map(|part| nested(part == passed)).collect(),
        )
    };
    assert_eq!(outcome::self_test(parts(4)), Ok(true));
    for passed in 0..4 {
        assert_eq!(outcome::self_test(parts(passed)), Ok(false));
    }
    assert_eq!(outcome::self_test(txn(true, 9, Vec::new())), Ok(false));
    assert!(outcome::self_test(txn(false, 9, vec![nested(false); 3])).is_err());
    assert!(outcome::self_test(txn(false, 9, vec![range(Vec::new()); 4])).is_err());
}

#[test]
fn a_write_without_a_revision_and_a_grant_without_a_ttl_are_no_success() {
    assert_eq!(outcome::write(txn(true, 9, Vec::new())), Ok(Write::Done(9)));
    assert!(outcome::write(txn(true, 0, Vec::new())).is_err());
    assert!(outcome::write(txn(true, -1, Vec::new())).is_err());
    let refused = txn(false, 9, vec![range(Vec::new())]);
    assert_eq!(outcome::write(refused), Ok(Write::Refused(None)));
    let granted = |ttl_sec| {
        let reply = GrantReply {
            ttl_sec,
            ..GrantReply::default()
        };
        outcome::granted(Ok(Reply::Grant(reply)), 5)
    };
    assert!(matches!(granted(60), Ok(60)));
    assert!(granted(0).is_err() && granted(-1).is_err());
    let other = outcome::granted(Ok(Reply::Revoke(header(9))), 5);
    assert!(other.is_err_and(|error| !error.is_definite()));
    assert!(matches!(
        outcome::granted(Err(Error::LeaseExists), 5),
        Ok(5)
    ));
    assert_eq!(outcome::register(txn(true, 9, Vec::new())), Ok(Ok(9)));
    let refused = txn(false, 9, vec![range(Vec::new())]);
    assert_eq!(outcome::register(refused), Ok(Err(None)));
}

#[test]
fn a_claim_is_held_by_the_session_that_wrote_it() {
    let found = Found::of(&pair(3, 5, &claim(Phase::Queued, 0)));
    let held = found.held_by("s").expect("it is its own");
    assert_eq!((held.create, held.modified), (3, 5));
    assert_eq!(found.held_by("other"), None);
}

/// What a fence finds in the place of the claim that a commit was to write.
#[test]
fn a_commit_is_believed_only_when_its_own_claim_stands_where_it_was() {
    let before = Held {
        create: 3,
        modified: 5,
        claim: claim(Phase::Queued, 0),
    };
    let committed = claim(Phase::Draining, 1);
    let sent = Duration::from_secs(7);
    let fence = |pairs| {
        let reply = txn(false, 9, vec![range(pairs)]);
        outcome::fence(reply, &before, &committed, sent).unwrap()
    };
    let Commit::Committed(permit, held) = fence(vec![pair(3, 8, &committed)]) else {
        panic!("the commit stands there");
    };
    assert_eq!((held.modified, permit.since()), (8, sent));
    assert!(
        matches!(fence(vec![pair(3, 8, &before.claim)]), Commit::Moved(held) if held.modified == 8)
    );
    for other in [
        Vec::new(),
        vec![pair(4, 8, &committed)],
        vec![pair(4, 8, &before.claim)],
        vec![pair(3, 8, &claim(Phase::Rebooting, 1))],
    ] {
        assert!(matches!(fence(other), Commit::Lost(_)));
    }
    let fenced = outcome::fence(txn(true, 9, Vec::new()), &before, &committed, sent);
    assert!(matches!(fenced, Ok(Commit::Moved(held)) if held.modified == 9 && held.create == 3));
    let done = txn(true, 9, vec![OpReply::Put(Default::default()); 2]);
    let direct = |reply| outcome::commit(reply, &before, &committed, sent);
    assert!(matches!(direct(done), Ok(Commit::Committed(_, held)) if held.modified == 9));
    // The claim stands as it was seen: something else forbade the commit. Else it is for what stands there to say.
    for (create, modified, stands) in [(3, 5, true), (3, 6, false), (4, 5, false)] {
        let own = range(vec![pair(create, modified, &claim(Phase::Rebooting, 7))]);
        let none = || range(Vec::new());
        let refused = txn(
            false,
            9,
            vec![none(), none(), own, none(), none(), none(), none()],
        );
        let outcome = direct(refused).unwrap();
        assert_eq!(matches!(outcome, Commit::Refused(_)), stands);
        assert_eq!(matches!(outcome, Commit::Lost(Some(_))), !stands);
    }
    for nonsense in [
        txn(true, 5, vec![OpReply::Put(Default::default()); 2]),
        txn(true, 9, vec![OpReply::Put(Default::default())]),
    ] {
        assert!(direct(nonsense).is_err());
    }
}

#[test]
fn a_permit_lasts_two_requests_and_a_look_and_not_a_moment_longer() {
    let before = Held {
        create: 3,
        modified: 5,
        claim: claim(Phase::Queued, 0),
    };
    let committed = claim(Phase::Draining, 1);
    let life = outcome::Permit::life(Duration::from_secs(2));
    assert_eq!(life, Duration::from_secs(9));
    for (now, good) in [(10, true), (19, true), (20, false)] {
        let done = txn(true, 9, vec![OpReply::Put(Default::default()); 2]);
        let sent = Duration::from_secs(10);
        let Ok(Commit::Committed(permit, _)) = outcome::commit(done, &before, &committed, sent)
        else {
            panic!("it is committed");
        };
        assert_eq!(
            permit.redeem(Duration::from_secs(now), life).is_ok(),
            good,
            "{now}"
        );
    }
}

fn keys() -> Keys {
    Keys::new("", "/r")
}

fn put(etcd: &mut FakeEtcd, key: &str, value: impl Into<Vec<u8>>) -> i64 {
    let lease = i64::from(key.starts_with("/r/alive/"));
    let (id, ttl_sec) = (lease, 600);
    drop(etcd.apply(0, &Request::Grant { id, ttl_sec })); // there may be one already
    let put = Put::new(key, value, lease);
    etcd.apply(0, &Request::Put(put)).unwrap();
    etcd.revision()
}

#[test]
fn a_survey_is_read_page_by_page_at_one_revision() {
    let mut etcd = FakeEtcd::default();
    for node in ["b", "a"] {
        let value = encode(&claim(Phase::Queued, 0));
        put(&mut etcd, &format!("/r/claims/{node}"), value);
    }
    for number in 0..1203 {
        put(&mut etcd, &format!("/r/nodes/n{number:04}"), "{}");
    }
    put(
        &mut etcd,
        "/r/alive/a",
        r#"{"v":1,"healthy":true,"since":"t"}"#,
    );
    put(
        &mut etcd,
        "/r/alive/b",
        r#"{"v":1,"healthy":false,"reason":"why"}"#,
    );
    put(&mut etcd, "/r/alive/c", "x");
    let at = etcd.revision();
    let first = etcd.apply(0, &Request::Txn(survey(&keys()))).unwrap();
    let mut pages = Pages::of(first, &keys()).unwrap();
    assert_eq!(pages.so_far(), 505);
    assert!(pages.clone().complete().partial);
    put(&mut etcd, "/r/nodes/late", "{}");
    let mut asked = 0;
    while let Some(missing) = pages.missing() {
        asked += 1;
        let Ok(Reply::Range(page)) = etcd.apply(0, &Request::Range(missing)) else {
            panic!("a range");
        };
        pages.add(page);
    }
    assert_eq!((asked, pages.so_far()), (2, 1208));
    let survey = pages.complete();
    assert!(!survey.partial && survey.revision == at);
    let claims: Vec<&str> = survey
        .claims
        .iter()
        .map(|(node, _)| node.as_str())
        .collect();
    assert_eq!(claims, ["b", "a"], "first come first");
    assert_eq!(
        (survey.nodes.len(), survey.nodes[1202].0.as_str()),
        (1203, "n1202")
    );
    let reports: Vec<(&str, &Said)> = survey
        .reports
        .iter()
        .map(|(node, said)| (node.as_str(), said))
        .collect();
    let well = Said {
        healthy: Some(true),
        reason: None,
        since: Some("t".to_owned()),
    };
    let ill = Said {
        healthy: Some(false),
        reason: Some("why".to_owned()),
        since: None,
    };
    assert_eq!(
        reports,
        [("a", &well), ("b", &ill), ("c", &Said::default())]
    );
    let none = Pages::of(
        FakeEtcd::default()
            .apply(
                0,
                &Request::Txn(reboot_coordinator::lock::survey::survey(&keys())),
            )
            .unwrap(),
        &keys(),
    );
    assert_eq!(none.unwrap().so_far(), 0);
}

#[test]
fn a_survey_tells_of_pause_cooldown_requests_and_the_last_five_attempts() {
    let mut etcd = FakeEtcd::default();
    let pause = Pause {
        v: 1,
        by: "op".to_owned(),
        reason: "bad kernel".to_owned(),
        since: "s".to_owned(),
        until: None,
    };
    put(&mut etcd, "/r/pause", encode(&pause));
    put(&mut etcd, "/r/cooldown", "unreadable, but there");
    put(&mut etcd, "/r/requests/a", r#"{"v":2}"#);
    for number in 1..=7 {
        let entry = History {
            v: 1,
            node: "n".to_owned(),
            outcome: "completed".to_owned(),
            detail: String::new(),
            reasons: Vec::new(),
            since: String::new(),
            committed_at: None,
            ended_at: number.to_string(),
            by: None,
            count: None,
            passed: Vec::new(),
        };
        put(&mut etcd, &format!("/r/history/{number}-n"), encode(&entry));
    }
    let reply = etcd.apply(0, &Request::Txn(survey(&keys()))).unwrap();
    let survey = Pages::of(reply, &keys()).unwrap().complete();
    assert_eq!(survey.pause, Some(Ok(pause)));
    assert!(matches!(survey.cooldown, Some(Err(_))));
    assert_eq!(
        survey.requests,
        [("a".to_owned(), Err(RecordError::Version(2)))]
    );
    let ended: Vec<&str> = survey.recent.iter().map(|e| e.ended_at.as_str()).collect();
    assert_eq!(ended, ["7", "6", "5", "4", "3"]);
}

/// A fleet may be large, and its registrations are not judged.
#[test]
fn the_gates_read_of_other_members_who_they_are_what_they_report_and_their_claims() {
    let mut etcd = FakeEtcd::default();
    for key in ["/r/nodes/a", "/r/alive/a", "/r/claims/a"] {
        put(&mut etcd, key, "value");
    }
    let read = |others| Request::Txn(request::gate_read(&keys(), "n", others));
    let Ok(Reply::Txn(reply)) = etcd.apply(0, &read(Others::Members)) else {
        panic!("a txn");
    };
    let values = reply.replies.iter().filter_map(|reply| match reply {
        OpReply::Range(range) => range.kvs.first().map(|kv| kv.value.as_slice()),
        _ => None,
    });
    let values: Vec<&[u8]> = values.collect();
    assert_eq!(values, [b"".as_slice(), b"value", b"value"]);
    let Ok(Reply::Txn(reply)) = etcd.apply(0, &read(Others::Nobody)) else {
        panic!("a txn");
    };
    assert_eq!(reply.replies.len(), 7);
}

#[test]
fn an_empty_page_ends_the_list_whatever_the_server_says() {
    let mut etcd = FakeEtcd::default();
    for number in 0..501 {
        put(&mut etcd, &format!("/r/nodes/n{number:04}"), "{}");
    }
    let first = etcd.apply(0, &Request::Txn(survey(&keys()))).unwrap();
    let mut pages = Pages::of(first, &keys()).unwrap();
    pages.add(RangeReply {
        more: true,
        ..RangeReply::default()
    });
    assert_eq!(pages.missing(), None);
    assert_eq!(next_page("/r/", &[], 7).keys.key, b"/r/");
}

#[test]
fn a_recount_asks_for_enough_to_know_the_queue_near_its_head() {
    let window = Domains::default().window(3);
    let values = request::recount(&keys(), 9, window, 0);
    assert!(!values.keys_only);
    // Three that may go at once, four more that wait near the head, and the own claim.
    assert_eq!((values.limit, values.max_create_revision), (8, 9));
    // With limits of labels all older claims are asked for, up to a number that does not grow with the queue.
    let domains = Domains {
        limits: [("rack".to_owned(), 1)].into(),
        ..Domains::default()
    };
    let values = request::recount(&keys(), 9, domains.window(3), 0);
    assert_eq!(values.limit, 4 * 3 + 32 + 1);
}

#[test]
fn a_count_that_does_not_begin_with_the_own_claim_says_that_the_place_is_lost() {
    let own = |key: &str, create| KeyValue {
        key: key.into(),
        ..pair(create, create, &claim(Phase::Queued, 0))
    };
    let count = |pairs| {
        let reply = Reply::Range(RangeReply {
            kvs: pairs,
            header: header(9),
            ..RangeReply::default()
        });
        outcome::recount(reply, &keys(), "n", 5)
    };
    let elder = || own("/r/claims/a", 4);
    let ahead = count(vec![own("/r/claims/n", 5), elder()]).unwrap();
    let ahead = ahead.expect("the place stands");
    assert_eq!(
        (ahead.revision, ahead.claims.len(), ahead.more),
        (9, 1, false)
    );
    for lost in [
        vec![],
        vec![own("/r/claims/n", 6), elder()],
        vec![own("/r/claims/b", 5), elder()],
        vec![elder()],
    ] {
        assert_eq!(count(lost), Ok(None));
    }
    for later in [5, 6] {
        let pairs = vec![own("/r/claims/n", 5), own("/r/claims/a", later)];
        assert!(count(pairs).is_err(), "nobody before it came later");
    }
}

#[test]
fn a_record_that_cannot_be_used_says_why_and_what_to_do() {
    let newer = decode::<Claim>(br#"{"v":2}"#).unwrap_err().to_string();
    assert!(newer.contains("version 2") && newer.contains("upgrade this node"));
    let broken = decode::<Claim>(b"{}").unwrap_err().to_string();
    assert!(broken.contains("not readable") && broken.contains("missing field `v`"));
}

#[test]
fn a_request_is_made_once_noted_and_withdrawn_as_it_was_seen() {
    let mut etcd = FakeEtcd::default();
    let mine = RebootRequest {
        v: 1,
        node: "n".to_owned(),
        by: "op".to_owned(),
        reason: "new firmware".to_owned(),
        since: "s".to_owned(),
        boot_id: None,
        urgent_until: None,
    };
    let other = RebootRequest {
        by: "somebody else".to_owned(),
        ..mine.clone()
    };
    let noted = RebootRequest {
        boot_id: Some("b".to_owned()),
        ..mine.clone()
    };
    let mut send = |txn| etcd.apply(0, &Request::Txn(txn)).unwrap();
    assert_eq!(asked(send(ask(&keys(), &mine, 0, 0)), &mine), Ok(Ok(())));
    assert_eq!(
        asked(send(ask(&keys(), &mine, 0, 0)), &mine),
        Ok(Ok(())),
        "a copy"
    );
    assert!(matches!(
        asked(send(ask(&keys(), &other, 0, 0)), &other),
        Ok(Err(Some(_)))
    ));
    assert_eq!(written(send(note(&keys(), "n", &noted, 2))), Ok(Ok(())));
    assert_eq!(
        asked(send(ask(&keys(), &mine, 0, 0)), &mine),
        Ok(Ok(())),
        "noted already"
    );
    let stands = Some((3, Ok(noted)));
    assert_eq!(
        written(send(withdraw(&keys(), "n", 2))),
        Ok(Err(stands.clone()))
    );
    let read = etcd.apply(0, &Request::Txn(look(&keys(), "n"))).unwrap();
    let shown = |revision, report, standing| Shown {
        revision,
        report,
        standing,
    };
    assert_eq!(seen(read), Ok((stands, None, shown(3, 0, 0))));
    assert!(
        seen(Reply::Txn(TxnReply::default())).is_err(),
        "an empty object"
    );
    let gone = etcd
        .apply(0, &Request::Txn(withdraw(&keys(), "n", 3)))
        .unwrap();
    assert_eq!(written(gone), Ok(Ok(())));
    for key in [keys().standing("n"), keys().alive("n")] {
        etcd.apply(0, &Request::Put(Put::new(key, "", 0))).unwrap();
    }
    let read = etcd.apply(0, &Request::Txn(look(&keys(), "n"))).unwrap();
    assert_eq!(seen(read), Ok((None, None, shown(6, 6, 5))));
}
