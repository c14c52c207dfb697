//! What operators see of the daemon.

pub mod heartbeat;
pub mod hold_back;
pub mod http;
pub mod log;
pub mod metrics;
pub mod notify;
