//! The claim protocol as pure requests and their interpretation.
//!
//! Nothing here does I/O or reads a clock. [`request`] builds what is sent to etcd, [`outcome`] says what an answer means,
//! [`record`] is what the values look like, [`keys`] where they are, [`survey`] one read of all of them; [`operator`] and
//! [`reboot_requests`] are what operators write, [`proof`] what the history of etcd proves. `docs/protocol.md` says why.

mod answer;
mod commit;
mod compare;
pub mod domains;
pub mod keys;
pub mod line;
mod node;
pub mod operator;
pub mod outcome;
pub mod proof;
mod read;
pub mod reboot_requests;
pub mod record;
pub mod request;
pub mod survey;
#[cfg(test)]
mod tests;
pub mod waves;

pub use domains::Domains;
pub use keys::Keys;
pub use line::{Failure, FailureKind, GoOn, Line};
pub use outcome::Permit;
pub use record::{Claim, Cooldown, History, NodeRecord, Pause, Phase, RebootRequest};

/// A claim as it stands in etcd, with the revisions that every later write to it compares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The revision that created the key: the place in the queue.
    pub create: i64,
    /// The revision that last wrote it.
    pub modified: i64,
    /// What it says.
    pub claim: Claim,
}
