//! Deterministic simulation of a fleet: the second driver of the state machine, and the adversary of its protocol.
//!
//! ```text
//!   seed ─ Plan ─┐                    ┌── checks of P1..P6, after every step
//!                ▼                    │
//!   World: hosts with a Machine each ─┼── network with troubles ── FakeEtcd
//!          virtual time, one queue    │
//!                └── faults, operators┘
//! ```
//!
//! Everything comes from the seed: no clock, no thread, no hash order. `scripts/simulate` runs many histories.

// Faults and troubles pick single cases out of wide enums, and leave every other alone: that is what a wildcard says.
#![allow(clippy::wildcard_enum_match_arm)]

pub mod by_hand;
pub mod check;
pub mod coverage;
pub mod crash;
pub mod etcd;
mod goal;
pub mod host;
pub mod late;
pub mod line;
mod names;
mod network;
mod perform;
pub mod plan;
pub mod planted;
pub mod records;
mod reload;
mod requests;
pub mod rng;
pub mod run;
pub mod story;
mod strike;
pub mod world;

pub use plan::Plan;
pub use world::{Outcome, Violation, World};

/// Virtual time in microseconds.
pub type Time = u64;

/// A second of virtual time.
pub const SECOND: Time = 1_000_000;

/// A thousandth of a second.
pub const MILLI: Time = 1_000;
