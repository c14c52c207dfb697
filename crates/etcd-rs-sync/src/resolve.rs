//! Names to addresses, without ureq's thread for each request.
//!
//! ureq asks its resolver before every request, even on an open connection. An IP literal is answered at once. A name is
//! looked up on a thread, as the C library cannot be interrupted; at most one look-up of a name is under way, however many
//! callers wait for it. A known answer is used at once: when it is old, another is looked up behind it.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use crate::lock;

/// How long an answer is used without looking again. Short, so that a member that moves is followed; long enough that a busy
/// caller does not ask for every request.
const KEEP: Duration = Duration::from_secs(10);
/// When a caller has set no bound of its own.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// ureq's own bound.
const MAX_ADDRESSES: usize = 16;
/// A look-up calls into the C library's resolver, which wants more stack than the smallest threads have.
const STACK_BYTES: usize = 256 * 1024;

/// The resolver; clones share their answers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    names: Mutex<HashMap<String, Name>>,
    answered: Condvar,
}

#[derive(Debug, Default)]
struct Name {
    asking: bool,
    answer: Option<(Instant, Vec<SocketAddr>)>,
    /// Why the last look-up failed, for the callers that waited for it.
    failure: Option<String>,
    /// Counts finished look-ups, so that a waiter knows that one has ended.
    round: u64,
}

impl Resolver for Names {
    fn resolve(
        &self,
        uri: &Uri,
        _: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let (host, port) = host_and_port(uri).ok_or(ureq::Error::HostNotFound)?;
        let mut addresses = self.empty();
        if let Ok(ip) = host.parse::<IpAddr>() {
            addresses.push(SocketAddr::new(ip, port));
            return Ok(addresses);
        }
        let wait = timeout.not_zero().map_or(LONGEST_WAIT, |left| *left);
        let found = self.look_up(host, port, wait).map_err(|e| match e.kind() {
            io::ErrorKind::TimedOut => ureq::Error::Timeout(ureq::Timeout::Resolve),
            _ => ureq::Error::Io(e),
        })?;
        for address in found.into_iter().take(MAX_ADDRESSES) {
            addresses.push(address);
        }
        if addresses.is_empty() {
            return Err(ureq::Error::HostNotFound);
        }
        Ok(addresses)
    }
}

/// What a URL names.
pub(crate) fn host_and_port(uri: &Uri) -> Option<(&str, u16)> {
    let is_tls = uri.scheme_str() == Some("https");
    let host = uri.host()?.trim_start_matches('[').trim_end_matches(']');
    let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
    Some((host, port))
}

impl Names {
    pub(crate) fn look_up(
        &self,
        host: &str,
        port: u16,
        wait: Duration,
    ) -> io::Result<Vec<SocketAddr>> {
        let key = format!("{host}:{port}");
        let mut names = lock(&self.0.names);
        let name = names.entry(key.clone()).or_default();
        let known = name.answer.clone();
        let round = name.round;
        if !name.asking
            && known
                .as_ref()
                .is_none_or(|(since, _)| since.elapsed() >= KEEP)
        {
            let (shared, key) = (self.clone(), key.clone());
            thread::Builder::new()
                .name("etcd-name".into())
                .stack_size(STACK_BYTES)
                .spawn(move || shared.ask(&key))?;
            name.asking = true;
        }
        // An old answer is better than to wait: the connection attempt will tell, and the next one has the new address.
        if let Some((_, addresses)) = known {
            return Ok(addresses);
        }
        let asking = |names: &mut HashMap<String, Name>| names[&key].round == round;
        let waited = self.0.answered.wait_timeout_while(names, wait, asking);
        let (names, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match &names[&key] {
            Name {
                answer: Some((_, addresses)),
                ..
            } => Ok(addresses.clone()),
            Name { failure, .. } => Err(io::Error::other(failure.clone().unwrap_or_default())),
        }
    }

    /// On a thread of its own.
    fn ask(&self, key: &str) {
        let result = key.to_socket_addrs().map(Iterator::collect::<Vec<_>>);
        let mut names = lock(&self.0.names);
        let name = names.entry(key.to_owned()).or_default();
        name.asking = false;
        name.round += 1;
        match result {
            Ok(addresses) => {
                name.answer = Some((Instant::now(), addresses));
                name.failure = None;
            }
            Err(error) => {
                name.failure = Some(error.to_string());
                // The old answer stays good for as long as a new one would.
                if let Some((since, _)) = &mut name.answer {
                    *since = Instant::now();
                }
            }
        }
        drop(names);
        self.0.answered.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_once_and_remembered() {
        let names = Names::default();
        let wait = Duration::from_secs(5);
        let found = names.look_up("localhost", 2379, wait).unwrap();
        assert!(
            found
                .iter()
                .all(|a| a.ip().is_loopback() && a.port() == 2379)
        );
        assert_eq!(names.look_up("localhost", 2379, wait).unwrap(), found);
        let round = lock(&names.0.names)
            .get("localhost:2379")
            .map(|name| name.round);
        assert_eq!(round, Some(1));
    }

    /// A name server that is gone costs nobody anything who knows the address.
    #[test]
    fn an_old_answer_is_given_at_once_and_outlives_a_look_up_that_fails() {
        let names = Names::default();
        let key = "does-not-exist.invalid:1".to_owned();
        let known = vec![SocketAddr::from(([127, 0, 0, 1], 1))];
        let long_ago = Instant::now().checked_sub(KEEP * 2).unwrap();
        lock(&names.0.names).entry(key.clone()).or_default().answer =
            Some((long_ago, known.clone()));
        let ask = || names.look_up("does-not-exist.invalid", 1, Duration::ZERO);
        assert_eq!(ask().unwrap(), known);
        let mut map = lock(&names.0.names);
        while map[&key].asking {
            map = names.0.answered.wait(map).unwrap();
        }
        assert!(map[&key].failure.is_some());
        drop(map);
        assert_eq!(ask().unwrap(), known);
        assert!(
            !lock(&names.0.names)[&key].asking,
            "not looked up again at once"
        );
    }

    #[test]
    fn an_unknown_name_is_an_error_within_the_bound() {
        let names = Names::default();
        let started = Instant::now();
        assert!(
            names
                .look_up("does-not-exist.invalid", 1, Duration::from_secs(2))
                .is_err()
        );
        assert!(started.elapsed() < Duration::from_secs(4));
    }
}
