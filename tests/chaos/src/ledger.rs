//! The run's side of the ledger, to which the hosts' scripts append too.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use crate::plan::{RACK_LIMIT, Settings};
use crate::system::uptime;

/// Below this key the daemons keep their records.
pub(crate) const LOCK_KEY: &str = "/chaos/coordinator";
/// Where the run writes its clock.
pub(crate) const CLOCK_KEY: &str = "/chaos/clock";
/// Everything that is read back.
pub(crate) const PREFIX: &str = "/chaos/";

pub(crate) struct Ledger {
    file: RefCell<File>,
}

impl Ledger {
    pub(crate) fn create(path: &Path, settings: &Settings, nodes: &[String]) -> io::Result<Ledger> {
        let file = File::options().append(true).create_new(true).open(path)?;
        let ledger = Ledger {
            file: RefCell::new(file),
        };
        let limit = settings.limit;
        let list = |words: Vec<String>| words.join(",");
        let hosts = 0..nodes.len();
        let racks = list(
            hosts
                .clone()
                .filter_map(|host| settings.rack(host))
                .collect(),
        );
        let waves = hosts.map(|host| settings.wave(host, nodes.len()).to_string());
        let (waves, nodes) = (list(waves.collect()), nodes.join(","));
        ledger.line(&format!(
            "run setup limit={limit} nodes={nodes} racks={racks} rack_limit={RACK_LIMIT} waves={waves} \
             lock_key={LOCK_KEY} clock_key={CLOCK_KEY}"
        ))?;
        Ok(ledger)
    }

    /// One write, so that the lines of several writers do not mix.
    pub(crate) fn line(&self, text: &str) -> io::Result<()> {
        let line = format!("{:.2} {text}\n", uptime());
        self.file.borrow_mut().write_all(line.as_bytes())
    }
}
