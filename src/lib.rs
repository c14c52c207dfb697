//! Serialized, policy-compliant reboots across a fleet of Linux machines, coordinated through etcd.

pub mod cli;
pub mod config;
pub mod core;
