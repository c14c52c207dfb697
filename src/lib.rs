//! Serialized, policy-compliant reboots across a fleet of Linux machines, coordinated through etcd.

pub mod cli;
pub mod config;
pub mod core;
pub mod daemon;
pub mod detect;
pub mod health;
pub mod host;
pub mod lock;
pub mod observe;
pub mod process;
