//! The endpoints, and what is known of each: shared by everything of a process that asks the same cluster.
//!
//! The one that answered is asked until it fails. What one connection learns, all know. After a failure the others come in an
//! order drawn at random for each process, so that a fleet does not fall upon one member; those that failed come last, the one
//! that failed last at the very end.

use std::hash::{BuildHasher, RandomState};
use std::sync::Mutex;
use std::time::Instant;

use crate::lock;

/// What is known of one endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointHealth {
    /// Its URL, as it was given.
    pub url: String,
    /// The version that it said it runs, once it was asked.
    pub version: Option<String>,
    /// The time that it said it was, as in HTTP, and when it said so.
    pub date: Option<(Instant, String)>,
    /// When it answered last.
    pub answered: Option<Instant>,
    /// When and how it failed last.
    pub failed: Option<(Instant, String)>,
    /// Whether that was the last that was heard of it.
    pub fails: bool,
}

/// The endpoints of a cluster.
#[derive(Debug)]
pub(crate) struct Endpoints(Mutex<State>);

#[derive(Debug)]
struct State {
    health: Vec<EndpointHealth>,
    /// The one to ask.
    current: usize,
    /// The order in which they are asked, when nothing else is known.
    order: Vec<usize>,
}

impl Endpoints {
    /// The first is asked first.
    pub(crate) fn new(urls: &[String]) -> Endpoints {
        let mut order: Vec<usize> = (0..urls.len()).collect();
        let random = RandomState::new();
        order.sort_by_cached_key(|index| random.hash_one(index));
        let known = |url: &String| EndpointHealth {
            url: url.clone(),
            ..EndpointHealth::default()
        };
        let health = urls.iter().map(known).collect();
        Endpoints(Mutex::new(State {
            health,
            current: 0,
            order,
        }))
    }

    /// The best that is not among those tried already.
    pub(crate) fn next(&self, tried: &[usize]) -> Option<usize> {
        let state = lock(&self.0);
        let failure = |index: usize| state.health[index].failed.as_ref();
        let rank = |index: &usize| match failure(*index).filter(|_| state.health[*index].fails) {
            None => (u8::from(*index != state.current), None),
            Some((at, _)) => (2, Some(*at)),
        };
        let untried = state.order.iter().filter(|index| !tried.contains(index));
        untried.min_by_key(|index| rank(index)).copied()
    }

    /// It answered as a member does.
    pub(crate) fn worked(&self, index: usize) {
        let mut state = lock(&self.0);
        let health = &mut state.health[index];
        (health.answered, health.fails) = (Some(Instant::now()), false);
        let current = state.current;
        if state.health[current].fails {
            state.current = index;
        }
    }

    /// It did not. What runs there may be another program by the time it is asked again.
    pub(crate) fn failed(&self, index: usize, why: &str) {
        let health = &mut lock(&self.0).health[index];
        (health.version, health.fails) = (None, true);
        health.failed = Some((Instant::now(), why.to_owned()));
    }

    pub(crate) fn has_version(&self, index: usize) -> bool {
        lock(&self.0).health[index].version.is_some()
    }

    pub(crate) fn set_version(&self, index: usize, version: String, date: Option<String>) {
        let health = &mut lock(&self.0).health[index];
        health.version = Some(version);
        health.date = date.map(|date| (Instant::now(), date));
    }

    pub(crate) fn health(&self) -> Vec<EndpointHealth> {
        lock(&self.0).health.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints(count: usize) -> Endpoints {
        let urls: Vec<String> = (0..count).map(|n| format!("http://e{n}:1")).collect();
        Endpoints::new(&urls)
    }

    /// All of them, in the order in which a call asks them.
    fn order(endpoints: &Endpoints) -> Vec<usize> {
        let mut tried = Vec::new();
        while let Some(next) = endpoints.next(&tried) {
            tried.push(next);
        }
        tried
    }

    #[test]
    fn the_first_is_asked_until_it_fails_and_one_that_failed_comes_last_until_it_answers() {
        let endpoints = endpoints(3);
        assert_eq!(order(&endpoints)[0], 0);
        endpoints.failed(0, "refused");
        let after = order(&endpoints);
        assert_eq!(after[2], 0);
        endpoints.worked(after[0]);
        assert_eq!(order(&endpoints), after, "the one that answered stays");
        endpoints.failed(after[0], "refused");
        assert_eq!(
            order(&endpoints),
            [after[1], 0, after[0]],
            "the older failure first"
        );
        endpoints.worked(0);
        assert_eq!(order(&endpoints)[0], 0);
        let health = endpoints.health();
        // How it failed is kept for people.
        let told = |index: usize| health[index].failed.as_ref().map(|(_, why)| why.as_str());
        assert_eq!((health[0].fails, told(0)), (false, Some("refused")));
        assert_eq!(
            (health[after[0]].fails, told(after[0])),
            (true, Some("refused"))
        );
        assert!(!health[after[1]].fails && told(after[1]).is_none());
    }

    #[test]
    fn processes_that_lose_a_member_spread_over_the_others() {
        let mut seen = [0; 5];
        for _ in 0..200 {
            let endpoints = endpoints(5);
            endpoints.failed(0, "stopped");
            seen[order(&endpoints)[0]] += 1;
        }
        assert_eq!(seen[0], 0);
        assert!(seen[1..].iter().all(|count| *count > 15), "{seen:?}");
    }

    #[test]
    fn a_version_is_asked_for_anew_after_a_failure() {
        let endpoints = endpoints(1);
        endpoints.set_version(0, "3.5.16".into(), None);
        assert!(endpoints.has_version(0));
        endpoints.failed(0, "closed");
        assert!(!endpoints.has_version(0));
    }
}
