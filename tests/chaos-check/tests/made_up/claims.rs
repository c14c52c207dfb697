//! Claims that break a promise.

use crate::story::{Story, accuses, accuses_of_nothing_else};

#[test]
fn more_committed_claims_than_the_limit() {
    let mut story = Story::new(1, "a,b");
    story
        .claim(1.0, "a", "rebooting", 1)
        .claim(2.0, "b", "draining", 1);
    accuses(&mut story, "P1: 2 claims are committed at revision");
}

#[test]
fn more_hosts_out_than_the_limit_although_the_claims_are_in_order() {
    let mut story = Story::new(1, "a,b");
    story.need(0.5, "a").need(0.5, "b");
    story
        .claim(1.0, "a", "rebooting", 1)
        .act(2.0, "a")
        .gone(3.0, "a");
    story.claim(4.0, "b", "rebooting", 1).act(5.0, "b");
    accuses(
        &mut story,
        "P3: a's claim ended before the node was back and healthy",
    );
    // And the same with a's claim still there when b's reboot command runs.
    let mut story = Story::new(1, "a,b");
    story.need(0.5, "a").need(0.5, "b");
    story.claim(1.0, "a", "rebooting", 1).act(2.0, "a");
    story.act(3.0, "b").returns(4.0, "a").gone(6.0, "a");
    accuses(&mut story, "P1: 2 hosts are out at 3.00, the limit is 1");
}

#[test]
fn a_commit_with_a_lease() {
    let mut story = Story::new(1, "a");
    story.leased(1.0, "a", "rebooting", 1, 5, 1);
    accuses_of_nothing_else(&mut story, "P1: a committed with a lease");
}

#[test]
fn a_commit_before_its_turn() {
    let mut story = Story::new(1, "a,b");
    story
        .claim(1.0, "a", "queued", 1)
        .claim(2.0, "b", "queued", 1);
    story.claim(3.0, "b", "rebooting", 1);
    accuses_of_nothing_else(
        &mut story,
        "P5: b committed before its turn: 1 older claims",
    );
}

/// Four nodes in two racks, a and c in the first; d goes last. Two at once, of a rack one.
fn racks() -> Story {
    Story::new(2, "a,b,c,d racks=r0,r1,r0,r1 rack_limit=1 waves=0,0,0,1")
}

#[test]
fn a_rack_that_waits_for_itself_lets_the_others_pass() {
    let mut story = racks();
    story
        .need(0.5, "a")
        .need(0.5, "b")
        .claim(1.0, "a", "queued", 1)
        .claim(1.2, "c", "queued", 1)
        .claim(1.4, "b", "queued", 1)
        .claim(2.0, "a", "rebooting", 1)
        .claim(2.2, "b", "rebooting", 1)
        .act(3.0, "a")
        .act(3.5, "b");
    story.returns(5.0, "a").returns(5.0, "b").gone(8.0, "a");
    story.gone(8.2, "b").claim(9.0, "c", "rebooting", 1);
    assert_eq!(story.accused(), Vec::<String>::new());
}

#[test]
fn two_of_a_rack_at_once() {
    let mut story = racks();
    story
        .claim(1.0, "a", "rebooting", 1)
        .claim(2.0, "c", "rebooting", 1);
    accuses(&mut story, "P1: 2 claims of rack r0 are committed");
    let mut story = racks();
    story
        .claim(1.0, "c", "queued", 1)
        .claim(2.0, "a", "queued", 1)
        .claim(3.0, "a", "rebooting", 1);
    accuses_of_nothing_else(
        &mut story,
        "P5: a committed before its turn: 1 older claims, 1 of its rack",
    );
    // The hosts' own words, although the claims are in order.
    let mut story = racks();
    story.need(0.5, "a").need(0.5, "c");
    story.claim(1.0, "a", "rebooting", 1).act(2.0, "a");
    story.act(3.0, "c").returns(4.0, "a").gone(6.0, "a");
    accuses(&mut story, "P1: 2 hosts of rack r0 are out at 3.00");
}

#[test]
fn older_claims_of_several_racks_count_one_for_each() {
    let mut story = Story::new(2, "a,b,c racks=r0,r1,r2 rack_limit=1");
    story
        .claim(1.0, "a", "queued", 1)
        .claim(2.0, "b", "queued", 1)
        .claim(3.0, "c", "queued", 1)
        .claim(4.0, "c", "rebooting", 1);
    accuses_of_nothing_else(
        &mut story,
        "P5: c committed before its turn: 2 older claims, 0 of its rack, and 2 could go at once",
    );
}

#[test]
fn a_commit_before_a_lower_wave() {
    let mut story = racks();
    story.need(0.2, "a").turn(1.0, "a");
    story
        .claim(10.0, "d", "queued", 1)
        .claim(11.0, "a", "queued", 2)
        .claim(12.0, "d", "rebooting", 1);
    accuses_of_nothing_else(
        &mut story,
        "P2: d committed while a, of a lower wave, had a claim",
    );
    // The other way round is in order, and so is one that had no claim yet from which its wave is known.
    let mut story = racks();
    story
        .claim(1.0, "a", "queued", 1)
        .claim(2.0, "d", "rebooting", 1)
        .claim(3.0, "a", "rebooting", 1);
    assert_eq!(story.accused(), Vec::<String>::new());
}

#[test]
fn a_commit_while_the_cluster_is_paused_or_cools_down() {
    for key in ["/k/pause", "/k/cooldown"] {
        let mut story = Story::new(1, "a");
        story
            .etcd(1.0, key, 0, Some("{}"))
            .claim(2.0, "a", "rebooting", 1);
        accuses_of_nothing_else(&mut story, &format!("P2: a committed while {key} stood"));
        let mut story = Story::new(1, "a");
        story.etcd(1.0, key, 0, Some("{}")).etcd(2.0, key, 0, None);
        story
            .claim(3.0, "a", "rebooting", 1)
            .etcd(4.0, key, 0, Some("{}"));
        // A later phase of the same attempt is no commit.
        story.claim(5.0, "a", "verifying", 1);
        assert_eq!(story.accused(), Vec::<String>::new());
    }
}

#[test]
fn a_committed_claim_that_is_queued_again() {
    let mut story = Story::new(1, "a");
    story
        .claim(1.0, "a", "rebooting", 1)
        .claim(2.0, "a", "queued", 1);
    accuses_of_nothing_else(&mut story, "P1: a is back in the queue");
}

/// A machine that is a copy of another one is out beside it, under the one claim that both take for their own; and one that was
/// switched off is out no more, and leaves its claim to an operator.
#[test]
fn a_copy_of_a_machine_that_is_out_beside_it() {
    let claim = |boot: &str| format!(r#"{{"phase":"rebooting","boot_id":"{boot}","attempts":1}}"#);
    let mut story = Story::new(1, "n1");
    story
        .line(0.5, "n1 need b1")
        .line(0.6, "n1copy need c1")
        .etcd(1.0, "/k/claims/n1", 0, Some(&claim("b1")))
        .line(1.2, "n1 reboot b1 ok")
        .line(1.3, "n1 down b1 asked")
        .etcd(2.0, "/k/claims/n1", 0, None)
        .etcd(2.4, "/k/claims/n1", 0, Some(&claim("c1")))
        .line(2.6, "n1copy reboot c1 ok")
        .line(2.7, "n1copy down c1 asked")
        .line(3.0, "n1 boot b2");
    let verdict = story.judged();
    let promises: Vec<&str> = verdict.violations.iter().map(|it| it.promise).collect();
    assert!(promises.contains(&"P3"), "{promises:?}");

    let mut story = Story::new(1, "n1");
    story
        .line(0.6, "n1copy need c1")
        .etcd(1.0, "/k/claims/n1", 0, Some(&claim("c1")))
        .line(1.2, "n1copy reboot c1 ok")
        .line(1.3, "n1copy down c1 asked")
        .line(1.6, "n1copy retired c1")
        .etcd(2.0, "/k/claims/n1", 0, None);
    let verdict = story.judged();
    assert!(verdict.violations.is_empty(), "{:?}", verdict.violations);
}
