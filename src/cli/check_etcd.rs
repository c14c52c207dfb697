//! `check-etcd`: what this host finds at each endpoint, layer by layer, with the remedy for what is wrong.

mod store;

use std::path::Path;

use etcd_rs_sync::{Client, Delete, Error, Etcd as _, Keys as Span, Options, Probe, cause, probe};
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use serde_json::{Value, json};

use self::store::{Failed, Outcome, first, honours_guards, span, told};
use super::cluster::{failed, load};
use super::exit::Exit;
use super::output::print;
use crate::config::{Config, end_of_certificate, ending, remaining};
use crate::etcd::{Trouble, lease_id, options};
use crate::lock::Keys;

/// What is checked, in this order. What comes after a failure that it rests on is not asked.
const CHECKS: [&str; 13] = [
    "name", "tcp", "tls", "version", "gateway", "login", "leader", "alarms", "rights", "guards",
    "watch", "clock", "latency",
];

/// Clocks further apart than this fail: windows and the times in records are by them.
const SKEW_SEC: i64 = 60;

/// Seconds that what was written may outlive this command.
const LEASE_SEC: i64 = 30;

/// One endpoint and what was found there.
struct Endpoint {
    url: String,
    checks: Vec<(&'static str, Outcome)>,
}

/// Checks every endpoint of the configuration.
pub(super) fn check_etcd(path: &Path, as_json: bool) -> Result<Exit, Exit> {
    let config = load(path)?;
    let options = options(&config).map_err(|why| failed(Trouble::new(why)))?;
    let mut all = Vec::new();
    for url in &options.endpoints {
        let mut endpoint = Endpoint {
            url: url.clone(),
            checks: Vec::new(),
        };
        let alone = Options {
            endpoints: vec![url.clone()],
            ..options.clone()
        };
        if let Err((check, why)) = endpoint.examine(&config, &alone) {
            endpoint.checks.push((check, Err(why)));
        }
        if !as_json {
            print(&endpoint.text());
        }
        all.push(endpoint);
    }
    let well = all.iter().all(Endpoint::is_well);
    if as_json {
        let endpoints: Vec<Value> = all.iter().map(Endpoint::json).collect();
        print(&json!({ "ok": well, "endpoints": endpoints }).to_string());
    }
    well.then_some(Exit::DONE).ok_or(Exit::FAILURE)
}

impl Endpoint {
    fn ok(&mut self, check: &'static str, text: impl Into<String>) {
        self.checks.push((check, Ok(text.into())));
    }

    /// What was found, or that nothing more can be asked.
    fn push(&mut self, check: &'static str, found: Outcome) -> Result<(), Failed> {
        self.ok(check, found.map_err(|why| (check, why))?);
        Ok(())
    }

    fn is_well(&self) -> bool {
        self.checks.iter().all(|(_, outcome)| outcome.is_ok())
    }

    fn found(&self, check: &str) -> Option<&Outcome> {
        let mut checks = self.checks.iter();
        checks.find(|(name, _)| *name == check).map(|(_, it)| it)
    }

    /// Each check, how it ended, and what was found.
    fn rows(&self) -> impl Iterator<Item = (&str, &str, Option<&str>)> {
        CHECKS.iter().map(|check| match self.found(check) {
            Some(Ok(text)) => (*check, "ok", Some(text.as_str())),
            Some(Err(why)) => (*check, "FAILS", Some(why.as_str())),
            None => (*check, "not asked", None),
        })
    }

    fn text(&self) -> String {
        let lines = self.rows().map(|(check, result, text)| {
            let line = format!("\n  {result:<9}  {check:<8}  {}", text.unwrap_or_default());
            line.trim_end().to_owned()
        });
        self.url.clone() + &lines.collect::<String>()
    }

    fn json(&self) -> Value {
        let checks = self.rows().map(|(check, result, text)| {
            json!({ "check": check, "result": result.to_lowercase(), "text": text })
        });
        json!({ "url": self.url, "ok": self.is_well(), "checks": checks.collect::<Vec<_>>() })
    }

    /// Everything; ends at what nothing more can be asked after.
    fn examine(&mut self, config: &Config, options: &Options) -> Result<(), Failed> {
        let found = probe(options).map_err(|error| ("name", told(&error)))?;
        self.reach(&found)?;
        self.clock(found.date.as_deref());
        let client = Client::new(options.clone()).map_err(|error| ("gateway", told(&error)))?;
        let keys = Keys::new(&config.etcd.namespace, &config.lock_key);
        let node = config.node_name.as_str();
        let asked = client.range(first(format!("{}/", keys.prefix())));
        self.answers(options, &asked)?;
        self.push("latency", store::latency(&client, &keys, options.timeout))?;
        let honest = honours_guards(&client, &keys, node);
        let lease = lease_id().map_err(|why| ("alarms", why))?;
        let granted = client.grant(lease, LEASE_SEC).map_err(|error| told(&error));
        self.push("alarms", granted.map(|_| "etcd takes writes".to_owned()))?;
        let done = honest.and_then(|()| {
            let rights = store::rights(&client, &keys, config, asked.is_ok());
            self.push("rights", rights)?;
            // No node is called that, so no program takes it for a record.
            let key = format!("{}/check/{node}/{lease:x}", keys.prefix());
            let policies = config.cluster_policies.is_some();
            let guarded = self.push("guards", store::guards(&client, &key, lease, policies));
            let done =
                guarded.and_then(|()| self.push("watch", store::watch(&client, &key, lease)));
            let _ = client.delete(Delete::of(Span::one(key))); // the lease does it, too
            done
        });
        let _ = client.revoke(lease); // it ends by itself
        done
    }

    fn reach(&mut self, found: &Probe) -> Result<(), Failed> {
        let addresses = found.addresses.as_ref().map(|all| {
            let list: Vec<String> = all.iter().map(|it| it.ip().to_string()).collect();
            list.join(", ")
        });
        self.push("name", addresses.map_err(told))?;
        let Some(connected) = &found.connected else {
            return Ok(());
        };
        let connected = connected.as_ref();
        let connected = connected.map(|took| format!("connected in {}", span(*took)));
        self.push("tcp", connected.map_err(told))?;
        match &found.certificate {
            None => self.ok("tls", "not used"),
            Some(Err(error)) => return Err(("tls", told(error))),
            Some(Ok(der)) => self.checks.push(("tls", days_left(der, Timestamp::now()))),
        }
        let version = found.version.as_ref().map(|version| {
            let version = version.as_ref().map(|version| format!("etcd {version}"));
            self.push("version", version.map_err(told))
        });
        version.unwrap_or(Ok(()))
    }

    /// What the first read says of gateway, login and leader.
    fn answers<T>(&mut self, options: &Options, asked: &Result<T, Error>) -> Result<(), Failed> {
        let failed = match asked {
            Ok(_) | Err(Error::PermissionDenied { .. }) => None,
            Err(error) => {
                let text = told(error);
                let why = cause(&text);
                let check = match error {
                    Error::NoLeader { .. } => "leader",
                    Error::Unauthenticated { .. } => "login",
                    _ if why.starts_with("login") || why == "common-name" => "login",
                    _ if why == "no-leader" => "leader",
                    _ => "gateway",
                };
                Some((check, text))
            }
        };
        let reached = failed.as_ref().map_or("", |(check, _)| check);
        if reached != "gateway" {
            self.ok("gateway", "answers below /v3/");
        }
        if !["gateway", "login", "leader"].contains(&reached) {
            let user = options.auth.as_ref().map(|(user, _)| format!("as {user}"));
            let nobody = "no user is set, and none is wanted";
            self.ok("login", user.unwrap_or_else(|| nobody.to_owned()));
            self.ok("leader", "a read of the present was answered");
        }
        failed.map_or(Ok(()), Err)
    }

    fn clock(&mut self, date: Option<&str>) {
        let Some(theirs) = date.and_then(|date| rfc2822::parse(date).ok()) else {
            return;
        };
        let apart = Timestamp::now().as_second() - theirs.timestamp().as_second();
        let (side, by) = (if apart > 0 { "ahead of" } else { "behind" }, apart.abs());
        self.checks.push(("clock", match by {
            0..=2 => Ok("as etcd's, to two seconds".to_owned()),
            3..=SKEW_SEC => Ok(format!("{by} s {side} etcd's")),
            _ => Err(format!(
                "this host's clock is {by} s {side} etcd's; set both by NTP: windows and the times in records are by them"
            )),
        }));
    }
}

fn days_left(der: &[u8], now: Timestamp) -> Outcome {
    let Some(end) = end_of_certificate(der) else {
        return Ok("in use; the server's certificate is not checked".to_owned());
    };
    let left = remaining(end.duration_since(now));
    match ending(end, now) {
        Some(words) => Err(format!("the server's certificate {words}")),
        None => Ok(format!("the server's certificate ends at {end}, in {left}")),
    }
}
