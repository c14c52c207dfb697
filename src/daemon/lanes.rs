//! The threads that talk to etcd: one for the machine's requests, one for the keepalive, one for the watch.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use etcd_rs_sync::{
    Client, Error, Etcd, EventKind, Keys, Request, WatchItem, WatchRequest, WatchStop,
};

use super::{Inbox, setup};
use crate::config::Config;
use crate::core::{Input, Ticket, WatchEvent};

/// Stack of a thread that does one small thing. TLS handshakes and JSON parsing stay well below.
pub(super) const STACK: usize = 256 * 1024;

/// The connections of one machine.
pub(super) struct Lanes {
    client: Client,
    main: Sender<(Ticket, Request)>,
    keepalive: Sender<(Ticket, Request)>,
    watching: Option<WatchStop>,
    inbox: Inbox,
}

impl Lanes {
    pub(super) fn start(config: &Config, inbox: Inbox) -> Result<Lanes, String> {
        let text = |error: Error| error.to_string();
        let client = Client::new(setup::options(config)?).map_err(text)?;
        let main = lane(
            "etcd",
            client.fork().map_err(text)?,
            inbox.clone(),
            Input::Etcd,
        )?;
        let keepalive = lane(
            "keepalive",
            client.fork().map_err(text)?,
            inbox.clone(),
            Input::Renewed,
        )?;
        Ok(Lanes {
            client,
            main,
            keepalive,
            watching: None,
            inbox,
        })
    }

    /// Sends a request of the machine; the answer arrives in the inbox.
    pub(super) fn etcd(&self, ticket: Ticket, request: Request) -> Option<Input> {
        hand_over(&self.main, ticket, request, Input::Etcd)
    }

    /// Sends a renewal, on the keepalive's own connection.
    pub(super) fn renew(&self, ticket: Ticket, request: Request) -> Option<Input> {
        hand_over(&self.keepalive, ticket, request, Input::Renewed)
    }

    /// Sends the machine's last word, past everything that may be stuck.
    pub(super) fn farewell(&self, request: Request) -> Option<Input> {
        let inbox = self.inbox.clone();
        let Ok(client) = self.client.fork() else {
            return Some(Input::Farewell);
        };
        let send = move || {
            // The lease runs out by itself when this fails.
            let _ = client.call(&request);
            inbox.send(Input::Farewell);
        };
        let spawned = thread::Builder::new().stack_size(STACK).spawn(send);
        spawned.err().map(|_| Input::Farewell)
    }

    /// Follows other keys than before, or none.
    pub(super) fn watch(&mut self, what: Option<(Ticket, Keys, i64)>) -> Option<Input> {
        if let Some(stop) = self.watching.take() {
            stop.stop();
        }
        let (ticket, keys, start_revision) = what?;
        let request = WatchRequest {
            start_revision,
            ..WatchRequest::new(keys)
        };
        let lost = Some(Input::Watch(ticket, WatchEvent::Lost));
        let Ok(mut watch) = self.client.watch(request) else {
            return lost;
        };
        let stop = watch.stopper();
        let inbox = self.inbox.clone();
        let follow = move || {
            while let Some(item) = watch.next() {
                report(&inbox, ticket, item);
            }
        };
        let spawned = thread::Builder::new()
            .name("watch".to_owned())
            .stack_size(STACK)
            .spawn(follow);
        match spawned {
            Ok(_) => {
                self.watching = Some(stop);
                None
            }
            Err(_) => lost,
        }
    }
}

impl Drop for Lanes {
    fn drop(&mut self) {
        if let Some(stop) = self.watching.take() {
            stop.stop();
        }
    }
}

fn report(inbox: &Inbox, ticket: Ticket, item: Result<WatchItem, Error>) {
    let send = |event| inbox.send(Input::Watch(ticket, event));
    match item {
        Ok(WatchItem::Events(batch)) => {
            for event in batch.events {
                send(match event.kind {
                    EventKind::Delete => WatchEvent::Deleted(event.kv.key),
                    EventKind::Put => {
                        WatchEvent::Written(event.kv.key, event.kv.mod_revision, event.kv.value)
                    }
                });
            }
        }
        Ok(WatchItem::Compacted { .. }) => send(WatchEvent::Lost),
        // The watch goes on by itself where it was and loses nothing.
        Ok(WatchItem::Connected { .. }) => {}
        Err(error) => {
            log::debug!(event = "watch_error"; "the watch is interrupted: {error}");
        }
    }
}

/// A thread that performs one request after the other. It ends when its sender is dropped.
fn lane(
    name: &str,
    client: Client,
    inbox: Inbox,
    answer: fn(Ticket, Result<etcd_rs_sync::Reply, Error>) -> Input,
) -> Result<Sender<(Ticket, Request)>, String> {
    let (sender, requests): (_, Receiver<(Ticket, Request)>) = channel();
    let work = move || {
        for (ticket, request) in requests {
            let result = client.call(&request);
            inbox.send(answer(ticket, result));
        }
    };
    thread::Builder::new()
        .name(name.to_owned())
        .stack_size(STACK)
        .spawn(work)
        .map_err(|error| format!("the {name} thread cannot be started: {error}"))?;
    Ok(sender)
}

fn hand_over(
    lane: &Sender<(Ticket, Request)>,
    ticket: Ticket,
    request: Request,
    answer: fn(Ticket, Result<etcd_rs_sync::Reply, Error>) -> Input,
) -> Option<Input> {
    let handed = lane.send((ticket, request));
    handed.err().map(|_| {
        let detail = "the thread that talks to etcd has ended".to_owned();
        answer(ticket, Err(Error::OutcomeUnknown { detail }))
    })
}
