//! Made-up runs: an innocent one, and for each promise one that breaks it. A judge that cannot accuse is worth nothing.

mod acts;
mod claims;
mod rounds;
mod story;

use chaos_check::judge;

use crate::story::Story;

#[test]
fn an_innocent_run_is_not_accused_and_its_figures_are_right() {
    let mut story = Story::new(1, "a,b");
    story.line(1.0, "run round 1").need(1.0, "a").need(1.0, "b");
    story
        .line(1.5, "run fault 1 daemon-killed a both-ways")
        .line(2.0, "run fault-end 1");
    story.turn(3.0, "a").turn(12.0, "b");
    story
        .line(22.0, "run calm 1")
        .line(23.0, "run settled 1")
        .line(24.0, "run end");
    let verdict = story.judged();
    assert_eq!(verdict.violations, []);
    let figures = verdict.figures;
    assert_eq!(
        (
            figures.rounds,
            figures.reboots,
            figures.commits,
            figures.power_losses
        ),
        (1, 2, 2, 0)
    );
    assert_eq!((figures.most_committed, figures.most_out), (1, 1));
    assert_eq!(figures.faults["daemon-killed"], 1);
    // From a's health at 9.0 to b's reboot command at 14.0.
    assert_eq!(figures.longest_stall, (5.0, 14.0));
}

#[test]
fn records_that_cannot_be_read_are_not_judged() {
    let read = |history: &str, ledger: &str| judge(history, ledger).err();
    let setup = "0.00 run setup limit=1 nodes=a lock_key=/k clock_key=/clock\n";
    assert_eq!(read("", setup), None);
    assert!(read("", "").is_some());
    assert!(read("", &format!("{setup}1.00 a dances a-1\n")).is_some());
    assert!(read("{}", setup).is_some());
    let mut story = Story::new(1, "a");
    story.stamp(1.0, 1.0).stamp(2.0, 2.0);
    let backwards: Vec<&str> = story.history.lines().rev().collect();
    assert!(read(&backwards.join("\n"), setup).is_some());
}
