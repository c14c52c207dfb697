//! The way to etcd for everybody but the machine: how it is reached, and one read of everything that is known of the cluster.

use std::fs::File;
use std::io::Read;

use etcd_rs_sync::{Error, Etcd, Options, Request, TlsOptions};

use crate::config::{self, Auth, Config, Tls};
use crate::lock::Keys;
use crate::lock::outcome::Malformed;
use crate::lock::survey::{Pages, Survey, survey};

/// How often it starts over because etcd compacted the revision it was reading.
const TRIES: u32 = 3;

/// Why something could not be done, on one line with what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) text: String,
    /// etcd answered, and refused: the password, the right or the address is wrong.
    pub(crate) refused: bool,
}

impl Trouble {
    pub(crate) fn new(text: impl Into<String>) -> Trouble {
        Trouble {
            text: text.into(),
            refused: false,
        }
    }
}

/// How etcd is reached. Secrets are read here, so that a reload picks up new ones.
pub(crate) fn options(config: &Config) -> Result<Options, String> {
    Ok(Options {
        endpoints: config.etcd.endpoints.clone(),
        timeout: config.etcd.timeout,
        tls: config.etcd.tls.as_ref().map(tls).transpose()?,
        auth: config.etcd.auth.as_ref().map(login).transpose()?,
    })
}

/// User and password as the file holds it now. It is judged again, as the others are, since it may have been replaced.
pub(crate) fn login(auth: &Auth) -> Result<(String, String), String> {
    let password = config::password(&auth.password_file)?;
    Ok((auth.username.clone(), password))
}

/// What the certificate files hold now.
pub(crate) fn tls(tls: &Tls) -> Result<TlsOptions, String> {
    Ok(TlsOptions {
        ca_pem: tls.ca_file.as_deref().map(config::read).transpose()?,
        client_pem: match &tls.client {
            Some((cert, key)) => Some((config::read(cert)?, config::secret(key)?)),
            None => None,
        },
        insecure_skip_verify: tls.insecure_skip_verify,
    })
}

/// Different in every process: lease and session ids come from it.
pub(crate) fn seed() -> Result<u64, String> {
    let mut bytes = [0; 8];
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(|error| format!("/dev/urandom: {error}"))?;
    Ok(u64::from_ne_bytes(bytes))
}

/// A lease id nobody has: positive, and never 0, which would let the server choose.
pub(crate) fn lease_id() -> Result<i64, String> {
    Ok(i64::try_from(seed()? >> 1).expect("63 bits fit").max(1))
}

/// Reads at one revision. Stops when `most` claims, registrations and reports are there, and says so in the survey.
pub(crate) fn read(etcd: &dyn Etcd, keys: &Keys, most: usize) -> Result<Survey, Trouble> {
    let mut tries = 0;
    loop {
        tries += 1;
        let reply = etcd.call(&Request::Txn(survey(keys)));
        let mut pages = Pages::of(reply?, keys)?;
        match rest(etcd, &mut pages, most) {
            Ok(()) => return Ok(pages.complete()),
            Err(Error::Compacted { .. }) if tries < TRIES => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn rest(etcd: &dyn Etcd, pages: &mut Pages, most: usize) -> Result<(), Error> {
    while let Some(range) = pages.missing().filter(|_| pages.so_far() < most) {
        pages.add(etcd.range(range)?);
    }
    Ok(())
}

/// An error of etcd with what to do about it.
impl From<Error> for Trouble {
    fn from(error: Error) -> Trouble {
        let advice = match error {
            Error::LeaseNotFound | Error::LeaseExists | Error::Compacted { .. } => "; try again",
            _ => "", // it says so itself
        };
        Trouble {
            text: format!("{error}{advice}").replace('\n', " "),
            refused: matches!(
                error,
                Error::Unauthenticated { .. }
                    | Error::PermissionDenied { .. }
                    | Error::Setup { .. }
            ),
        }
    }
}

/// An answer that makes no sense.
impl From<Malformed> for Trouble {
    fn from(malformed: Malformed) -> Trouble {
        Trouble::new(format!(
            "etcd's answer makes no sense: {}; connect to etcd 3.4 or later directly",
            malformed.0
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use etcd_rs_sync::{Header, KeyValue, OpReply, RangeReply, Reply, TxnReply};

    use super::*;

    /// Gives these answers, one after the other, and no more.
    struct Answers(Mutex<VecDeque<Result<Reply, Error>>>);

    impl Etcd for Answers {
        fn call(&self, _: &Request) -> Result<Reply, Error> {
            let mut left = self.0.lock().unwrap();
            left.pop_front().expect("nothing more is asked")
        }
    }

    fn page(names: &[&str], more: bool) -> RangeReply {
        let kv = |name: &&str| KeyValue {
            key: format!("/rc/nodes/{name}").into_bytes(),
            ..KeyValue::default()
        };
        RangeReply {
            kvs: names.iter().map(kv).collect(),
            more,
            ..RangeReply::default()
        }
    }

    /// The first answer: a member, and more of them than it holds.
    fn first() -> Result<Reply, Error> {
        let mut ranges = vec![RangeReply::default(); 10];
        ranges[3] = page(&["a"], true);
        Ok(Reply::Txn(TxnReply {
            header: Header {
                revision: 7,
                ..Header::default()
            },
            succeeded: true,
            replies: ranges.into_iter().map(OpReply::Range).collect(),
        }))
    }

    fn rest() -> Result<Reply, Error> {
        Ok(Reply::Range(page(&["b"], false)))
    }

    fn compacted() -> Result<Reply, Error> {
        let detail = "said".to_owned();
        Err(Error::Compacted { detail })
    }

    fn read_with(answers: Vec<Result<Reply, Error>>, most: usize) -> Result<Survey, Trouble> {
        let answers = Answers(Mutex::new(answers.into()));
        let survey = read(&answers, &Keys::new("", "/rc"), most);
        assert!(answers.0.lock().unwrap().is_empty() || survey.is_err());
        survey
    }

    #[test]
    fn a_survey_is_read_page_by_page_up_to_what_is_wanted() {
        let whole = read_with(vec![first(), rest()], 2).unwrap();
        assert_eq!((whole.nodes.len(), whole.partial), (2, false));
        assert_eq!(whole.revision, 7);
        let some = read_with(vec![first()], 1).unwrap();
        assert_eq!((some.nodes.len(), some.partial), (1, true));
    }

    #[test]
    fn a_survey_begins_anew_when_its_revision_is_compacted_but_not_for_ever() {
        let again = || [first(), compacted()];
        let mut answers: Vec<_> = again().into_iter().chain(again()).collect();
        answers.extend([first(), rest()]);
        assert_eq!(read_with(answers, 9).unwrap().nodes.len(), 2);
        let mut answers: Vec<_> = again().into_iter().chain(again()).chain(again()).collect();
        answers.extend([first(), rest()]);
        assert!(read_with(answers, 9).is_err());
    }

    #[test]
    fn an_error_of_etcd_says_what_to_do_and_whether_it_is_a_refusal() {
        let detail = || "said".to_owned();
        for (error, refused) in [
            (Error::Unauthenticated { detail: detail() }, true),
            (Error::PermissionDenied { detail: detail() }, true),
            (Error::Setup { detail: detail() }, true),
            (Error::NotSent { detail: detail() }, false),
            (Error::Compacted { detail: detail() }, false),
        ] {
            let compacted = matches!(error, Error::Compacted { .. });
            let told = Trouble::from(error);
            assert_eq!(told.refused, refused, "{told:?}");
            assert_eq!(told.text.ends_with("; try again"), compacted, "{told:?}");
        }
    }
}
