//! Says once what does not change.

use std::collections::HashMap;
use std::time::Duration;

/// How often an unchanged outcome is logged again, so that a log of the last hour always has it.
pub const REPEAT_AFTER: Duration = Duration::from_secs(3600);

/// More keys than the daemon has outcomes to report: detectors, gates, phases. Above it everything is forgotten, which
/// costs a repeated line and nothing else.
const KEYS_LIMIT: usize = 1024;

/// Remembers the last outcome logged under each key. Pure; time comes in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HoldBack {
    last: HashMap<String, (String, Duration)>,
    /// When the pass before ended.
    pass_ended: Duration,
}

impl HoldBack {
    /// A pass ended with the outcome under `key`. When that is another one than before, what follows is news, though it was said
    /// before; but not what this pass itself has said.
    pub fn outcome(&mut self, key: &str, changed: bool, now: Duration) {
        let before = std::mem::replace(&mut self.pass_ended, now);
        if changed {
            self.last
                .retain(|known, (_, when)| known == key || *when > before);
        }
    }

    /// Whether to log now: the outcome is not the last one logged under `key`, or that was [`REPEAT_AFTER`] ago.
    ///
    /// `fingerprint` is what makes outcomes the same, without durations and counters. `now` is any clock that never goes
    /// back.
    pub fn should_log(&mut self, key: &str, fingerprint: &str, now: Duration) -> bool {
        let last = self.last.get(key);
        let is_repeated = last.is_some_and(|(said, when)| {
            said == fingerprint && now.saturating_sub(*when) < REPEAT_AFTER
        });
        if is_repeated {
            return false;
        }
        if last.is_none() && self.last.len() >= KEYS_LIMIT {
            self.last.clear();
        }
        self.last.insert(key.into(), (fingerprint.into(), now));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn an_unchanged_outcome_is_logged_once_and_then_every_hour() {
        let mut log = HoldBack::default();
        let logged: Vec<u32> = (0..=180)
            .filter(|minute| log.should_log("detector a", "clear", MINUTE * *minute))
            .collect();
        assert_eq!(logged, [0, 60, 120, 180]);
    }

    #[test]
    fn a_change_is_logged_at_once_and_so_is_the_change_back() {
        let mut log = HoldBack::default();
        assert!(log.should_log("gate", "window", MINUTE));
        assert!(!log.should_log("gate", "window", MINUTE * 2));
        assert!(log.should_log("gate", "health", MINUTE * 2));
        assert!(log.should_log("gate", "window", MINUTE * 2));
        assert!(log.should_log("other gate", "window", MINUTE * 2));
        assert!(!log.should_log("gate", "window", MINUTE * 61));
        assert!(log.should_log("gate", "window", MINUTE * 62));
    }

    #[test]
    fn after_a_change_what_was_said_before_is_said_again() {
        let mut log = HoldBack::default();
        assert!(log.should_log("outcome", "blocked", MINUTE));
        assert!(log.should_log("detector a", "failed", MINUTE));
        log.outcome("outcome", false, MINUTE);
        assert!(!log.should_log("detector a", "failed", MINUTE));
        assert!(log.should_log("detector b", "failed", MINUTE * 2));
        log.outcome("outcome", true, MINUTE * 2);
        assert!(!log.should_log("outcome", "blocked", MINUTE * 2));
        assert!(log.should_log("detector a", "failed", MINUTE * 3));
        // That pass has said it itself.
        assert!(!log.should_log("detector b", "failed", MINUTE * 3));
    }

    #[test]
    fn the_memory_is_bounded() {
        let mut log = HoldBack::default();
        for key in 0..10 * KEYS_LIMIT {
            assert!(log.should_log(&key.to_string(), "", MINUTE));
        }
        assert!(log.last.len() <= KEYS_LIMIT);
    }
}
