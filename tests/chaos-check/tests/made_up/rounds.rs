//! Rounds that do not come to their end.

use crate::story::{Story, accuses, accuses_of_nothing_else};

#[test]
fn a_node_that_does_not_reboot_in_a_round() {
    let mut story = Story::new(1, "a,b");
    story
        .line(0.1, "run round 1")
        .need(0.5, "a")
        .need(0.5, "b")
        .turn(1.0, "a");
    story.line(20.0, "run settled 1");
    accuses_of_nothing_else(&mut story, "P5: b did not reboot in round 1");
    let mut story = Story::new(1, "a");
    story
        .line(0.1, "run round 1")
        .need(0.5, "a")
        .line(1.0, "a down a-1 lost-power")
        .line(2.0, "a boot a-2");
    story.line(20.0, "run settled 1").stamp(20.0, 20.0);
    assert_eq!(story.accused(), Vec::<String>::new());
}

#[test]
fn a_round_that_does_not_end_and_a_claim_that_is_left_over() {
    let mut story = Story::new(1, "a");
    story
        .line(0.1, "run round 1")
        .need(0.5, "a")
        .claim(1.0, "a", "queued", 1);
    story.line(9.0, "run unfinished 1");
    accuses(
        &mut story,
        "P5: round 1 did not end though the faults were over",
    );
    accuses(&mut story, "P5: a did not reboot in round 1");
    let mut story = Story::new(1, "a");
    story.claim(1.0, "a", "queued", 1).line(9.0, "run end");
    accuses_of_nothing_else(&mut story, "P5: a's claim is left over");
}

#[test]
fn a_daemon_that_ends_by_itself() {
    let mut story = Story::new(1, "a");
    story.stamp(1.0, 1.0).line(2.0, "a died a-1 exit-status:-1");
    accuses_of_nothing_else(&mut story, "P5: a daemon ended by itself");
}

#[test]
fn a_stall_is_not_counted_while_a_fault_a_boot_or_a_wait_explains_it() {
    let mut story = Story::new(1, "a,b");
    story.need(1.0, "b").stamp(1.0, 1.0);
    story
        .line(2.0, "run fault 1 host-cut-off b both-ways")
        .line(30.0, "run fault-end 1");
    story
        .line(31.0, "a down a-1 asked")
        .line(50.0, "a boot a-2");
    story
        .line(51.0, "b reboot b-1 nothing")
        .line(70.0, "b reboot b-1 ok");
    assert_eq!(story.judged().figures.longest_stall, (1.0, 2.0));
}
