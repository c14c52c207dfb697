//! The bad kernel: one host comes back with the old one, and the line stands until an operator lets it go on.

use std::time::{Duration, Instant};

use etcd_rs_sync::{Event, EventKind};

use crate::Error;
use crate::show::{Show, Written};

/// What an operator says who knows of it.
const WORD: [&str; 3] = ["go-on", "--reason", "the image is repaired"];

/// How long the line stood, and how many committed meanwhile.
pub(crate) struct Stood {
    pub(crate) lasted: Duration,
    pub(crate) commits: usize,
}

impl Show<'_> {
    /// etcd tells of what is written below `line/`.
    pub(crate) fn line_written(
        &mut self,
        at: Instant,
        what: &str,
        event: &Event,
    ) -> Result<(), Error> {
        if event.kind != EventKind::Put || !self.options.bad_kernel {
            return Ok(());
        }
        let revision = event.kv.mod_revision;
        let written = Written { revision, at };
        if let Some(node) = what.strip_prefix("failed/") {
            self.kernel.failed.get_or_insert(written);
            let detail = "it booted the old kernel: the line stands";
            return self.event(at, node, "FAILED", detail);
        }
        self.kernel.word.get_or_insert(written);
        self.event(
            at,
            "operator",
            "goes on",
            &format!("etcd revision {revision}"),
        )
    }

    /// After a while the demo does what an operator would.
    pub(crate) fn attend_line(&mut self) -> Result<(), Error> {
        let failed = self.kernel.failed.as_ref();
        let stands = failed.is_some_and(|failed| failed.at.elapsed() >= self.options.hold);
        if !stands || self.kernel.asked {
            return Ok(());
        }
        self.kernel.asked = true;
        let text = format!(
            "\nnode-1 is back and healthy and still needs its reboot: it booted the old kernel. Its\n\
             claim is given back and the limit would let others go, but nobody goes: the line stands.\n\
             An operator repairs the image, and lets the others go:\n\n  \
             reboot-coordinator {} {} \"{}\"\n",
            WORD[0], WORD[1], WORD[2]
        );
        self.view.say(&text).map_err(Error::io("cannot write"))?;
        self.fleet.command(&WORD).map(drop)
    }

    /// From the mark to the operator's word, by etcd's revisions; `None` when it did not come to that.
    pub(crate) fn line_stood(&self) -> Option<Stood> {
        let (failed, word) = (self.kernel.failed.as_ref()?, self.kernel.word.as_ref()?);
        let within = failed.revision..word.revision;
        let commits = self.ledger.commits.iter();
        Some(Stood {
            lasted: word.at.saturating_duration_since(failed.at),
            commits: commits
                .filter(|turn| within.contains(&turn.revision))
                .count(),
        })
    }
}
