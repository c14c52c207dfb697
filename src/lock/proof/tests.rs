//! Histories written by hand, and which of them break the promise.

use etcd_rs_sync::{Event, EventKind, KeyValue};
use serde_json::{Value, json};

use super::*;

/// What a history in words is made of: revisions, between `;`, of writes, between `,`. Those before `begin` stood already. A claim
/// says what it said before, unless the words that follow its node say otherwise.
#[derive(Default)]
struct Made {
    revision: i64,
    pairs: BTreeMap<String, KeyValue>,
}

impl Made {
    fn write(&mut self, words: &str) -> Event {
        let words: Vec<&str> = words.split_whitespace().collect();
        let (verb, node) = (words[0], words.get(1).copied().unwrap_or_default());
        let (key, value, lease) = match verb {
            "queue" | "commit" | "verify" => {
                let key = format!("/rc/claims/{node}");
                let value = self.claim(&key, verb, words.get(2..).unwrap_or_default());
                let leased = verb == "queue" || words.contains(&"leased");
                (key, Some(value), i64::from(leased))
            }
            "wave" => {
                let wave: i32 = words[2].parse().unwrap();
                let value =
                    json!({"v": 1, "node": node, "node_id": "x", "version": "0", "wave": wave});
                (format!("/rc/nodes/{node}"), Some(value), 0)
            }
            "pause" | "cooldown" => (format!("/rc/{verb}"), Some(json!({"v": 1})), 7),
            "urgent" | "request" => {
                let until = (verb == "urgent").then_some("later");
                let mut value =
                    json!({"v": 1, "node": node, "by": "eva", "reason": "", "since": ""});
                value["urgent_until"] = json!(until);
                let lease = i64::from(!words.contains(&"endless"));
                (format!("/rc/requests/{node}"), Some(value), lease)
            }
            "note" => (format!("/rc/history/{node}"), Some(json!({})), 7),
            "odd" => (format!("/rc/{node}"), Some(json!({"v": 2})), 0),
            "delete" => (format!("/rc/{node}"), None, 0),
            _ => panic!("{verb}"),
        };
        let was = self.pairs.remove(&key);
        let create = was.map_or(self.revision, |was| was.create_revision);
        let mut kv = KeyValue {
            key: key.clone().into_bytes(),
            mod_revision: self.revision,
            ..KeyValue::default()
        };
        let mut kind = EventKind::Delete;
        if let Some(value) = value {
            kind = EventKind::Put;
            (kv.value, kv.create_revision, kv.lease) = (value.to_string().into(), create, lease);
            self.pairs.insert(key, kv.clone());
        }
        let prev_kv = None;
        Event { kind, kv, prev_kv }
    }

    fn claim(&self, key: &str, verb: &str, words: &[&str]) -> Value {
        let was = self.pairs.get(key);
        let was = was.and_then(|was| serde_json::from_slice::<Value>(&was.value).ok());
        let mut claim = was.filter(|was| was["v"] == 1).unwrap_or_else(|| {
            json!({
                "v": 1, "node": "x", "node_id": "x", "boot_id": "b", "session": "s", "limit": 1, "reasons": [], "since": "",
                "attempts": 0, "version": "0", "labels": {}, "limits": {},
            })
        });
        claim["phase"] = json!(match verb {
            "queue" => "queued",
            "commit" => "rebooting",
            _ => "verifying",
        });
        if verb == "commit" && claim["attempts"] == 0 {
            claim["attempts"] = json!(1);
        }
        for word in words {
            match word.split_once('=') {
                Some(("rack", rack)) => claim["labels"]["rack"] = json!(rack),
                Some(("of", limit)) => {
                    claim["limits"]["rack"] = json!(limit.parse::<u32>().unwrap())
                }
                Some(("passed", gate)) => claim["passed"] = json!([gate]),
                Some(("at", time)) => claim["committed_at"] = json!(time),
                Some((field, number)) => claim[field] = json!(number.parse::<u32>().unwrap()),
                None => assert_eq!(*word, "leased"),
            }
        }
        claim
    }
}

fn proof_of(history: &str) -> Proof {
    let mut proof = Proof::new(Keys::new("", "/rc"));
    let mut made = Made {
        revision: 1,
        ..Made::default()
    };
    let mut stood = history.contains("begin");
    for revision in history.trim_end_matches("; ").split(';') {
        if revision.trim() == "begin" {
            made.pairs.values().for_each(|pair| proof.stood(pair));
            proof.begin(made.revision);
            stood = false;
            continue;
        }
        made.revision += 1;
        let events: Vec<Event> = revision.split(',').map(|words| made.write(words)).collect();
        if !stood {
            proof.revision(made.revision, &events);
        }
    }
    proof
}

/// The rules that were broken, and by whom.
fn broken(proof: &Proof) -> Vec<String> {
    let found = proof.told.findings.iter();
    found
        .map(|it| format!("{} {}", it.rule, it.nodes[0]))
        .collect()
}

/// For each rule what breaks it, and what nearly does.
#[rustfmt::skip]
const CASES: &[(&str, &str, &[&str])] = &[
    ("one after the other",
     "queue a; queue b; commit a; verify a; delete claims/a, note a; commit b", &[]),
    ("two at once with a limit of 1",
     "queue a; queue b; commit a; commit b", &["turn b", "limit b"]),
    ("two in one revision",
     "queue a; queue b; commit a, commit b", &["turn b", "limit a"]),
    ("two at once with a limit of 2",
     "queue a limit=2; queue b limit=2; commit b; commit a", &[]),
    ("three at once with a limit of 2, the oldest last",
     "queue a limit=2; queue b limit=2; queue c limit=2; commit c; commit b; commit a", &["turn c", "limit a"]),
    ("limits that differ: the largest holds",
     "queue a; queue b limit=2; commit a; commit b", &[]),
    ("another limit at the second commit: that of the first holds",
     "queue c; queue a limit=2; commit a; commit a limit=1 attempts=2; commit c", &[]),
    ("before its turn, alone",
     "queue a; queue b; commit b", &["turn b"]),
    ("a turn that came when the one before it left",
     "queue a; queue b; delete claims/a; commit b", &[]),
    ("two of a rack",
     "queue a limit=9 rack=r of=1; queue b limit=9 rack=r of=1; commit a; commit b", &["turn b", "domain b"]),
    ("one each of two racks",
     "queue a limit=9 rack=r of=1; queue b limit=9 rack=s of=1; commit a; commit b", &[]),
    ("two of a rack, and the larger limit is 2",
     "queue a limit=9 rack=r of=1; queue b limit=9 rack=r of=2; commit a; commit b", &[]),
    ("two of a rack, of which one heeds no limit",
     "queue a limit=9 rack=r of=1; queue b limit=9 rack=r; commit a; commit b", &[]),
    ("a rack passes one that waits for itself",
     "queue a limit=2 rack=r of=1; queue b limit=2 rack=r of=1; queue c limit=2 rack=s of=1; commit a; commit c", &[]),
    ("in a pause",
     "queue a; pause; commit a", &["pause a"]),
    ("again in a pause",
     "queue a; commit a; pause; commit a attempts=2", &["pause a"]),
    ("another word of what committed before the pause",
     "queue a; commit a; pause; verify a", &[]),
    ("after a pause",
     "queue a; pause; delete pause; commit a", &[]),
    ("in the revision that pauses: its guards were judged before",
     "queue a; commit a, pause", &[]),
    ("in a pause that stood before",
     "pause; queue a; begin; commit a", &["pause a"]),
    ("in a cooldown",
     "queue a; cooldown; commit a", &["cooldown a"]),
    ("after a cooldown",
     "queue a; cooldown; delete cooldown; commit a", &[]),
    ("in a cooldown that an urgent request passes",
     "queue a; urgent a; cooldown; commit a passed=cooldown", &[]),
    ("in a pause, which no urgent request passes",
     "queue a; urgent a; pause; commit a passed=cooldown", &["pause a"]),
    ("in a cooldown, by a request that is not urgent",
     "queue a; request a; cooldown; commit a passed=cooldown", &["cooldown a"]),
    ("in a cooldown, by an urgent request that hangs on no lease",
     "queue a; urgent a endless; cooldown; commit a passed=cooldown", &["cooldown a"]),
    ("in a cooldown, by an urgent request that has ended",
     "queue a; urgent a; delete requests/a; cooldown; commit a passed=cooldown", &["cooldown a"]),
    ("in a cooldown, by one that was made anew and is not urgent",
     "queue a; urgent a; request a; cooldown; commit a passed=cooldown", &["cooldown a"]),
    ("in a cooldown, by the urgent request of another node",
     "queue a; urgent b; cooldown; commit a passed=cooldown", &["cooldown a"]),
    ("in a cooldown, and the claim says nothing of an urgent request",
     "queue a; urgent a; cooldown; commit a passed=window", &["cooldown a"]),
    ("while a lower wave has a claim",
     "wave c -1; wave a 0; queue a limit=2; queue c limit=2; commit a", &["wave a"]),
    ("a lower wave than the one that stood has a claim",
     "wave c 1; wave a 2; queue a limit=2; queue c limit=2; commit a", &["wave a"]),
    ("a lower wave that registered in the revision of the place",
     "wave a 0; queue a limit=2, wave c -1; queue c limit=2; commit a", &[]),
    ("by the wave that the commit itself registers",
     "wave c 1; wave a 1; queue a limit=2; queue c limit=2; commit a, wave a 2", &["wave a"]),
    ("a lower wave without a claim",
     "wave c -1; wave a 0; queue a limit=2; queue c limit=2; delete claims/c; commit a", &[]),
    ("the same wave, and a higher one",
     "wave c 0; wave d 3; wave a 0; queue c limit=3; queue d limit=3; queue a limit=3; commit a", &[]),
    ("a lower wave that registered when the other had its place",
     "wave a 0; queue a limit=2; wave c -1; queue c limit=2; commit a", &[]),
    ("a lower wave that says the same anew",
     "wave c -1; wave a 0; queue a limit=2; wave c -1; queue c limit=2; commit a", &["wave a"]),
    ("a lower wave that was forgotten meanwhile",
     "wave c -1; wave a 0; queue a limit=2; delete nodes/c; wave c -1; queue c limit=2; commit a", &[]),
    ("committed from the start",
     "commit a", &["claim a"]),
    ("committed on a lease, told once",
     "queue a; commit a leased; verify a leased", &["claim a"]),
    ("hung on a lease afterwards",
     "queue a; commit a; verify a leased", &["claim a"]),
    ("back in the queue",
     "queue a; commit a; queue a", &["claim a"]),
    ("a place that another process of the node takes over",
     "queue a limit=2; queue a limit=1; commit a", &[]),
    ("labels that change",
     "queue a rack=r of=1; queue a rack=s", &["claim a"]),
    ("labels of another claim of the node",
     "queue a rack=r of=1; delete claims/a; queue a rack=s", &[]),
    ("what stood before counts, and its turn is not judged",
     "queue a limit=2; queue b limit=2; queue c limit=2; commit c; begin; commit b; commit a", &["limit a"]),
    ("what waited before has its turn judged",
     "queue a; queue b; begin; commit b", &["turn b"]),
    ("too many stood before",
     "queue a; queue b; commit a; commit b; begin", &["limit a"]),
    ("too many of a rack stood before",
     "queue a limit=9 rack=r of=1; queue b limit=9 rack=r of=1; commit a; commit b; begin", &["domain a"]),
    ("a committed claim that is deleted by hand",
     "queue a; commit a; delete claims/a", &["claim a"]),
    ("a committed claim that is deleted, and the history is not what is written with it",
     "queue a; commit a; delete claims/a, wave a 0", &["claim a"]),
    ("a claim that is made anew commits anew",
     "queue a; commit a; delete claims/a, note a; pause; queue a; commit a", &["pause a"]),
    ("by the wave of who is not registered",
     "wave c -1; queue a limit=2; queue c limit=2; commit a", &["wave a"]),
    ("keys that are no claims",
     "queue a; commit x/y; commit pause; commit a", &[]),
];

#[test]
fn each_rule_finds_what_breaks_it_and_not_what_nearly_does() {
    for (name, history, expected) in CASES {
        let proof = proof_of(history);
        assert_eq!(broken(&proof), *expected, "{name}: {:#?}", proof.told);
        let count = expected.len() as u64;
        let unknown = proof.told.unknown.len();
        assert_eq!((proof.told.violations, unknown), (count, 0), "{name}");
    }
}

#[test]
fn a_finding_says_who_and_what() {
    let told = proof_of(
        "wave c -1; wave a 0; queue a limit=9 rack=r of=1; queue c limit=9 rack=r of=1; pause; cooldown; commit a at=1; commit c at=2",
    )
    .told;
    let found = |revision, rule, nodes: [&str; 2], text: &str| Finding {
        revision,
        committed_at: Some(if revision == 8 { "1" } else { "2" }.to_owned()),
        rule,
        nodes: nodes
            .map(str::to_owned)
            .into_iter()
            .filter(|it| !it.is_empty())
            .collect(),
        text: text.to_owned(),
    };
    let expected = [
        found(
            8,
            "wave",
            ["a", "c"],
            "it is in wave 0, and committed while c (wave -1) had a claim",
        ),
        found(
            8,
            "pause",
            ["a", ""],
            "it committed while the cluster was paused, since revision 6",
        ),
        found(
            8,
            "cooldown",
            ["a", ""],
            "it committed while the cluster cooled down, since revision 7",
        ),
        found(
            9,
            "turn",
            ["c", "a"],
            "it committed before its turn, with max_concurrent_reboots 9: rack r is full (1 at a time): a before it",
        ),
    ];
    assert_eq!(told.findings[..4], expected);
    let domain = "2 claims of rack r are committed at once, and the largest limit of rack that one of them says is 1";
    assert_eq!(told.findings[6], found(9, "domain", ["c", "a"], domain));
    assert_eq!((told.events, told.commits, told.most_committed), (8, 2, 2));
    assert_eq!(
        (told.first_commit.as_deref(), told.last_commit.as_deref()),
        (Some("1"), Some("2"))
    );
}

#[test]
fn what_cannot_be_judged_is_said_and_accuses_nobody() {
    // It may have committed at its turn while nobody could read it. For the turn of others it counts, as it does for them.
    let proof = proof_of(
        "queue a; queue b; odd claims/b; commit b; odd claims/a; queue c limit=2; commit c",
    );
    assert_eq!(broken(&proof), ["turn c"]);
    assert_eq!(proof.told.commits, 1);
    let said = &proof.told.unknown;
    let first = "the claim of b at revision 4 cannot be judged: the record has version 2";
    assert!(said.len() == 2 && said[0].starts_with(first), "{said:?}");
    for unknown in [
        "odd claims/a; begin",
        "odd nodes/a",
        "queue b; queue a limit=2; odd claims/a; commit a; commit b",
        // It may have committed under another limit at first, and so may who was there then.
        "queue a; queue b; commit a attempts=2; commit b; begin",
    ] {
        let told = proof_of(unknown).told;
        assert_eq!((told.unknown.len(), told.violations), (1, 0), "{unknown}");
    }
}

#[test]
fn what_is_kept_is_bounded_and_the_rest_counted() {
    let again = (1..=300).map(|number| format!("; commit a attempts={number}"));
    let told = proof_of(&format!("queue a; pause{}", again.collect::<String>())).told;
    assert_eq!((told.findings.len(), told.violations), (100, 300));
    let many = (0..200).map(|number| format!("queue n{number}; "));
    let told = proof_of(&format!(
        "{}commit z; {}",
        many.collect::<String>(),
        "odd claims/y; ".repeat(200)
    ))
    .told;
    assert_eq!(
        (told.findings[1].nodes.len(), told.unknown.len()),
        (100, 100)
    );
}

#[test]
fn what_stands_is_known_by_key_and_revision() {
    let proof = proof_of("wave a 0; cooldown; begin; queue a; delete cooldown; commit a");
    let mut end = BTreeMap::from([(b"/rc/claims/a".to_vec(), 6), (b"/rc/nodes/a".to_vec(), 2)]);
    assert!(proof.leads_to(&end));
    end.insert(b"/rc/nodes/a".to_vec(), 1);
    assert!(!proof.leads_to(&end));
    end.remove(b"/rc/nodes/a".as_slice());
    assert!(!proof.leads_to(&end));
}
