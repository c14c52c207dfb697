//! What a node does in a single situation, step by step: one answer of etcd, one end of a script, one moment of time.

#![allow(clippy::unwrap_used)] // all of it is test code, also outside of the test functions

mod back;
mod commit;
mod cut_off;
mod domains;
mod doubled;
mod gates;
mod identity;
mod kept_out;
mod lease;
mod line;
mod members;
mod names;
mod patience;
mod queue;
mod reload;
mod renamed;
mod report_lease;
mod reports;
mod requests;
mod said;
mod start;
mod stop;
mod urgent;
mod waves;
