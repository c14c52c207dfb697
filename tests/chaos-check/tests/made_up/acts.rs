//! What hosts did without the right to.

use crate::story::{Story, accuses, accuses_of_nothing_else};

#[test]
fn an_act_without_a_claim() {
    let mut story = Story::new(1, "a");
    story.need(1.0, "a").stamp(1.5, 1.6).act(2.0, "a");
    accuses_of_nothing_else(
        &mut story,
        "P2: a disrupted itself without a committed claim",
    );
}

#[test]
fn an_act_before_the_commit_or_after_the_claim() {
    let mut story = Story::new(1, "a");
    story
        .need(0.5, "a")
        .claim(1.0, "a", "queued", 1)
        .act(2.0, "a")
        .claim(3.0, "a", "rebooting", 1);
    accuses_of_nothing_else(&mut story, "without a committed claim");
    let mut story = Story::new(1, "a");
    story
        .need(0.5, "a")
        .claim(1.0, "a", "rebooting", 1)
        .gone(2.0, "a")
        .act(3.0, "a");
    accuses_of_nothing_else(&mut story, "without a committed claim");
}

#[test]
fn an_act_during_another_boot_than_that_of_the_claim() {
    let mut story = Story::new(1, "a");
    story
        .need(0.5, "a")
        .claim(1.0, "a", "rebooting", 1)
        .line(2.0, "a drain a-2");
    accuses_of_nothing_else(&mut story, "without a committed claim");
}

#[test]
fn an_act_is_not_accused_within_the_bounds_of_the_clock() {
    // The commit happened after 0.9; nothing says that it was not at 0.95, before the act.
    let mut story = Story::new(1, "a");
    story
        .need(0.5, "a")
        .line(0.95, "a reboot a-1 nothing")
        .claim(1.0, "a", "rebooting", 1);
    assert_eq!(story.accused(), Vec::<String>::new());
    // The claim ended after 2.9; nothing says that it was not after the act.
    let mut story = Story::new(1, "a");
    story.need(0.5, "a").claim(1.0, "a", "rebooting", 1);
    story.line(2.95, "a reboot a-1 fail").gone(3.0, "a");
    assert_eq!(story.accused(), Vec::<String>::new());
    // A stamp whose answer was lost bounds nothing from above.
    let mut story = Story::new(1, "a");
    story.need(0.5, "a").claim(1.0, "a", "rebooting", 1);
    story.acked = None;
    story.revision += 1;
    story.event("/k/claims/a", 0, 0, None);
    story
        .line(3.0, "a reboot a-1 nothing")
        .stamp(2.0, 4.0)
        .stamp(4.0, 4.1);
    assert_eq!(story.accused(), Vec::<String>::new());
}

#[test]
fn a_host_that_goes_down_by_an_earlier_command_after_its_claim_ended() {
    let mut story = Story::new(1, "a,b");
    story.need(0.5, "a").need(0.5, "b");
    story.claim(1.0, "a", "rebooting", 1);
    // Released by a successor that took the reboot for done, though the host had not gone down yet.
    story
        .line(2.0, "a reboot a-1 slow")
        .line(2.5, "a health-good a-1");
    story.gone(3.0, "a").claim(4.0, "b", "rebooting", 1);
    story
        .line(4.5, "b reboot b-1 slow")
        .line(5.0, "a down a-1 asked");
    accuses(
        &mut story,
        "P2: a disrupted itself without a committed claim",
    );
    accuses(&mut story, "P1: 2 hosts are out at 5.00, the limit is 1");
}

#[test]
fn an_act_that_nothing_asked_for() {
    let mut story = Story::new(1, "a");
    story.claim(1.0, "a", "rebooting", 1).act(2.0, "a");
    accuses_of_nothing_else(
        &mut story,
        "P2: a disrupted itself though nothing asked for it",
    );
}

#[test]
fn a_reboot_that_did_not_clear_the_need_is_not_repeated() {
    let mut story = Story::new(1, "a");
    story
        .line(0.1, "run round 1")
        .need(0.5, "a")
        .claim(1.0, "a", "rebooting", 1)
        .act(2.0, "a");
    story
        .line(4.0, "a boot a-2 needed")
        .line(5.0, "a health-good a-2")
        .gone(6.0, "a");
    story
        .claim(7.0, "a", "rebooting", 2)
        .line(8.0, "a reboot a-2 ok");
    accuses_of_nothing_else(&mut story, "P6: a disrupted itself again after its reboot");
    story
        .line(8.1, "a down a-2 asked")
        .line(9.0, "run settled 1");
    accuses(&mut story, "P6: a rebooted 2 times in round 1");
}

#[test]
fn a_claim_that_ends_while_its_host_is_down_or_ill() {
    let mut story = Story::new(1, "a");
    story
        .need(0.5, "a")
        .claim(1.0, "a", "rebooting", 1)
        .act(2.0, "a")
        .gone(3.0, "a")
        .returns(4.0, "a");
    accuses_of_nothing_else(
        &mut story,
        "P3: a's claim ended before the node was back and healthy",
    );
    let mut story = Story::new(1, "a");
    story
        .need(0.5, "a")
        .claim(1.0, "a", "rebooting", 1)
        .act(2.0, "a");
    story
        .line(4.0, "a boot a-2")
        .line(5.0, "a health-bad a-2")
        .gone(6.0, "a");
    accuses_of_nothing_else(&mut story, "P3: a's claim ended before");
    // A script of the boot before that lingers on proves nothing.
    let mut story = Story::new(1, "a");
    story
        .need(0.5, "a")
        .claim(1.0, "a", "rebooting", 1)
        .act(2.0, "a");
    story.line(2.2, "a health-good a-1").gone(6.0, "a");
    accuses_of_nothing_else(&mut story, "P3: a's claim ended before");
}

#[test]
fn a_drain_that_is_called_off_needs_a_proof_of_health_and_a_failed_command_does_not() {
    let mut story = Story::new(1, "a");
    story
        .need(0.5, "a")
        .claim(1.0, "a", "draining", 1)
        .line(2.0, "a drain a-1")
        .gone(3.0, "a");
    accuses_of_nothing_else(&mut story, "P3: a's claim ended before");
    let mut story = Story::new(1, "a");
    story
        .need(0.5, "a")
        .claim(1.0, "a", "draining", 1)
        .line(2.0, "a drain a-1");
    story
        .line(2.1, "a undrain a-1")
        .line(2.2, "a health-good a-1")
        .gone(3.0, "a");
    assert_eq!(story.accused(), Vec::<String>::new());
    let mut story = Story::new(1, "a");
    story
        .need(0.5, "a")
        .claim(1.0, "a", "rebooting", 1)
        .line(2.0, "a reboot a-1 fail")
        .gone(3.0, "a");
    assert_eq!(story.accused(), Vec::<String>::new());
}

#[test]
fn a_release_that_was_on_its_way_when_its_host_lost_power_is_proved_by_what_came_before() {
    for (healthy, lost, accused) in [
        ("good", 2.9, false),
        ("bad", 2.9, true),
        ("good", 1.0, true),
    ] {
        let mut story = Story::new(1, "a");
        story
            .need(0.1, "a")
            .claim(0.2, "a", "draining", 1)
            .line(0.6, "a drain a-1")
            .line(0.7, "a undrain a-1")
            .line(0.8, &format!("a health-{healthy} a-1"))
            .line(lost, "a down a-1 lost-power")
            .gone(3.0, "a");
        let what = story.accused();
        assert_eq!(
            what.iter().any(|it| it.starts_with("P3")),
            accused,
            "{lost} {what:?}"
        );
    }
}

#[test]
fn a_drain_of_the_next_attempt_is_not_charged_to_the_claim_before() {
    // Of the first claim nothing says that it did not end as late as 4.0, though its successor may be as early as 2.9.
    let called_off = |proof: bool| {
        let mut story = Story::new(1, "a");
        story.need(0.5, "a").claim(1.0, "a", "draining", 1);
        story
            .line(2.0, "a drain a-1")
            .line(2.2, "a undrain a-1")
            .line(
                2.3,
                if proof {
                    "a health-good a-1"
                } else {
                    "a health-bad a-1"
                },
            );
        story.stamp(2.9, 4.0);
        story.revision += 1;
        story.event("/k/claims/a", 0, 0, None);
        story.revision += 1;
        let create = story.revision;
        let claim = "{\"phase\":\"draining\",\"boot_id\":\"a-1\",\"attempts\":1}";
        story.event("/k/claims/a", create, 0, Some(claim));
        story
            .line(3.0, "a drain a-1")
            .stamp(3.5, 4.0)
            .stamp(4.0, 4.0)
            .line(4.1, "a undrain a-1")
            .line(4.2, "a health-good a-1")
            .gone(5.0, "a");
        story
    };
    assert_eq!(called_off(true).accused(), Vec::<String>::new());
    accuses_of_nothing_else(&mut called_off(false), "P3: a's claim ended before");
}
