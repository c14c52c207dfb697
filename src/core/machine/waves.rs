//! The gate of the waves: whom this node looks at, and whether it may go.

use super::Machine;
use crate::core::Refusal;
use crate::core::settings::Mode;
use crate::core::wave::{self, NOT_LOOKED};
use crate::lock::waves::{Look, Seen};

/// For how many of its own `check_interval_sec` a node waits after it came to require a reboot, so that those before it have
/// looked, too: what asks for a reboot often comes to all at once.
const LOOKS: u32 = 2;

impl Machine {
    /// Whether what a look found leaves the question open; then the next look is another one. Who was found to go first is asked
    /// alone the next time: only when he holds nobody up any more is there a reason to look at all the others again.
    pub(super) fn must_look_further(&mut self, seen: &Seen) -> bool {
        let (own, node) = (self.settings.wave, &self.settings.node);
        let (further, next) = match (wave::judge(own, node, &seen.members), &self.judging.look) {
            (Err(first), Look::Everybody) => (false, Look::Named(vec![first.node])),
            (Ok(()), Look::Everybody) if own <= 0 => (false, Look::default()),
            (Err(_), Look::Named(_)) | (Ok(()), Look::Everybody) => return false,
            (Ok(()), Look::Named(_)) if own > 0 => (true, Look::Everybody),
            (Ok(()), Look::Named(asked)) => {
                let below = || seen.below.iter().filter(|below| *below != node);
                if below().all(|below| asked.contains(below)) {
                    return false;
                }
                (true, Look::at(below().cloned().collect()))
            }
        };
        self.judging.look = next;
        further
    }

    /// Whether members of lower waves let this node go, by what was seen at this revision.
    pub(super) fn judge_waves(&mut self, revision: i64, seen: &Seen) -> Result<(), Refusal> {
        let (own, node) = (self.settings.wave, &self.settings.node);
        wave::judge(own, node, &seen.members).map_err(|first| Refusal::Wave(first.why))?;
        let after = wave::is_after(own, node, &seen.members);
        self.judging.waves = (own > 0 || after).then_some(revision);
        let known = (self.shown.required.as_ref()).map_or(self.now.mono, |(_, at)| *at);
        let looked = known + self.settings.check_interval * LOOKS;
        if after && self.settings.mode == Mode::Daemon && self.now.mono < looked {
            return Err(Refusal::Wave(format!(
                "{NOT_LOOKED}, but this node came to require one less than {LOOKS} of its \
                 check_interval_sec ago, and they may not have looked since"
            )));
        }
        Ok(())
    }
}
