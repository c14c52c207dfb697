//! What a node says of itself, under a lease that ends with it: whether it is healthy, and where it stands. No commit compares it.

use serde::{Deserialize, Serialize};

use crate::lock::Keys;

/// A member's latest health report, kept alive by a lease. No report means unknown, which is unhealthy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// [`super::RECORD_VERSION`].
    pub v: u32,
    /// Whose.
    pub node: String,
    /// The machine behind the name.
    pub node_id: String,
    /// Whether the health script passed.
    pub healthy: bool,
    /// Why not, for people.
    pub reason: Option<String>,
    /// Since when it has been so, RFC 3339.
    pub since: String,
}

/// What a node says of itself. Written when the state or the reason changes, never for a text, so that a steady fleet writes
/// nothing; no commit compares it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// [`super::RECORD_VERSION`].
    pub v: u32,
    /// Whose.
    pub node: String,
    /// The machine behind the name.
    pub node_id: String,
    /// `idle`, `blocked`, `queued`, `draining`, `rebooting`, `holding`, `verifying`.
    pub state: String,
    /// Since when it is in this state for this reason, RFC 3339, by its own clock.
    pub since: String,
    /// Why a reboot is required, and since when; `None` when none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub required: Option<Required>,
    /// What holds it up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked: Option<Blocked>,
    /// In an attempt: what it is at, and what it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doing: Option<String>,
    /// The last line of what the health script said when it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<String>,
    /// What does not work on its host, though it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hampered: Option<String>,
    /// Left by a pass of `--once` that has ended: true at that moment.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub once: bool,
}

/// A required reboot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Required {
    /// Since when this process knows, RFC 3339, by the node's own clock.
    pub since: String,
    /// The detectors that ask, or what the operator wrote.
    pub by: Vec<String>,
}

/// The first gate that holds a node up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocked {
    /// Which.
    pub gate: String,
    /// The label, as in logs and metrics.
    pub label: String,
    /// Why, for people.
    pub text: String,
    /// Since when, RFC 3339, by the node's own clock.
    pub since: String,
}

impl Standing {
    /// The label of what holds it up.
    pub fn label(&self) -> Option<&str> {
        Some(self.blocked.as_ref()?.label.as_str())
    }

    /// What a machine leaves that was refused its name.
    pub const REFUSED: &str = "refused";

    /// Where it stands.
    pub fn key(&self, keys: &Keys) -> String {
        match self.state.as_str() {
            Standing::REFUSED => keys.refused(&self.node, &self.node_id),
            _ => keys.standing(&self.node),
        }
    }

    /// Whether another standing says the same but for its texts and times.
    pub fn same(&self, other: &Standing) -> bool {
        self.state == other.state
            && self.label() == other.label()
            && self.required.is_some() == other.required.is_some()
            && self.hampered.is_some() == other.hampered.is_some()
            && self.once == other.once
    }
}
