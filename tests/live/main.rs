//! The real daemon against a real etcd: real processes, real signals, real lost replies.
//!
//! Every test has an etcd and hosts of its own, so they run in parallel and in any order.

#![allow(clippy::unwrap_used)] // all of it is test code, also outside of the test functions

mod attacked;
mod certificates;
mod claim_file;
mod command_line;
mod commands;
mod commit;
mod costs;
mod demo;
mod detectors;
mod domains;
mod doubled;
mod events;
mod gates;
mod hanging;
mod headline;
mod host;
mod hostile;
mod line;
mod metrics;
mod names;
mod pause_race;
mod policies;
mod policy_changes;
mod queue;
mod reload;
mod requests;
mod restored;
mod rights;
mod start;
mod stop;
mod store;
mod upgrade;
mod urgent;
mod waves;
mod worn;
mod zones;
