//! What lies between a machine and etcd: delays, losses, duplicates, wrong answers; and the watch.

pub(crate) mod message;
mod watch;

use etcd_rs_sync::{Error, Reply, Request, TxnReply};
use reboot_coordinator::core::{State, Ticket};

use self::message::{Message, Sender};
use crate::host::Channel;
use crate::plan::{TROUBLES, Trouble};
use crate::planted::Planted;
use crate::planted::change::rewrite_others;
use crate::world::{Event, World};
use crate::{MILLI, SECOND, Time};

impl World {
    /// Sends a node's request into the network.
    pub(crate) fn send(
        &mut self,
        host: usize,
        pid: u64,
        channel: Channel,
        ticket: Ticket,
        mut request: Request,
    ) {
        let now = self.now;
        let timeout = self.hosts[host].plan.settings.etcd_timeout;
        let timeout = self.hosts[host].span(timeout);
        let Some(process) = self.hosts[host].process(pid) else {
            return;
        };
        process.open.push((channel, ticket));
        if channel == Channel::Main && matches!(process.machine.state(), State::Committing(_)) {
            process.commit_sent = now;
        }
        let gates = process.gates;
        let truth = self.hosts[host].truth();
        let Some(process) = self.hosts[host].process(pid) else {
            return;
        };
        if let Some(planted) = self.planted {
            planted.on_request(&mut request, &process.machine);
        }
        let sender = Sender::Node {
            host,
            pid,
            channel,
            ticket,
        };
        let message = Message {
            sender,
            request,
            sent_at: now,
            gates,
            truth,
            back: Some(self.latency()),
            garbled: false,
        };
        let there = self.latency();
        if let Some(reply) = self.stale_renewal(host, pid, channel, ticket) {
            return self.answer_later(&message, MILLI, Ok(reply));
        }
        if let Some((actions, copy)) = self.hosts[host].late.take() {
            let until = self.hosts[host].actions + actions;
            let late = Message {
                back: None,
                ..message.clone()
            };
            self.held_back.push((host, until, late));
            if !copy {
                let unknown = self.unknown("no answer in time");
                return self.answer_later(&message, timeout, Err(unknown));
            }
        }
        match self.trouble(host) {
            None if now < self.server_down_until => self.refuse(message, there, timeout),
            None => self.at(now + there, Event::Arrive(Box::new(message))),
            Some(trouble) => self.troubled(trouble, message, there, timeout),
        }
    }

    /// An answer to an earlier renewal, given to a later one when that fault is planted.
    fn stale_renewal(
        &mut self,
        host: usize,
        pid: u64,
        channel: Channel,
        ticket: Ticket,
    ) -> Option<Reply> {
        let process = self.hosts[host].process(pid)?;
        if channel != Channel::Renew {
            return None;
        }
        let reply = process.stale_renewal.take()?;
        process.stale_for = Some(ticket);
        Some(reply)
    }

    /// Answers a node's request, unless it was answered already.
    pub(crate) fn answer(
        &mut self,
        host: usize,
        pid: u64,
        channel: Channel,
        ticket: Ticket,
        result: Result<Reply, Error>,
    ) {
        let now = self.now;
        let Some(process) = self.hosts[host].process(pid) else {
            return;
        };
        if !process.close(channel, ticket) {
            return;
        }
        let result = match (self.planted, channel, result) {
            (Some(Planted::DeadlineFromReceipt), Channel::Renew, Ok(reply))
                if process.stale_for != Some(ticket) =>
            {
                process.stale_renewal = Some(reply);
                Err(Error::NotSent {
                    detail: "forged".to_owned(),
                })
            }
            (_, _, result) => result,
        };
        if result.is_err() {
            process.unanswered = now;
        }
        let input = match channel {
            Channel::Main => reboot_coordinator::core::Input::Etcd(ticket, result),
            Channel::Renew => reboot_coordinator::core::Input::Renewed(ticket, result),
            Channel::Farewell => reboot_coordinator::core::Input::Farewell,
            Channel::Report => reboot_coordinator::core::Input::Reported(ticket, result),
        };
        self.deliver(host, pid, input);
    }

    /// The server performs a request.
    pub(crate) fn arrive(&mut self, message: Message) {
        let now = self.now;
        if now < self.server_down_until {
            return self.time_out(&message);
        }
        self.etcd.no_space = now < self.no_space_until;
        let false_renewal =
            matches!(message.request, Request::KeepAlive { .. }) && now < self.false_renewals_until;
        let result = if false_renewal {
            if let Sender::Node { host, pid, .. } = message.sender
                && let Some(process) = self.hosts[host].process(pid)
            {
                process.lied_to = true;
            }
            Ok(self.false_renewal(&message.request))
        } else {
            self.etcd.apply(now, &message.request)
        };
        if let Request::Grant { id, .. } = &message.request {
            self.watch_lease(*id);
        }
        self.stored(&message);
        self.reply(message, result);
    }

    /// Requests that were held back arrive: those that were to wait for this action of this node, or all.
    pub(crate) fn held_back_arrive(&mut self, now_at: Option<(usize, u64)>) {
        let due = |host: usize, until: u64| {
            now_at.is_none_or(|(node, action)| node == host && action >= until)
        };
        let mut index = 0;
        while index < self.held_back.len() {
            if due(self.held_back[index].0, self.held_back[index].1) {
                let (host, _, message) = self.held_back.remove(index);
                self.tell(|| format!("what n{host} sent long ago arrives"));
                self.arrive(message);
            } else {
                index += 1;
            }
        }
    }

    fn reply(&mut self, message: Message, mut result: Result<Reply, Error>) {
        let Sender::Node {
            host,
            pid,
            channel,
            ticket,
        } = message.sender
        else {
            return;
        };
        let Some(back) = message.back else {
            return;
        };
        if message.garbled {
            if let Some(process) = self.hosts[host].process(pid) {
                process.unanswered = self.now;
            }
            result = Ok(Reply::Txn(TxnReply::default()));
        }
        if let Some(planted) = self.planted {
            planted.on_reply(&mut result);
            self.forge_domains(planted, &mut result);
        }
        self.after(back, Event::Answer(host, pid, channel, ticket, result));
    }

    fn forge_domains(&self, planted: Planted, result: &mut Result<Reply, Error>) {
        if let (Planted::DomainsOfTheConfiguration, Ok(Reply::Range(range))) = (planted, result) {
            rewrite_others(range, |claim, _| {
                let host = self.hosts.iter().map(|host| &host.plan.settings);
                if let Some(settings) = host.into_iter().find(|it| it.node == claim.node) {
                    claim.domains.clone_from(&settings.domains);
                }
            });
        }
    }

    /// Gives up on a request when its time is over.
    fn time_out(&mut self, message: &Message) {
        if let Sender::Node {
            host,
            pid,
            channel,
            ticket,
        } = message.sender
        {
            let timeout = self.hosts[host].plan.settings.etcd_timeout;
            let timeout = self.hosts[host].span(timeout);
            let unknown = self.unknown("no answer in time");
            self.at(
                message.sent_at + timeout,
                Event::Answer(host, pid, channel, ticket, Err(unknown)),
            );
        }
    }

    fn unknown(&self, detail: &str) -> Error {
        Error::OutcomeUnknown {
            detail: detail.to_owned(),
        }
    }

    /// A server that does not run refuses connections, or its machine does not answer at all.
    fn refuse(&mut self, message: Message, there: Time, timeout: Time) {
        if self.rng.chance(1, 2) {
            let detail = "connection refused".to_owned();
            self.answer_later(&message, there, Err(Error::NotSent { detail }));
        } else {
            let detail = self.unknown("no answer in time");
            self.answer_later(&message, timeout, Err(detail));
        }
    }

    fn answer_later(&mut self, message: &Message, pause: Time, result: Result<Reply, Error>) {
        if let Sender::Node {
            host,
            pid,
            channel,
            ticket,
        } = message.sender
        {
            self.after(pause, Event::Answer(host, pid, channel, ticket, result));
        }
    }

    fn trouble(&mut self, host: usize) -> Option<Trouble> {
        let (trouble, permille, until) = self.hosts[host].trouble?;
        if self.now >= until || !self.rng.chance(permille, 1000) {
            return None;
        }
        Some(match trouble {
            Trouble::Any => self.rng.pick(&TROUBLES),
            other => other,
        })
    }

    fn troubled(&mut self, trouble: Trouble, mut message: Message, there: Time, timeout: Time) {
        self.count_trouble(trouble);
        let now = self.now;
        let later = match self.rng.between(0, 2) {
            0 => self.rng.between(1, 120) * SECOND,
            1 => self.rng.between(1, 10) * SECOND,
            _ => self.rng.between(5, 2000) * MILLI,
        };
        let arrive = |at, message| (at, Event::Arrive(Box::new(message)));
        let error: Option<(Time, Error)> = match trouble {
            Trouble::Lost => Some((timeout, self.unknown("no answer in time"))),
            Trouble::Delayed => {
                let delay = self.rng.pick(&[timeout / 2, timeout, later, later]);
                let (at, event) = arrive(now + delay, message.clone());
                self.at(at, event);
                Some((timeout, self.unknown("no answer in time")))
            }
            Trouble::ReplyLost => {
                message.back = None;
                let (at, event) = arrive(now + there, message.clone());
                self.at(at, event);
                Some((timeout, self.unknown("no answer in time")))
            }
            Trouble::ReplyLate => {
                message.back = Some(self.rng.between(0, 2 * timeout));
                let (at, event) = arrive(now + there, message.clone());
                self.at(at, event);
                Some((timeout, self.unknown("no answer in time")))
            }
            Trouble::Twice => {
                let mut copy = message.clone();
                // The answer that comes back is that of either copy.
                match self.rng.chance(1, 2) {
                    true => copy.back = None,
                    false => message.back = None,
                }
                let delay = self.rng.pick(&[there, timeout, later]);
                let (at, event) = arrive(now + there, message.clone());
                self.at(at, event);
                let (at, event) = arrive(now + there + delay, copy);
                self.at(at, event);
                // The client waits for no longer than ever.
                Some((timeout, self.unknown("no answer in time")))
            }
            Trouble::Resent => {
                let share = timeout / 4;
                for attempt in 0..3 {
                    let mut copy = message.clone();
                    if self.rng.chance(1, 3) {
                        copy.back = None;
                    }
                    let slow = self.rng.pick(&[0, 0, share, timeout, later]);
                    let (at, event) = arrive(now + attempt * share + there + slow, copy);
                    self.at(at, event);
                }
                Some((timeout, self.unknown("no answer in time")))
            }
            Trouble::NotSent => Some((
                there,
                Error::NotSent {
                    detail: "connection refused".to_owned(),
                },
            )),
            Trouble::Reset | Trouble::NoLeader => {
                if self.rng.chance(1, 2) {
                    message.back = None;
                    let delay = self.rng.pick(&[0, there, later]);
                    let (at, event) = arrive(now + delay, message.clone());
                    self.at(at, event);
                }
                let detail = "etcdserver: no leader".to_owned();
                let error = match trouble {
                    Trouble::NoLeader => Error::NoLeader { detail },
                    _ => self.unknown("connection reset"),
                };
                Some((there, error))
            }
            Trouble::Denied => {
                let detail = "etcdserver: permission denied".to_owned();
                Some((there, Error::PermissionDenied { detail }))
            }
            Trouble::Garbled | Trouble::Any => {
                message.garbled = true;
                let (at, event) = arrive(now + there, message.clone());
                self.at(at, event);
                None
            }
        };
        if let Some((pause, error)) = error {
            self.answer_later(&message, pause, Err(error));
        }
    }

    fn latency(&mut self) -> Time {
        if self.rng.chance(1, 30) {
            return self.rng.between(5, 300) * MILLI;
        }
        self.rng.between(200, 3000)
    }

    // ---- leases ----

    pub(crate) fn watch_lease(&mut self, id: i64) {
        if let Some(lease) = self.etcd.lease(id) {
            let late = self.rng.between(0, 500) * MILLI;
            let at = self
                .etcd
                .lease(id)
                .map_or(0, |_| lease_due(lease.expires_at, late));
            self.at(at, Event::LeaseDue(id));
        }
    }

    pub(crate) fn lease_due(&mut self, id: i64) {
        let Some(lease) = self.etcd.lease(id) else {
            return;
        };
        let down = self.server_down_until;
        if self.now < down {
            // A server that starts again restarts its leases.
            let ttl = lease.ttl_sec.unsigned_abs() * SECOND;
            return self.at(down + ttl, Event::LeaseDue(id));
        }
        if self.etcd.expire(self.now, id) {
            self.expired();
        } else {
            self.watch_lease(id);
        }
    }

    fn false_renewal(&self, request: &Request) -> Reply {
        let id = match request {
            Request::KeepAlive { id } => *id,
            _ => 0,
        };
        let ttl_sec = self.etcd.lease(id).map(|lease| lease.ttl_sec);
        Reply::KeepAlive(etcd_rs_sync::KeepAliveReply {
            header: etcd_rs_sync::Header::default(),
            id,
            ttl_sec,
        })
    }
}

fn lease_due(expires_at: Time, late: Time) -> Time {
    expires_at + late
}
