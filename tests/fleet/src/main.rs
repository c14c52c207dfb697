//! What fleets of several sizes cost a real etcd: the coordinator's own machines in one process, each as its daemon drives it,
//! with the defaults of the configuration. Connections are shared but for the watches, of which each waiting node has its own.

mod etcd;
mod fleet;
mod watches;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use etcd_rs_sync::{Client, Delete, Etcd as _, Keys, Options, Put, Range, Request};
use etcd_test_server::Cluster;
use serde_json::{Value, json};

use crate::etcd::{Handovers, Spent, resident, spent, store};
use crate::fleet::{Fleet, Kind, LOCK};

const HELP: &str = "\
Usage: scripts/fleet [--nodes N,N,...] [--handovers N] [--racks N] [--must-be-well PART] [--json]

Measures what a fleet costs etcd: all nodes start within a minute, have nothing to do for a minute, require a reboot within a
minute, and wait for one minute; some reboot, one after the other; etcd restarts while they wait; all lose their place at once.
Default: 100, 1,000 and 10,000 nodes, 50 handovers, no racks, about eight minutes each. With racks one node of each may be down.
PART of all members must stay healthy, a cluster policy of each node. With 1 it allows nobody's reboot: then what that costs is
all that is measured after the join. A benchmark, not a test.
";

/// A minute: the interval of the detectors, and of the renewals of a health report.
const MINUTE: Duration = Duration::from_secs(60);
/// How long something may take that should take less.
const PATIENCE: Duration = Duration::from_secs(600);

fn main() -> ExitCode {
    let (sizes, handovers, kind, as_json) = match arguments() {
        Ok(Some(it)) => it,
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("fleet: {error}; see --help");
            return ExitCode::from(64);
        }
    };
    raise_limit();
    let figures: Vec<Value> = sizes
        .iter()
        .map(|size| measure(*size, kind, handovers))
        .collect();
    match as_json {
        true => println!("{}", Value::from(figures)),
        false => print_table(&figures),
    }
    ExitCode::SUCCESS
}

type Wishes = (Vec<usize>, usize, Kind, bool);

fn arguments() -> Result<Option<Wishes>, lexopt::Error> {
    use lexopt::prelude::*;
    let mut wishes = (vec![100, 1_000, 10_000], 50, Kind::default(), false);
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("nodes") => {
                let text = parser.value()?.string()?;
                let sizes = text.split(',').map(str::parse).collect::<Result<_, _>>();
                wishes.0 = sizes.map_err(|error| format!("--nodes {text}: {error}"))?;
            }
            Long("handovers") => wishes.1 = parser.value()?.parse()?,
            Long("racks") => wishes.2.racks = parser.value()?.parse()?,
            Long("must-be-well") => wishes.2.must_be_well = Some(parser.value()?.parse()?),
            Long("json") => wishes.3 = true,
            Long("help") | Short('h') => return Ok(None),
            other => return Err(other.unexpected()),
        }
    }
    Ok(Some(wishes))
}

/// A watch is an open file here, and another in etcd, which inherits the limit.
fn raise_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let most = 65_536;
    let wish = Rlimit {
        current: Some(most),
        maximum: Some(most),
    };
    if setrlimit(Resource::Nofile, wish).is_err() {
        let has = getrlimit(Resource::Nofile);
        let all = Rlimit {
            current: has.maximum,
            ..has
        };
        // Then there are fewer watches than nodes, and it says so by failing.
        let _ = setrlimit(Resource::Nofile, all);
    }
}

/// One fleet, and its etcd.
struct Field {
    cluster: Cluster,
    client: Client,
    fleet: Fleet,
    figures: Value,
}

/// What there was when a stretch began.
struct Mark {
    at: Instant,
    spent: Spent,
    requests: [u64; 4],
    revision: i64,
}

fn measure(size: usize, kind: Kind, handovers: usize) -> Value {
    let cluster = Cluster::builder().arg("--log-level=error").start();
    let client = Client::new(Options::new(cluster.endpoints())).expect("a client");
    let fleet = Fleet::new(size, kind, &client, cluster.client_address(0));
    let observed = Handovers::observe(&client);
    let mut field = Field {
        cluster,
        client,
        fleet,
        figures: json!({ "nodes": size }),
    };
    let say = |what: &str| eprintln!("fleet: {size} nodes: {what}");

    say("start within a minute");
    field.fleet.start_within(MINUTE);
    field.stretch("start", |fleet| fleet.until(MINUTE, |_| false));
    say("have nothing to do for a minute");
    field.stretch("idle", |fleet| fleet.until(MINUTE, |_| false));
    if kind.must_be_well == Some(1.0) {
        say(
            "require a reboot within a minute, and are refused at the head of the queue, one after the other",
        );
        field.fleet.ask();
        field.stretch("join", |fleet| fleet.until(MINUTE, |_| false));
        field.stretch("refused", |fleet| {
            fleet.until(6 * PATIENCE, |fleet| fleet.waiting() == 0)
        });
        say("stay refused for three minutes");
        field.stretch("stay_refused", |fleet| fleet.until(3 * MINUTE, |_| false));
        return field.finish();
    }
    say("require a reboot within a minute, and wait for one that is down");
    let down = format!("{LOCK}/claims/down");
    let put = Put::new(down.clone(), claim_of_a_node_that_is_down(), 0);
    field.client.put(put).expect("etcd takes a claim");
    field.fleet.ask();
    field.stretch("join", |fleet| fleet.until(MINUTE, |_| false));
    let all_wait = move |fleet: &Fleet| fleet.waiting() + fleet.reboots + 1 >= size;
    field.until("all_wait", all_wait);
    say("wait for a minute");
    field.stretch("wait", |fleet| fleet.until(MINUTE, |_| false));
    let few = handovers.min(size / 3);
    say("reboot one after the other");
    observed.take();
    let before = field.fleet.reboots;
    let down = Request::Delete(Delete {
        keys: Keys::one(down),
        prev_kv: false,
    });
    field.client.call(&down).expect("etcd deletes a claim");
    field.stretch("reboots", |fleet| {
        fleet.until(PATIENCE, |fleet| fleet.reboots >= before + few)
    });
    field.handovers(observed.take(), field.fleet.reboots - before);
    field.figures["status_sec"] = field.status().into();
    say("etcd restarts");
    let before = field.fleet.reboots;
    field.cluster.restart(0);
    field.until("next_after_restart", |fleet| fleet.reboots > before);
    say("all lose their leases at once");
    let (began, gone) = (Instant::now(), field.end_leases());
    field.stretch("lost", |fleet| fleet.until(MINUTE, |_| false));
    field.figures["leases_ended"] = gone.join().expect("it revokes what is there").into();
    field.until_all_have_claims("all_wait_after_loss", began, size);
    field.finish()
}

/// It holds the queue up while the others join.
fn claim_of_a_node_that_is_down() -> String {
    json!({
        "v": 1, "node": "down", "node_id": "down", "boot_id": "b0070000-0000-4000-8000-ffffffffffff", "session": "s",
        "phase": "rebooting", "limit": 1, "reasons": ["kernel"], "since": "2026-01-05T10:00:00.000Z",
        "committed_at": "2026-01-05T10:02:00.000Z", "attempts": 1, "patience_sec": 86_400, "version": "0.1.0",
    })
    .to_string()
}

impl Field {
    fn mark(&self) -> Mark {
        let counts = &self.fleet.counts;
        let all = [
            &counts.renewals,
            &counts.others,
            &counts.watches,
            &counts.failed,
        ];
        Mark {
            at: Instant::now(),
            spent: self.pid().map_or_else(Spent::default, |pid| {
                spent(pid, self.cluster.client_address(0))
            }),
            requests: all.map(|count| count.load(Ordering::Relaxed)),
            revision: store(&self.client).1,
        }
    }

    fn finish(mut self) -> Value {
        let warnings = &self.fleet.warnings;
        eprintln!("fleet: warnings: {warnings:?}");
        self.figures["warnings"] = warnings.values().sum::<usize>().into();
        self.figures
    }

    fn pid(&self) -> Option<u32> {
        self.cluster.pid(0)
    }

    /// Measures what is done meanwhile.
    fn stretch(&mut self, name: &str, go_on: impl FnOnce(&mut Fleet) -> bool) {
        let before = self.mark();
        go_on(&mut self.fleet);
        let after = self.mark();
        let time = (after.at - before.at).as_secs_f64();
        let requests = |kind: usize| (after.requests[kind] - before.requests[kind]) as f64 / time;
        let stretch = json!({
            "seconds": time,
            "renewals_a_second": requests(0),
            "others_a_second": requests(1),
            "watches_a_second": requests(2),
            "failed": after.requests[3] - before.requests[3],
            "revisions": after.revision - before.revision,
            "etcd_cpu_percent": 100.0 * (after.spent.cpu - before.spent.cpu).as_secs_f64() / time,
            "received_bytes_a_second": (after.spent.received - before.spent.received) / time,
            "sent_bytes_a_second": (after.spent.sent - before.spent.sent) / time,
            "etcd_resident_mb": self.pid().map_or(0.0, resident),
            "database_mb": store(&self.client).0,
            "waiting": self.fleet.waiting(),
        });
        eprintln!("fleet: {name}: {stretch}");
        self.figures[name] = stretch;
    }

    /// Measures how long it takes until that is so.
    fn until(&mut self, name: &str, is_so: impl Fn(&Fleet) -> bool) {
        let began = Instant::now();
        let came = self.fleet.until(PATIENCE, is_so);
        let took = came.then(|| began.elapsed().as_secs_f64());
        eprintln!("fleet: {name}: {took:?} s, {} wait", self.fleet.waiting());
        self.figures[name] = took.into();
    }

    fn handovers(&mut self, took: Vec<Duration>, reboots: usize) {
        let millis = |at: usize| took.get(at).map(|took| took.as_secs_f64() * 1000.0);
        self.figures["handover_ms"] = json!({
            "count": took.len(),
            "median": millis(took.len() / 2),
            "longest": millis(took.len().saturating_sub(1)),
        });
        let of = |kind: &str| self.figures["reboots"][kind].as_f64().unwrap_or_default();
        let others = of("others_a_second") * of("seconds") / reboots.max(1) as f64;
        self.figures["requests_a_reboot"] = others.into();
    }

    /// Ends every lease that is there, as fast as one connection can.
    fn end_leases(&self) -> JoinHandle<usize> {
        let leases = self.cluster.etcdctl(&["lease", "list"]);
        let client = self.client.fork().expect("a client like the first");
        thread::spawn(move || {
            let ids = leases
                .lines()
                .map(|line| i64::from_str_radix(line.trim(), 16));
            let revoke = |id| client.call(&Request::Revoke { id });
            ids.flatten().map(revoke).filter(Result::is_ok).count()
        })
    }

    /// Measures until when every node that has not rebooted has a claim.
    fn until_all_have_claims(&mut self, name: &str, since: Instant, size: usize) {
        let claims = Range {
            count_only: true,
            ..Range::of(Keys::prefix(format!("{LOCK}/claims/")))
        };
        while since.elapsed() < PATIENCE {
            let found = self
                .client
                .range(claims.clone())
                .map_or(0, |found| found.count);
            if found as usize + self.fleet.reboots >= size {
                self.figures[name] = since.elapsed().as_secs_f64().into();
                return;
            }
            self.fleet.until(Duration::from_millis(200), |_| false);
        }
    }

    /// How long the command takes that reads the whole cluster.
    fn status(&self) -> Option<f64> {
        let program = program()?;
        let folder = tempfile::tempdir().ok()?;
        let config = folder.path().join("config.yaml");
        let text = format!(
            "etcd_endpoints: [{}]\nlock_key: {LOCK}\nnode_name: reader\nreboot_command: [/bin/true]\nreboot_required_detectors: [{{type: file, path: /nowhere}}]\nhealth_script: /bin/true\nrun_dir: {}\n",
            self.cluster.client_url(0),
            folder.path().display(),
        );
        std::fs::write(&config, text).ok()?;
        let began = Instant::now();
        let ended = Command::new(program)
            .args(["status", "--config"])
            .arg(&config)
            .stdout(Stdio::null())
            .status();
        ended.ok()?.success().then(|| began.elapsed().as_secs_f64())
    }
}

/// The daemon's program beside this one.
fn program() -> Option<PathBuf> {
    let here = std::env::current_exe().ok()?;
    let program = here
        .parent()
        .map(Path::to_owned)?
        .join("reboot-coordinator");
    program.exists().then_some(program)
}

/// A line for each figure, a column for each size.
fn print_table(figures: &[Value]) {
    let cell = |value: &Value| match value.as_f64() {
        Some(number) if number >= 100.0 => format!("{number:.0}"),
        Some(number) => format!("{number:.2}"),
        None => "-".to_owned(),
    };
    let row = |name: &str, of: &dyn Fn(&Value) -> Value| {
        let cells: Vec<String> = figures.iter().map(|figure| cell(&of(figure))).collect();
        println!("| {name} | {} |", cells.join(" | "));
    };
    row("nodes", &|figure| figure["nodes"].clone());
    println!("|{}", " --- |".repeat(figures.len() + 1));
    for stretch in [
        "start",
        "idle",
        "join",
        "refused",
        "stay_refused",
        "wait",
        "reboots",
        "lost",
    ] {
        let Some(Value::Object(first)) = figures.first().map(|figure| &figure[stretch]) else {
            continue;
        };
        for name in first.keys() {
            row(
                &format!("{stretch}: {}", name.replace('_', " ")),
                &|figure| figure[stretch][name].clone(),
            );
        }
    }
    for name in ["median", "longest", "count"] {
        row(&format!("handover, ms: {name}"), &|figure| {
            figure["handover_ms"][name].clone()
        });
    }
    for name in [
        "requests_a_reboot",
        "status_sec",
        "all_wait",
        "next_after_restart",
        "leases_ended",
        "all_wait_after_loss",
        "warnings",
    ] {
        row(&name.replace('_', " "), &|figure| figure[name].clone());
    }
}
