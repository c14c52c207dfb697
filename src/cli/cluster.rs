//! A command's way to etcd: one client, reads at one revision, and writes that are repeated until their outcome is known.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use etcd_rs_sync::{Client, Error, Etcd as _, KeyValue, Range, Reply, Request, Txn};
use jiff::{SignedDuration, Timestamp};

use super::exit::Exit;
use super::output::{complain, is_unwritten};
use crate::config::nearest::nearest;
use crate::config::{self, Config, Loaded, Problems};
use crate::etcd::{self, Trouble, read};
use crate::lock::outcome::{self, Malformed};
use crate::lock::survey::{self, Survey};
use crate::lock::{Keys, request};
use crate::process::{Cancel, NoAnswer, bounded};
use crate::status::describe::{named, names};

/// How often a write whose outcome is unknown is sent before the operator is told so.
const TRIES: u32 = 6;

/// How often a command starts over because somebody else wrote at the same time.
const CONTESTS: u32 = 5;

/// How often a read starts over because etcd compacted the revision it was reading.
const READ_TRIES: u32 = 3;

/// How long reading the configuration may take, and all that is looked up for it.
const LIMIT: Duration = Duration::from_secs(10);

/// The first pause between two tries; it doubles.
const PAUSE: Duration = Duration::from_millis(200);

/// How a command ended that asks etcd.
pub(super) type Done = Result<Exit, Trouble>;

/// The configuration and a client of the cluster it names.
pub(super) struct Cluster {
    pub(super) config: Config,
    pub(super) client: Client,
    pub(super) keys: Keys,
}

/// Tells what is wrong with the configuration, and gives the exit code.
pub(super) fn invalid(problems: Problems) -> Exit {
    complain(&problems.to_string());
    Exit::INVALID_CONFIGURATION
}

/// The configuration, read within `limit`: it, or a path in it, may lie on a file system that does not answer.
pub(super) fn read_within(
    limit: Duration,
    path: &Path,
) -> Result<Result<Loaded, Problems>, NoAnswer> {
    let file = path.to_path_buf();
    let look = move || config::load(&file);
    bounded("the configuration", limit, &Cancel::new(), look)
}

/// The configuration. What keeps it from being judged is told here, and what is wrong with it by `refused`.
pub(super) fn loaded(path: &Path, refused: impl FnOnce(Problems) -> Exit) -> Result<Loaded, Exit> {
    let (limit, shown) = (LIMIT.as_secs(), path.display());
    let why = match read_within(LIMIT, path) {
        Ok(Ok(loaded)) => return Ok(loaded),
        Ok(Err(problems)) => match problems.lack() {
            Some(lack) => format!("{shown} cannot be judged: {lack}"),
            None => {
                let denied = problems.to_string().contains("Permission denied");
                let exit = refused(problems);
                // What a user may not read, root may.
                if denied && !rustix::process::geteuid().is_root() {
                    complain(
                        "reboot-coordinator: run it as root, for instance with sudo: another user may not read the configuration, or what it names",
                    );
                }
                return Err(exit);
            }
        },
        Err(NoAnswer::NotStarted(why)) => format!("{shown} was not read: {why}"),
        Err(_) => format!(
            "no answer within {limit} s about {shown} or a path in it; find the mount that hangs (`stat PATH` for each of them), and \
             bring it back or take its path out of the configuration"
        ),
    };
    Err(failed(Trouble::new(why)))
}

/// The configuration; its problems are told.
pub(super) fn load(path: &Path) -> Result<Config, Exit> {
    Ok(loaded(path, invalid)?.config)
}

/// Does a command that reads.
pub(super) fn reading(path: &Path, command: impl FnOnce(&Cluster) -> Done) -> Result<Exit, Exit> {
    let cluster = Cluster::of(load(path)?).map_err(failed)?;
    command(&cluster).map_err(failed)
}

/// Does a command that writes, where guards are honoured.
pub(super) fn writing(path: &Path, command: impl FnOnce(&Cluster) -> Done) -> Result<Exit, Exit> {
    reading(path, |cluster| {
        cluster.prove_guards()?;
        let exit = command(cluster)?;
        if exit == Exit::DONE && is_unwritten() {
            complain("reboot-coordinator: the command has done its work all the same");
        }
        Ok(exit)
    })
}

impl Cluster {
    /// A client for this configuration. Nothing is sent yet.
    pub(super) fn of(config: Config) -> Result<Cluster, Trouble> {
        let options = etcd::options(&config).map_err(Trouble::new)?;
        let client = Client::new(options)?;
        let keys = Keys::new(&config.etcd.namespace, &config.lock_key);
        Ok(Cluster {
            config,
            client,
            keys,
        })
    }

    /// Before anything is written: proof that the server honours guards.
    fn prove_guards(&self) -> Result<(), Trouble> {
        let test = Request::Txn(request::self_test(&self.keys, &self.config.node_name));
        match outcome::self_test(self.client.call(&test)?)? {
            true => Ok(()),
            false => Err(Trouble::new(
                "etcd, or a proxy before it, does not honour the guards of a transaction, so nothing was written; connect to \
                 etcd 3.4 or later directly",
            )),
        }
    }

    /// Everything that is known of the cluster, at one revision.
    pub(super) fn survey(&self) -> Result<Survey, Trouble> {
        read(&self.client, &self.keys, usize::MAX)
    }

    /// Every pair below `prefix`, in the order of the keys, at one revision.
    pub(super) fn all(&self, prefix: &str) -> Result<Vec<KeyValue>, Trouble> {
        let mut tries = 0;
        loop {
            tries += 1;
            let mut pairs = Vec::new();
            match self.each(survey::first_page(prefix), |pair| pairs.push(pair)) {
                Ok(_) => return Ok(pairs),
                Err(Error::Compacted { .. }) if tries < READ_TRIES => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Takes every pair of a range, whose `limit` is the size of a page, in the order of the keys and at one revision, which is
    /// returned.
    pub(super) fn each(
        &self,
        mut range: Range,
        mut take: impl FnMut(KeyValue),
    ) -> Result<i64, Error> {
        loop {
            let page = match self.client.range(range.clone()) {
                // A page of long values is more than is read at once.
                Err(error) if error.is_too_long() && range.limit > 1 => {
                    range.limit /= 2;
                    continue;
                }
                page => page?,
            };
            if range.revision == 0 {
                range.revision = page.header.revision;
            }
            let last = page.kvs.last().filter(|_| page.more);
            let next = last.map(|last| [last.key.as_slice(), &[0]].concat());
            page.kvs.into_iter().for_each(&mut take);
            match next {
                Some(key) => range.keys.key = key,
                None => return Ok(range.revision),
            }
        }
    }

    /// One pair.
    pub(super) fn one(&self, key: String) -> Result<Option<KeyValue>, Trouble> {
        let range = Range::of(etcd_rs_sync::Keys::one(key));
        let reply = self.client.range(range)?;
        Ok(reply.kvs.into_iter().next())
    }

    /// Sends a guarded transaction until its outcome is known; `meaning` reads the answer. Each of them is safe to repeat.
    pub(super) fn settle<T>(
        &self,
        txn: Txn,
        meaning: impl Fn(Reply) -> Result<T, Malformed>,
    ) -> Result<T, Trouble> {
        let request = Request::Txn(txn);
        let (mut unknown, mut last) = (false, String::new());
        for () in tries() {
            match self.client.call(&request).map(&meaning) {
                Ok(Ok(outcome)) => return Ok(outcome),
                Ok(Err(malformed)) => (unknown, last) = (true, Trouble::from(malformed).text),
                // Refused at the first try it had no effect. Later, that says nothing of an earlier copy.
                Err(error) if error.is_definite() && !unknown => return Err(error.into()),
                Err(error) => (unknown, last) = (true, error.to_string()),
            }
        }
        Err(Trouble::new(format!(
            "{last}; THE OUTCOME IS UNKNOWN: the request may have taken effect or may still do so; look with \
             `reboot-coordinator status` once etcd is well, and repeat the command"
        )))
    }

    /// A lease with an id of our choosing, so that a repeated grant is harmless, and when it ends: the server may have raised the
    /// length. None, which is 0, where no length is wanted.
    pub(super) fn grant(
        &self,
        length: Option<Duration>,
        now: Timestamp,
    ) -> Result<(i64, Option<Timestamp>), Trouble> {
        let Some(length) = length else {
            return Ok((0, None));
        };
        let ttl_sec = i64::try_from(length.as_secs()).unwrap_or(i64::MAX);
        let id = etcd::lease_id().map_err(Trouble::new)?;
        let request = Request::Grant { id, ttl_sec };
        let mut last = None;
        for () in tries() {
            match outcome::granted(self.client.call(&request), ttl_sec) {
                Ok(granted) => {
                    let length = SignedDuration::from_secs(granted.max(ttl_sec));
                    let until = now.checked_add(length).unwrap_or(Timestamp::MAX);
                    return Ok((id, Some(until)));
                }
                Err(error) if error.is_definite() => return Err(error.into()),
                Err(error) => last = Some(error),
            }
        }
        Err(last.expect("there is more than one try").into())
    }

    /// Ends a lease nothing hangs on. Left alone it ends by itself, so that a failure does not matter.
    pub(super) fn revoke(&self, lease: i64) {
        if lease != 0 {
            let _ = self.client.revoke(lease);
        }
    }
}

/// What `once` comes to. It starts over where that is nothing, because somebody else wrote there at the same time.
pub(super) fn contested<T>(
    busy: &str,
    mut once: impl FnMut() -> Result<Option<T>, Trouble>,
) -> Result<T, Trouble> {
    for _ in 0..CONTESTS {
        if let Some(done) = once()? {
            return Ok(done);
        }
    }
    Err(Trouble::new(busy))
}

/// The tries of a write, with pauses between them that double: nothing but the person at this command waits for it.
fn tries() -> impl Iterator<Item = ()> {
    (0..TRIES).map(|attempt| {
        if attempt > 0 {
            sleep(PAUSE * 2_u32.pow(attempt - 1));
        }
    })
}

/// All that a request can be for: the members, and those that were seen by passes of `--once` only.
pub(super) fn known(survey: &Survey) -> BTreeSet<&str> {
    let members = named(&survey.nodes);
    members.chain(named(&survey.standings)).collect()
}

/// Whose claims there are, behind a word for them; `None` when there are none.
pub(super) fn queue(survey: &Survey, word: &str) -> Option<String> {
    let all = names(named(&survey.claims));
    (!all.is_empty()).then(|| format!("{word}, first come first: {all}"))
}

/// That nothing is known under this name, so that a command that would write did not.
pub(super) fn unknown<'a>(node: &str, known: impl IntoIterator<Item = &'a str>) -> Trouble {
    let why = not_a_member(node, known);
    Trouble::new(format!("{why}; nothing was changed"))
}

/// That nothing is known under this name, with the nearest that is.
pub(super) fn not_a_member<'a>(node: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let near = nearest(node, known).map_or_else(String::new, |near| format!("; there is a {near}"));
    format!("no member is called {node}{near}")
}

/// Tells it and gives the exit code.
pub(super) fn failed(trouble: Trouble) -> Exit {
    complain(&format!("reboot-coordinator: {}", trouble.text));
    Exit::FAILURE
}

/// Who gives a command: `user@host`, the user before sudo.
pub(super) fn operator() -> String {
    let user = ["SUDO_USER", "USER", "LOGNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()))
        .unwrap_or_else(|| match rustix::process::getuid().as_raw() {
            0 => "root".to_owned(),
            uid => format!("uid {uid}"),
        });
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{user}@{}", host.trim())
}
