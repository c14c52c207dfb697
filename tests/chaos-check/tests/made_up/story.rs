//! The two records of a made-up run, and what the judge is to say of it.

use chaos_check::{Verdict, judge};

/// Two records, line by line. Times are seconds; each event of etcd is followed by a stamp of the run's clock, as in a real run.
pub(crate) struct Story {
    pub(crate) history: String,
    pub(crate) ledger: String,
    pub(crate) revision: i64,
    pub(crate) acked: Option<(i64, f64)>,
    pub(crate) creates: std::collections::BTreeMap<String, i64>,
}

impl Story {
    pub(crate) fn new(limit: usize, nodes: &str) -> Story {
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

    pub(crate) fn line(&mut self, at: f64, text: &str) -> &mut Story {
        self.ledger.push_str(&format!("{at:.2} {text}\n"));
        self
    }

    /// A put, or a delete without a value, that took effect between `at` - 0.1 and `at`.
    pub(crate) fn etcd(
        &mut self,
        at: f64,
        key: &str,
        lease: i64,
        value: Option<&str>,
    ) -> &mut Story {
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

    pub(crate) fn stamp(&mut self, sent: f64, answered: f64) -> &mut Story {
        self.revision += 1;
        let acked = self.acked.map_or("null".to_owned(), |(revision, at)| {
            format!("{{\"revision\":{revision},\"at\":{at}}}")
        });
        let value = format!("{{\"sent\":{sent},\"acked\":{acked}}}");
        self.event("/clock", 1, 0, Some(&value));
        self.acked = Some((self.revision, answered));
        self
    }

    pub(crate) fn event(&mut self, key: &str, create: i64, lease: i64, value: Option<&str>) {
        let revision = self.revision;
        let deleted = value.is_none();
        let value = value.unwrap_or_default().replace('"', "\\\"");
        self.history.push_str(&format!(
            "{{\"revision\":{revision},\"key\":\"{key}\",\"deleted\":{deleted},\"create\":{create},\"lease\":{lease},\"value\":\"{value}\"}}\n"
        ));
    }

    pub(crate) fn claim(&mut self, at: f64, node: &str, phase: &str, boot: u32) -> &mut Story {
        let (lease, attempts) = if phase == "queued" { (7, 0) } else { (0, 1) };
        self.leased(at, node, phase, boot, lease, attempts)
    }

    pub(crate) fn leased(
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

    pub(crate) fn gone(&mut self, at: f64, node: &str) -> &mut Story {
        self.etcd(at, &format!("/k/claims/{node}"), 0, None)
    }

    /// Everything from the queue to the release, from boot 1 to boot 2, within 8 seconds.
    pub(crate) fn turn(&mut self, at: f64, node: &str) -> &mut Story {
        self.claim(at, node, "queued", 1)
            .claim(at + 1.0, node, "rebooting", 1)
            .act(at + 2.0, node)
            .returns(at + 5.0, node)
            .gone(at + 8.0, node)
    }

    pub(crate) fn act(&mut self, at: f64, node: &str) -> &mut Story {
        self.line(at, &format!("{node} reboot {node}-1 ok"))
            .line(at + 0.1, &format!("{node} down {node}-1 asked"))
    }

    pub(crate) fn returns(&mut self, at: f64, node: &str) -> &mut Story {
        self.line(at, &format!("{node} boot {node}-2"))
            .line(at + 1.0, &format!("{node} health-good {node}-2"))
    }

    pub(crate) fn need(&mut self, at: f64, node: &str) -> &mut Story {
        self.line(at, &format!("{node} need {node}-1"))
    }

    pub(crate) fn judged(&mut self) -> Verdict {
        judge(&self.history, &self.ledger).expect("a story that can be read")
    }

    pub(crate) fn accused(&mut self) -> Vec<String> {
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
pub(crate) fn accuses(story: &mut Story, expected: &str) {
    let accused = story.accused();
    assert!(
        accused.iter().any(|what| what.contains(expected)),
        "{expected} is not in {accused:#?}"
    );
}

#[track_caller]
pub(crate) fn accuses_of_nothing_else(story: &mut Story, expected: &str) {
    let accused = story.accused();
    let only = accused.iter().all(|what| what.contains(expected));
    assert!(
        only && !accused.is_empty(),
        "not only {expected}: {accused:#?}"
    );
}
