//! Made-up runs: an innocent one, and for each promise one that breaks it. A judge that cannot accuse is worth nothing.

use chaos_check::{Verdict, judge};

/// Two records, line by line. Times are seconds; each event of etcd is followed by a stamp of the run's clock, as in a real run.
struct Story {
    history: String,
    ledger: String,
    revision: i64,
    acked: Option<(i64, f64)>,
    creates: std::collections::BTreeMap<String, i64>,
}

impl Story {
    fn new(limit: usize, nodes: &str) -> Story {
        Story {
            history: String::new(),
            ledger: format!(
                "0.00 run setup limit={limit} nodes={nodes} lock_key=/k clock_key=/clock\n"
            ),
            revision: 0,
            acked: None,
            creates: std::collections::BTreeMap::new(),
        }
    }

    fn line(&mut self, at: f64, text: &str) -> &mut Story {
        self.ledger.push_str(&format!("{at:.2} {text}\n"));
        self
    }

    /// A put, or a delete without a value, that took effect between `at` - 0.1 and `at`.
    fn etcd(&mut self, at: f64, key: &str, lease: i64, value: Option<&str>) -> &mut Story {
        self.stamp(at - 0.1, at - 0.1);
        self.revision += 1;
        let create = *self.creates.entry(key.to_owned()).or_insert(self.revision);
        if value.is_none() {
            self.creates.remove(key);
        }
        self.event(key, if value.is_some() { create } else { 0 }, lease, value);
        self.stamp(at, at);
        self.stamp(at, at)
    }

    fn stamp(&mut self, sent: f64, answered: f64) -> &mut Story {
        self.revision += 1;
        let acked = self.acked.map_or("null".to_owned(), |(revision, at)| {
            format!("{{\"revision\":{revision},\"at\":{at}}}")
        });
        let value = format!("{{\"sent\":{sent},\"acked\":{acked}}}");
        self.event("/clock", 1, 0, Some(&value));
        self.acked = Some((self.revision, answered));
        self
    }

    fn event(&mut self, key: &str, create: i64, lease: i64, value: Option<&str>) {
        let revision = self.revision;
        let deleted = value.is_none();
        let value = value.unwrap_or_default().replace('"', "\\\"");
        self.history.push_str(&format!(
            "{{\"revision\":{revision},\"key\":\"{key}\",\"deleted\":{deleted},\"create\":{create},\"lease\":{lease},\"value\":\"{value}\"}}\n"
        ));
    }

    fn claim(&mut self, at: f64, node: &str, phase: &str, boot: u32) -> &mut Story {
        let (lease, attempts) = if phase == "queued" { (7, 0) } else { (0, 1) };
        self.leased(at, node, phase, boot, lease, attempts)
    }

    fn leased(
        &mut self,
        at: f64,
        node: &str,
        phase: &str,
        boot: u32,
        lease: i64,
        attempts: u32,
    ) -> &mut Story {
        let value = format!(
            "{{\"phase\":\"{phase}\",\"boot_id\":\"{node}-{boot}\",\"attempts\":{attempts}}}"
        );
        self.etcd(at, &format!("/k/claims/{node}"), lease, Some(&value))
    }

    fn gone(&mut self, at: f64, node: &str) -> &mut Story {
        self.etcd(at, &format!("/k/claims/{node}"), 0, None)
    }

    /// Everything from the queue to the release, from boot 1 to boot 2, within 8 seconds.
    fn turn(&mut self, at: f64, node: &str) -> &mut Story {
        self.claim(at, node, "queued", 1)
            .claim(at + 1.0, node, "rebooting", 1)
            .act(at + 2.0, node)
            .returns(at + 5.0, node)
            .gone(at + 8.0, node)
    }

    fn act(&mut self, at: f64, node: &str) -> &mut Story {
        self.line(at, &format!("{node} reboot {node}-1 ok"))
            .line(at + 0.1, &format!("{node} down {node}-1 asked"))
    }

    fn returns(&mut self, at: f64, node: &str) -> &mut Story {
        self.line(at, &format!("{node} boot {node}-2"))
            .line(at + 1.0, &format!("{node} health-good {node}-2"))
    }

    fn need(&mut self, at: f64, node: &str) -> &mut Story {
        self.line(at, &format!("{node} need {node}-1"))
    }

    fn judged(&mut self) -> Verdict {
        judge(&self.history, &self.ledger).expect("a story that can be read")
    }

    fn accused(&mut self) -> Vec<String> {
        let violations = self.judged().violations;
        assert!(
            violations
                .iter()
                .all(|violation| !violation.evidence.is_empty())
        );
        violations
            .iter()
            .map(|v| format!("{}: {}", v.promise, v.what))
            .collect()
    }
}

#[track_caller]
fn accuses(story: &mut Story, expected: &str) {
    let accused = story.accused();
    assert!(
        accused.iter().any(|what| what.contains(expected)),
        "{expected} is not in {accused:#?}"
    );
}

#[track_caller]
fn accuses_of_nothing_else(story: &mut Story, expected: &str) {
    let accused = story.accused();
    let only = accused.iter().all(|what| what.contains(expected));
    assert!(
        only && !accused.is_empty(),
        "not only {expected}: {accused:#?}"
    );
}

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
    let verdict = judge(&story.history, &story.ledger).unwrap();
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
    let verdict = judge(&story.history, &story.ledger).unwrap();
    assert!(verdict.violations.is_empty(), "{:?}", verdict.violations);
}
