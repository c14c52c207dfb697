//! What operators see of the daemon.

pub mod hold_back;
pub mod log;
