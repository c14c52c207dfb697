//! What happens to which requests.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::HttpRequest;
use super::lock;
use crate::Odd;

/// What happens to a request.
#[derive(Clone, Debug)]
pub enum Action {
    /// It is passed on, and so is its reply.
    Forward,
    /// It is passed on. When the reply comes, the connection is cut instead: the reply of a write that took effect is lost.
    CutReply,
    /// The connection is cut; etcd never sees the request.
    CutRequest,
    /// Nobody sees the request, and the client waits.
    Swallow,
    /// It is passed on after this time, even when the client has given up by then.
    Hold(Duration),
    /// It is passed on when the gate opens, even when the client has given up by then.
    HoldUntil(Gate),
    /// It is passed on twice, one after the other, and the second reply is the one that comes back. Not for watches.
    Double,
    /// It is passed on with this text of its body replaced, everywhere, by the other.
    Rewrite(String, String),
    /// It is not passed on; the client gets the head of a streamed reply, these lines, and then white space, for ever.
    Drip(String),
    /// It is not passed on; the client gets these bytes, a whole HTTP reply, and the connection is closed.
    Answer(Vec<u8>),
    /// It is passed on, and the client gets these bytes in place of the reply.
    AnswerAfter(Vec<u8>),
    /// It is not passed on; whatever answers is no etcd.
    Odd(Odd),
}

/// Which requests an [`Action`] is for. The first rule that matches counts; without one a request is forwarded.
pub struct Rule {
    /// Whether the rule is for a request.
    pub matches: Box<dyn Fn(&HttpRequest) -> bool + Send>,
    /// What happens to it.
    pub action: Action,
    /// How often; `None` for always.
    pub times: Option<u32>,
}

impl Rule {
    /// For every request whose path or body contains `text`.
    pub fn on(text: &str, action: Action) -> Rule {
        let text = text.to_owned();
        Rule {
            matches: Box::new(move |request| request.contains(&text)),
            action,
            times: None,
        }
    }

    /// Only for the first `times` of them.
    pub fn times(mut self, times: u32) -> Rule {
        self.times = Some(times);
        self
    }
}

/// Something that a test opens once.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    /// A closed gate.
    pub fn new() -> Gate {
        Gate::default()
    }

    /// Opens it for good.
    pub fn open(&self) {
        *lock(&self.0.0) = true;
        self.0.1.notify_all();
    }

    pub(super) fn wait(&self) {
        let mut open = lock(&self.0.0);
        while !*open {
            open = self.0.1.wait(open).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
