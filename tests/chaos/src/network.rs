//! The network: a bridge in the run's own namespace, and one namespace with an address for each member and each host.

use std::collections::BTreeMap;
use std::io;

use crate::system::{feed, run};

/// The end of the cable inside each namespace.
const DEVICE: &str = "eth0";

/// The address of member `index`.
pub(crate) fn member_address(index: usize) -> String {
    format!("10.77.0.{}", 11 + index)
}

/// The address of host `index`.
pub(crate) fn host_address(index: usize) -> String {
    format!("10.77.1.{}", 1 + index)
}

/// The address of the copy of host `index`.
pub(crate) fn copy_address(index: usize) -> String {
    format!("10.77.2.{}", 1 + index)
}

/// What to do with packets from and to some addresses, in one namespace.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) peers: Vec<String>,
    pub(crate) incoming: bool,
    pub(crate) outgoing: bool,
    pub(crate) treatment: Treatment,
}

/// What happens to a packet.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Treatment {
    Drop,
    /// The sender is told that the connection is closed.
    Reset,
    /// So many in a hundred are lost.
    Lose(usize),
}

/// The faults in force: rules by namespace and by the number of the fault.
#[derive(Default)]
pub(crate) struct Network {
    rules: BTreeMap<String, BTreeMap<usize, Rule>>,
}

impl Network {
    pub(crate) fn create() -> io::Result<Network> {
        for line in [
            "ip link set lo up",
            "ip link add chaos type bridge",
            "ip addr add 10.77.0.1/16 dev chaos",
            "ip link set chaos up",
        ] {
            run(line)?;
        }
        Ok(Network::default())
    }

    /// A namespace on the bridge.
    pub(crate) fn join(&self, name: &str, address: &str) -> io::Result<()> {
        for line in [
            format!("ip netns add {name}"),
            format!("ip link add {name} type veth peer name {DEVICE} netns {name}"),
            format!("ip link set {name} master chaos up"),
            format!("ip -n {name} addr add {address}/16 dev {DEVICE}"),
            format!("ip -n {name} link set {DEVICE} up"),
            format!("ip -n {name} link set lo up"),
        ] {
            run(&line)?;
        }
        Ok(())
    }

    /// Puts a rule in force.
    pub(crate) fn add(&mut self, name: &str, fault: usize, rule: Rule) -> io::Result<()> {
        let rules = self.rules.entry(name.to_owned()).or_default();
        rules.insert(fault, rule);
        load(name, rules)
    }

    /// Lifts the rule of a fault.
    pub(crate) fn lift(&mut self, name: &str, fault: usize) -> io::Result<()> {
        let rules = self.rules.entry(name.to_owned()).or_default();
        match rules.remove(&fault) {
            Some(_) => load(name, rules),
            None => Ok(()),
        }
    }
}

/// Everything that leaves goes through a pipe of so many bits a second, and waits there.
pub(crate) fn slow(name: &str, kilobits: usize) -> io::Result<()> {
    let line = format!(
        "tc -n {name} qdisc replace dev {DEVICE} root tbf rate {kilobits}kbit burst 1600 limit 100000"
    );
    run(&line).map(drop)
}

pub(crate) fn fast(name: &str) -> io::Result<()> {
    run(&format!("tc -n {name} qdisc del dev {DEVICE} root")).map(drop)
}

/// Pulls the plug, or puts it back.
pub(crate) fn link(name: &str, up: bool) -> io::Result<()> {
    let state = if up { "up" } else { "down" };
    run(&format!("ip -n {name} link set {DEVICE} {state}")).map(drop)
}

/// All rules of a namespace in one transaction.
fn load(name: &str, rules: &BTreeMap<usize, Rule>) -> io::Result<()> {
    let mut script = String::from("add table inet chaos\ndelete table inet chaos\n");
    script.push_str("table inet chaos {\n");
    script.push_str(&chain(
        "input",
        "saddr",
        rules.values().filter(|r| r.incoming),
    ));
    script.push_str(&chain(
        "output",
        "daddr",
        rules.values().filter(|r| r.outgoing),
    ));
    script.push_str("}\n");
    let words = ["ip", "netns", "exec", name, "nft", "-f", "-"];
    feed(&words, &script).map(drop)
}

fn chain<'a>(hook: &str, end: &str, rules: impl Iterator<Item = &'a Rule>) -> String {
    let mut text = format!("chain {hook} {{ type filter hook {hook} priority 0\n");
    for rule in rules {
        let peers = rule.peers.join(", ");
        let treatment = match rule.treatment {
            Treatment::Drop => "drop".to_owned(),
            Treatment::Reset => "meta l4proto tcp reject with tcp reset".to_owned(),
            Treatment::Lose(percent) => format!("numgen random mod 100 < {percent} drop"),
        };
        text.push_str(&format!("ip {end} {{ {peers} }} {treatment}\n"));
    }
    text.push_str("}\n");
    text
}
