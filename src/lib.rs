//! Serialized, policy-compliant reboots across a fleet of Linux machines, coordinated through etcd.
//!
//! ```text
//!              ┌───────────────────────────── daemon ─────────────────────────────┐
//!              │  threads, inbox, performing actions                              │
//!              │        facts, time │                    ▲ actions                │
//!              │                    ▼                    │                        │
//!              │  ┌───────────────────── core ──────────────────────┐             │
//!              │  │ the state machine: gates, queue, commit, reboot, │             │
//!              │  │ verify; windows, budget, backoff                 │             │
//!              │  │        │ questions          ▲ meanings           │             │
//!              │  │        ▼                    │                    │             │
//!              │  │ ┌──────────── lock ─────────────────────┐        │             │
//!              │  │ │ the claim protocol: keys, records,     │        │             │
//!              │  │ │ requests and what their answers mean   │        │             │
//!              │  │ └────────────────────────────────────────┘        │             │
//!              │  └─────────────────────────────────────────────────┘             │
//!              └───┬──────────┬─────────┬─────────┬──────────┬────────────────────┘
//!                detect     scripts  process     host     etcd-rs-sync
//! ```
//!
//! [`core`] and [`lock`] are pure: no I/O, no thread, no clock, no log. The daemon performs what they ask for; the simulation
//! in the tests is another driver of the same code. `docs/protocol.md` says what is promised and why it holds.
//!
//! Where things are: the command line in [`cli`], the configuration in [`config`], logs and metrics in [`observe`].

#![cfg_attr(not(test), warn(clippy::too_many_lines))]

pub mod cli;
pub mod config;
pub mod core;
pub mod daemon;
pub mod detect;
pub(crate) mod escape;
mod etcd;
#[cfg(any(test, fuzzing))]
#[path = "../tests/fuzz/mod.rs"]
pub mod fuzz;
pub mod host;
mod identity;
pub mod lock;
pub mod observe;
pub mod process;
pub mod scripts;
pub mod status;
pub mod trust;
