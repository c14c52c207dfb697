//! Faults planted into the protocol, to see that the properties notice. Nothing in the program knows of them: they change what
//! passes between a machine and its world.

use etcd_rs_sync::{Error, Reply, Request};
use reboot_coordinator::core::{Input, Machine, Settings};

/// A fault of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// No fault.
    Nothing,
}

impl Planted {
    pub(crate) fn on_settings(self, _settings: &mut Settings, _pid: u64) {}
    pub(crate) fn on_input(self, _input: &mut Input, _machine: &Machine) {}
    pub(crate) fn on_request(self, _request: &mut Request, _machine: &Machine) {}
    pub(crate) fn on_reply(self, _reply: &mut Result<Reply, Error>, _request: &Request) {}
}
