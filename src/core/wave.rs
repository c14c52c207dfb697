//! Waves: does a member of a lower wave have to reboot first?

use crate::lock::waves::Member;
use crate::lock::{Claim, Phase};

/// What begins the words of who only gives the others the time to look.
pub const NOT_LOOKED: &str = "none of them is known to require a reboot";

/// A member that goes first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct First {
    /// Its wave; the lowest there is when that is not known.
    pub wave: i32,
    /// Who.
    pub node: String,
    /// Why, for people; it is said the same as long as it is so.
    pub why: String,
}

/// Judges whether `node`, which is in `wave`, may go before these members: only when each one of a lower wave says that it is up,
/// and that it requires no reboot, and has no claim. What is not known is no.
///
/// # Errors
/// Who goes first; of several the one with the lowest wave.
pub fn judge(wave: i32, node: &str, members: &[Member]) -> Result<(), First> {
    let others = members.iter().filter(|member| member.node != node);
    let first = others.filter_map(|member| match &member.wave {
        Ok(theirs) if *theirs >= wave => None,
        Ok(theirs) => {
            let name = format!("{} (wave {theirs})", member.node);
            Some((
                *theirs,
                &member.node,
                format!("{name} {}", holds_up(member)?),
            ))
        }
        Err(error) => {
            let why = format!("which wave {} is in is not known: {error}", member.node);
            Some((i32::MIN, &member.node, why))
        }
    });
    match first.min() {
        None => Ok(()),
        Some((wave, node, why)) => Err(First {
            wave,
            node: node.clone(),
            why,
        }),
    }
}

/// Whether there is anybody of a lower wave, or of one that is not known.
pub fn is_after(wave: i32, node: &str, members: &[Member]) -> bool {
    let others = members.iter().filter(|member| member.node != node);
    let mut waves = others.map(|member| member.wave.as_ref());
    waves.any(|theirs| theirs.map_or(true, |theirs| *theirs < wave))
}

/// Why those of later waves wait for it, as what follows its name; `None` when they need not.
fn holds_up(member: &Member) -> Option<String> {
    if let Some(found) = &member.claim {
        return Some(match &found.claim {
            Ok(claim) => at_it(claim),
            Err(error) => format!("has a claim that cannot be read: {error}"),
        });
    }
    let said = match &member.standing {
        None => {
            return Some(
                "says nothing of itself: its host is down, or its daemon does not run".to_owned(),
            );
        }
        Some(Err(error)) => return Some(format!("says what cannot be read: {error}")),
        Some(Ok(said)) => said,
    };
    let held = said.blocked.as_ref().map(|blocked| {
        let (gate, text, since) = (&blocked.gate, &blocked.text, &blocked.since);
        format!("{gate} since {since}: {text}")
    });
    match (&said.required, held) {
        (None, _) if said.state == "idle" => None,
        (Some(required), None) => Some(format!(
            "requires a reboot since {}, and is {}",
            required.since, said.state
        )),
        (Some(required), Some(held)) => Some(format!(
            "requires a reboot since {}, and is held up by its gate {held}",
            required.since
        )),
        (None, None) => Some(format!("is {} since {}", said.state, said.since)),
        (None, Some(held)) => Some(format!(
            "cannot tell whether it requires a reboot; its gate {held}"
        )),
    }
}

fn at_it(claim: &Claim) -> String {
    match claim.phase {
        Phase::Queued => format!("is in the queue since {}", claim.since),
        Phase::Draining | Phase::Rebooting | Phase::Verifying => format!(
            "is {}, committed at {}",
            claim.phase.as_str(),
            claim.committed_at.as_deref().unwrap_or("an unknown time")
        ),
    }
}
