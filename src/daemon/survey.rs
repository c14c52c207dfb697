//! One read of everything that is known of the cluster, page by page.

use std::fmt;

use etcd_rs_sync::{Error, Etcd, Request};

use crate::lock::Keys;
use crate::lock::outcome::Malformed;
use crate::lock::survey::{Pages, Survey, survey};

/// How often it starts over because etcd compacted the revision it was reading.
const TRIES: u32 = 3;

/// Why there is no survey.
#[derive(Debug)]
pub(crate) enum Unread {
    /// etcd did not answer, or refused.
    Etcd(Error),
    /// The answer was none.
    Nonsense(Malformed),
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unread::Etcd(error) => error.fmt(f),
            Unread::Nonsense(malformed) => {
                write!(f, "etcd's answer makes no sense: {}", malformed.0)
            }
        }
    }
}

/// Reads at one revision. Stops when `most` claims, registrations and reports are there, and says so in the survey.
pub(crate) fn read(etcd: &dyn Etcd, keys: &Keys, most: usize) -> Result<Survey, Unread> {
    let mut tries = 0;
    loop {
        tries += 1;
        let reply = etcd.call(&Request::Txn(survey(keys)));
        let mut pages = Pages::of(reply.map_err(Unread::Etcd)?, keys).map_err(Unread::Nonsense)?;
        match rest(etcd, &mut pages, most) {
            Ok(()) => return Ok(pages.complete()),
            Err(Error::Compacted { .. }) if tries < TRIES => {}
            Err(error) => return Err(Unread::Etcd(error)),
        }
    }
}

fn rest(etcd: &dyn Etcd, pages: &mut Pages, most: usize) -> Result<(), Error> {
    while let Some(range) = pages.missing().filter(|_| pages.len() < most) {
        pages.add(etcd.range(range)?);
    }
    Ok(())
}
