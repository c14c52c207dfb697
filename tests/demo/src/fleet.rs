//! Everything that runs: etcd, the hosts, the watch, and the one channel on which all of it reports.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Instant;

use etcd_rs_sync::{
    Client, Etcd, Event as EtcdEvent, Keys, Range, WatchItem, WatchRequest, WatchStop,
};
use etcd_test_server::Cluster;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use tempfile::TempDir;

use crate::host::{Host, Plant};
use crate::way::{Way, of_operator};
use crate::{Error, LOCK_KEY, Options};

/// Written into the FIFO to end its reader.
const NOBODY: &str = "nobody";

/// What reaches the demo.
pub(crate) enum Event {
    /// The watch brought this, then.
    Etcd(Instant, Vec<EtcdEvent>),
    /// A host's reboot command ran.
    Reboot(String),
    /// Someone pressed Enter.
    Enter,
}

/// Everything that runs. Dropping it ends all of it.
pub(crate) struct Fleet {
    // First, so that the daemons are gone before what they use.
    pub(crate) hosts: Vec<Host>,
    pub(crate) plant: Plant,
    pub(crate) events: Receiver<Event>,
    pub(crate) sender: Sender<Event>,
    pub(crate) client: Client,
    pub(crate) cluster: Cluster,
    pub(crate) way: Way,
    watch: WatchStop,
    folder: TempDir,
}

impl Fleet {
    /// Starts etcd and makes the hosts. They are off.
    pub(crate) fn start(options: &Options) -> Result<Fleet, Error> {
        let folder = tempfile::Builder::new()
            .prefix("reboot-demo-")
            .tempdir()
            .map_err(Error::io("a temporary folder cannot be made"))?;
        let cluster = Way::cluster(options);
        let way = Way::new(options, &cluster, folder.path())?;
        let endpoint = cluster.client_url(0).to_owned();
        let (sender, events) = channel();
        let plant = Plant {
            daemon: options.daemon.clone(),
            endpoint,
            limit: options.limit,
            power: folder.path().join("power"),
            boot: options.boot,
        };
        let mut hosts = Vec::new();
        for number in 1..=options.nodes {
            let metrics = options.metrics.zip(u16::try_from(number).ok());
            let metrics = metrics.map(|(port, number)| port + number);
            let name = format!("node-{number}");
            let lines = way.lines(&cluster, &name) + &place(options, number);
            let host = Host::new(&plant, folder.path(), &name, metrics, &lines);
            let mut host = host.map_err(Error::io("a host's folder cannot be made"))?;
            host.fails = options.fail == Some(number);
            host.old_kernel = options.bad_kernel && number == 1;
            hosts.push(host);
        }
        listen_to_power(&plant.power, sender.clone())?;
        let client = Client::new(way.client(&cluster));
        let client = client.map_err(Error::etcd("etcd cannot be used"))?;
        let watch = follow(&client, sender.clone())?;
        Ok(Fleet {
            hosts,
            plant,
            events,
            sender,
            client,
            cluster,
            way,
            watch,
            folder,
        })
    }

    /// An operator gives a command; what it said.
    pub(crate) fn command(&self, words: &[&str]) -> Result<String, Error> {
        let Some(host) = self.hosts.first() else {
            return Ok(String::new());
        };
        let config = self.operators_config(host)?;
        let output = Command::new(&self.plant.daemon)
            .args(words)
            .arg("--config")
            .arg(config)
            .stdin(Stdio::null())
            .output()
            .map_err(Error::io("an operator's command cannot be run"))?;
        if !output.status.success() {
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            return Err(Error::Died(format!("`{}` failed: {said}", words.join(" "))));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The configuration with which an operator gives commands.
    pub(crate) fn operators_config(&self, host: &Host) -> Result<PathBuf, Error> {
        let own = of_operator(&self.way, &self.cluster, &host.config_file());
        let own = own.map_err(Error::io("the operator's configuration cannot be written"))?;
        Ok(own.unwrap_or_else(|| host.config_file()))
    }

    /// Switches every host on.
    pub(crate) fn switch_on(&mut self) -> Result<(), Error> {
        for host in &mut self.hosts {
            host.boot(&self.plant)
                .map_err(Error::io("the daemon cannot be started"))?;
        }
        Ok(())
    }

    pub(crate) fn host(&mut self, name: &str) -> Option<&mut Host> {
        self.hosts.iter_mut().find(|host| host.name == name)
    }

    /// Whether etcd, asked now and not through the watch, lets this host go down.
    pub(crate) fn may_go_down(&self, name: &str) -> Result<bool, Error> {
        let claim = self.claims(Keys::one(format!("{LOCK_KEY}/claims/{name}")))?;
        let phase = |value: &[u8]| {
            let record: Option<serde_json::Value> = serde_json::from_slice(value).ok();
            record.and_then(|record| Some(record.get("phase")?.as_str()? == "rebooting"))
        };
        Ok(claim
            .first()
            .is_some_and(|kv| kv.lease == 0 && phase(&kv.value) == Some(true)))
    }

    /// The nodes that have a record of this kind now, `claims` or `requests`.
    pub(crate) fn having(&self, kind: &str) -> Result<Vec<String>, Error> {
        let prefix = format!("{LOCK_KEY}/{kind}/");
        let claims = self.claims(Keys::prefix(prefix.clone()))?;
        let name = |key: &[u8]| String::from_utf8_lossy(key).replacen(&prefix, "", 1);
        Ok(claims.iter().map(|kv| name(&kv.key)).collect())
    }

    fn claims(&self, keys: Keys) -> Result<Vec<etcd_rs_sync::KeyValue>, Error> {
        let reply = self.client.range(Range::of(keys));
        Ok(reply.map_err(Error::etcd("the claims cannot be read"))?.kvs)
    }

    /// The last lines that a host's daemon wrote.
    pub(crate) fn log_tail(&self, name: &str) -> String {
        let host = self.hosts.iter().find(|host| host.name == name);
        let text = host.and_then(|host| fs::read_to_string(host.log_file()).ok());
        let text = text.unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(5)..].join("\n")
    }

    /// Ends everything that runs, and leaves the hosts' folders.
    pub(crate) fn keep_folder(mut self) -> PathBuf {
        self.folder.disable_cleanup(true);
        self.folder.path().to_path_buf()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        // All at once; each is waited for when its host is dropped.
        self.hosts.iter().for_each(Host::end);
        self.watch.stop();
        let fifo = File::options().write(true).open(&self.plant.power);
        // Without the word the reader stays, asleep, until the program ends.
        let _ = fifo.and_then(|mut fifo| writeln!(fifo, "{NOBODY}"));
    }
}

/// In which rack a host is, and in which wave.
fn place(options: &Options, number: usize) -> String {
    let limit = options.rack_limit;
    let rack = options.rack(number).map_or_else(String::new, |rack| {
        format!("labels: {{rack: r{rack}}}\nlimits: {{rack: {limit}}}\n")
    });
    format!("{rack}wave: {}\n", options.wave(number))
}

fn listen_to_power(path: &Path, sender: Sender<Event>) -> Result<(), Error> {
    let made = mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0);
    made.map_err(|errno| Error::io("a FIFO cannot be made")(errno.into()))?;
    // Open for writing too, so that it does not end when a host has written.
    let fifo = File::options().read(true).write(true).open(path);
    let fifo = fifo.map_err(Error::io("the FIFO cannot be opened"))?;
    let listen = move || {
        let lines = BufReader::new(fifo).lines().map_while(Result::ok);
        for name in lines.take_while(|name| name != NOBODY) {
            if sender.send(Event::Reboot(name)).is_err() {
                return;
            }
        }
    };
    let spawned = thread::Builder::new().spawn(listen);
    spawned.map_err(Error::io("a thread cannot be started"))?;
    Ok(())
}

/// Watches all records from the beginning of the store.
fn follow(client: &Client, sender: Sender<Event>) -> Result<WatchStop, Error> {
    let request = WatchRequest {
        start_revision: 1,
        ..WatchRequest::new(Keys::prefix(format!("{LOCK_KEY}/")))
    };
    let watch = client.watch(request);
    let watch = watch.map_err(Error::etcd("etcd cannot be watched"))?;
    let stop = watch.stopper();
    let follow = move || {
        for item in watch {
            let now = Instant::now();
            let event = match item {
                Ok(WatchItem::Events(batch)) => Event::Etcd(now, batch.events),
                // Nobody compacts here. After an error the watch goes on by itself where it was and loses nothing.
                Ok(WatchItem::Connected { .. } | WatchItem::Compacted { .. }) | Err(_) => continue,
            };
            if sender.send(event).is_err() {
                return;
            }
        }
    };
    let spawned = thread::Builder::new().spawn(follow);
    spawned.map_err(Error::io("a thread cannot be started"))?;
    Ok(stop)
}
