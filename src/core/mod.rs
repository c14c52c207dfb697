//! The decisions. Pure: time and facts come in, actions go out. No I/O, no thread, no clock, no log.
//!
//! [`Machine`] is one node's life. Its driver performs every [`Action`] it asks for and tells it what came of it as an
//! [`Input`]; the daemon is one driver, the simulation another.

pub mod budget;
pub mod facts;
pub mod health_report;
pub mod io;
pub mod line;
pub mod machine;
pub mod memory;
pub mod note;
pub mod policy;
pub mod refusal;
mod rng;
pub mod settings;
#[cfg(test)]
mod tests;
pub(crate) mod text;
pub mod verdict;
pub mod wave;
pub mod windows;

pub use io::{Action, Hook, Input, Now, Reload, Ticket, WatchEvent};
pub use machine::{Commitment, Machine, State, View, judge_detectors};
pub use memory::Memory;
pub use note::Note;
pub use refusal::Refusal;
pub use settings::{Mode, Settings};
pub use verdict::{Verdict, Word};
