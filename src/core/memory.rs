//! What a host remembers of itself, beside etcd: which machine it is when two share name and machine id, and what it began.

use serde::{Deserialize, Deserializer, Serialize};

/// How many boots are remembered.
const BOOTS: usize = 16;

/// What a host remembers. A host without one knows nothing of its past.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Boots in which it used etcd, oldest first.
    #[serde(default)]
    pub boots: Vec<String>,
    /// The cluster, and its revision when it was asked first in the last of these boots.
    pub since: Option<(u64, i64)>,
    /// The boot in which it committed last.
    pub committed: Option<String>,
    /// Whether what followed that commit has not been undone.
    #[serde(default)]
    pub begun: bool,
    /// Whether a hook that undoes the drain was configured when it was allowed: the file may name none any more.
    #[serde(default)]
    pub undoes: bool,
    /// The claim, by its create revision, and how many of its commits count no more: somebody may have mended what kept the host up.
    #[serde(default)]
    pub tries_from: Option<(i64, u32)>,
    /// What passes of `--once` have called off since the last reboot, or since none was required.
    #[serde(default, deserialize_with = "or_none")]
    pub called_off: Option<CalledOff>,
}

/// What cannot be read of it costs a pause, and not what tells machines apart.
fn or_none<'de, D: Deserializer<'de>>(from: D) -> Result<Option<CalledOff>, D::Error> {
    let value = serde_json::Value::deserialize(from)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
}

/// Attempts that were called off one after the other. A daemon knows of its own and tries again when it is restarted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CalledOff {
    /// How many.
    pub times: u32,
    /// The next is not made before this, RFC 3339, by this host's clock.
    pub until: String,
    /// Why, and when it is tried again.
    pub why: String,
    /// Mod revision of the request that stood then, 0 for none. Another one is worth a try.
    pub request: i64,
}

impl Memory {
    /// etcd answered in this boot, at this revision. A revision before the one that is known is another history of the store.
    pub(super) fn asked(&mut self, boot: &str, cluster: u64, revision: i64) {
        if self.boots.last().is_none_or(|last| last != boot) {
            self.boots.push(boot.to_owned());
            self.since = None;
            // What kept the host from rebooting did not.
            self.called_off = None;
            let surplus = self.boots.len().saturating_sub(BOOTS);
            self.boots.drain(..surplus);
        }
        match self.since {
            Some((known, since)) if known == cluster && since <= revision => {}
            _ => self.since = Some((cluster, revision)),
        }
    }

    /// Why a committed claim of `boot`, which is not the present one, is another machine's; `None` when nothing shows that.
    pub(super) fn is_not_ours(&self, boot: &str, created: i64) -> Option<&'static str> {
        let (_, before) = self.boots.split_last()?;
        // A join has its answer before a commit is sent, so no earlier boot can have made a claim since. That counts for boots
        // that are known, too: a copy may have what it knows from the machine that it was copied from.
        if self.since.is_some_and(|(_, since)| created > since) {
            return Some("it was made after this boot of this machine began to use etcd");
        }
        if before.iter().any(|known| known == boot) || self.committed.as_deref() == Some(boot) {
            return None;
        }
        (!before.is_empty()).then_some("this machine remembers its boots, and that is none of them")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_says_of_attempts_may_be_anything_and_ends_with_the_boot() {
        let read = |called_off: &str| {
            let text = format!(r#"{{"boots": ["b1"], "begun": true, "called_off": {called_off}}}"#);
            serde_json::from_str::<Memory>(&text).unwrap()
        };
        let whole = r#"{"times": 2, "until": "later", "why": "odd", "request": 0}"#;
        let mut memory = read(whole);
        assert_eq!(memory.called_off.as_ref().map(|off| off.times), Some(2));
        memory.asked("b1", 7, 100);
        assert!(memory.called_off.is_some());
        memory.asked("b2", 7, 100);
        assert_eq!(memory.called_off, None);
        for odd in [
            r#"{"times": -1}"#,
            r#"{"times": 1, "until": 5}"#,
            "7",
            "[]",
            r#""x""#,
            "null",
        ] {
            let memory = read(odd);
            assert_eq!(memory.called_off, None, "{odd}");
            assert!(memory.begun && memory.boots == ["b1"], "{odd}");
        }
    }

    #[test]
    fn a_claim_is_ours_by_its_boot_and_another_machines_by_its_boot_or_its_age() {
        let mut memory = Memory::default();
        assert_eq!(memory.is_not_ours("x", 9), None, "nothing is known yet");
        memory.asked("b1", 7, 100);
        memory.asked("b1", 7, 200);
        assert_eq!(memory.since, Some((7, 100)));
        assert_eq!(memory.is_not_ours("x", 100), None);
        assert!(memory.is_not_ours("x", 101).is_some());
        memory.asked("b1", 7, 50);
        assert_eq!(memory.since, Some((7, 50)), "the store was restored");
        memory.asked("b1", 8, 300);
        assert_eq!(memory.since, Some((8, 300)), "another cluster");
        memory.asked("b2", 8, 310);
        assert_eq!(memory.is_not_ours("b1", 1), None);
        assert!(memory.is_not_ours("b1", 311).is_some(), "a copied memory");
        assert!(memory.is_not_ours("x", 1).is_some());
        memory.committed = Some("b1".to_owned());
        for boot in 3..40 {
            memory.asked(&format!("b{boot}"), 8, 310);
        }
        assert_eq!(memory.boots.len(), BOOTS);
        assert_eq!(memory.is_not_ours("b1", 1), None, "however often it boots");
        assert!(memory.is_not_ours("b2", 1).is_some());
    }
}
