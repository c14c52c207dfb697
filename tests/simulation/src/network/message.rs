//! What is on its way between a machine and etcd.

use etcd_rs_sync::{Keys, Request};
use reboot_coordinator::core::Ticket;

use crate::Time;
use crate::host::{Channel, GateLog, Truth};

/// Who sent a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sender {
    Node {
        host: usize,
        pid: u64,
        channel: Channel,
        ticket: Ticket,
    },
    Operator(Operator),
}

/// What an operator does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Pause,
    Resume,
    Release(usize),
    Forget(usize),
    Request,
    Withdraw,
    Urge,
    GoOn,
    Tool,
}

/// A request on its way to the server.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) sender: Sender,
    pub(crate) request: Request,
    pub(crate) sent_at: Time,
    pub(crate) gates: GateLog,
    /// What was true of the host when it was sent.
    pub(crate) truth: Truth,
    /// How long the answer travels; `None` when it never arrives.
    pub(crate) back: Option<Time>,
    pub(crate) garbled: bool,
}

impl Message {
    /// The process that sent it; 0 for an operator.
    pub(crate) fn pid(&self) -> u64 {
        match self.sender {
            Sender::Node { pid, .. } => pid,
            Sender::Operator(_) => 0,
        }
    }
}

/// An open watch.
#[derive(Debug)]
pub(crate) struct Watcher {
    pub(crate) host: usize,
    pub(crate) pid: u64,
    pub(crate) ticket: Ticket,
    pub(crate) keys: Keys,
    /// Answers come in order: none before this.
    pub(crate) last_at: Time,
}
