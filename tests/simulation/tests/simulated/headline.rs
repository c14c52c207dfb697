//! The headline of `status`, rendered from what is in the simulated etcd at the states of some thousand histories, against what is
//! really true of the hosts.

#![allow(clippy::unwrap_used)] // helpers of tests count as tests

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::thread;
use std::time::Duration;

use etcd_rs_sync::Request;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use reboot_coordinator::cli::parse;
use reboot_coordinator::core::{Mode, State};
use reboot_coordinator::lock::Keys;
use reboot_coordinator::lock::outcome::Found;
use reboot_coordinator::lock::survey::{Pages, Survey, survey};
use reboot_coordinator::status::{Part, Reader, Revisions, Tone, of_cluster};
use simulation::plan::Fault;
use simulation::{Plan, SECOND, Time, World};

/// 2026-01-01T00:00:00Z, where virtual time begins.
const EPOCH_SECOND: i64 = 1_767_225_600;

/// How long the headline may lag behind what is true: a report's lease, a look at the gates, what travels.
const GRACE: Time = 300 * SECOND;

/// After how long a node that says nothing is one to worry about, as in a configuration.
const PATIENCE: Duration = Duration::from_secs(120);

/// At least so often the headline is looked at, besides at each change of the store.
const LOOK: Time = 10 * SECOND;

/// What is said of a node whose claim was taken away before it noticed.
const CLAIMLESS: &str = "its claim was taken away, which it has yet to notice";

/// What the headline may be made to say wrongly, to see that it is found.
#[derive(Clone, Copy, Debug)]
enum Wrong {
    /// That there is nothing to do.
    Green,
    /// That a node has not come back.
    Lost,
    /// That it is blocked by something else.
    Gate,
    /// A command about another node.
    Command,
    /// That its claim is gone.
    Claimless,
    /// How long it has been away, by its clock.
    Clock,
}

/// What has been true of one host, and since when.
#[derive(Clone, Debug, Default)]
struct Truth {
    gone_since: Option<Time>,
    /// Up, with a process that runs and reaches etcd.
    well_since: Option<Time>,
    /// What its machine says of itself in this process: state and label.
    says: Option<(u64, String, String)>,
    says_since: Time,
    /// And the reason in words.
    text: String,
    text_since: Time,
}

impl Truth {
    fn of(self, world: &World, index: usize) -> Truth {
        let (host, now) = (&world.hosts[index], world.now);
        let process = host.process.as_ref().filter(|_| host.up);
        let daemon = host.plan.settings.mode == Mode::Daemon
            && host.plan.settings.health_publish_interval.is_some();
        let trouble = host.trouble.is_some_and(|(_, _, until)| until > now);
        let well = daemon
            && !trouble
            && process.is_some_and(|it| {
                let stops = matches!(it.machine.state(), State::Stopping | State::Stopped);
                it.paused_until.is_none() && it.machine.etcd_trouble().is_none() && !stops
            });
        let says = process.and_then(|it| {
            let standing = it.machine.standing()?;
            let blocked = standing.blocked.as_ref().map(|it| it.label.clone());
            Some((it.pid, standing.state.clone(), blocked.unwrap_or_default()))
        });
        let text = process.and_then(|it| it.machine.standing()?.blocked.as_ref());
        let text = text.map(|it| it.text.clone()).unwrap_or_default();
        let since = |holds: bool, before: Option<Time>| holds.then(|| before.unwrap_or(now));
        Truth {
            gone_since: since(process.is_none(), self.gone_since),
            well_since: since(well, self.well_since),
            says_since: if says == self.says {
                self.says_since
            } else {
                now
            },
            says,
            text_since: if text == self.text {
                self.text_since
            } else {
                now
            },
            text,
        }
    }

    /// Whether all that it says can have been read for a while.
    fn is_known(&self, now: Time) -> bool {
        self.well_since.is_some_and(|since| now > since + GRACE) && now > self.says_since + GRACE
    }
}

fn read(world: &mut World) -> Survey {
    let keys = Keys::new("", "/r");
    let reply = world.etcd.apply(world.now, &Request::Txn(survey(&keys)));
    Pages::of(reply.unwrap(), &keys).unwrap().complete()
}

fn names(text: &str, node: &str) -> bool {
    text.split(|c: char| !c.is_ascii_alphanumeric())
        .any(|word| word == node)
}

/// What is wrong with the headline, if something is.
fn judge(
    world: &World,
    (truths, stood): (&[Truth], &BTreeMap<i64, Time>),
    survey: &Survey,
    parts: &[Part],
) -> Result<(), String> {
    let now = world.now;
    let green = parts.iter().all(|part| part.tone == Tone::Good);
    for (index, (host, truth)) in world.hosts.iter().zip(truths).enumerate() {
        let node = format!("n{index}");
        let said = |words: &str| {
            parts
                .iter()
                .any(|part| part.fact.contains(&format!("{node} {words}")))
        };
        let claim = survey.claims.iter().find(|(name, _)| *name == node);
        if green && claim.is_some_and(|(_, found)| host.disrupted == Some(found.create)) {
            return Err(format!("green, and {node} is disrupted"));
        }
        let written = claim.and_then(|(_, found)| stood.get(&found.modified));
        let allowed = |found: &Found| {
            let claim = found.claim.as_ref();
            claim.map_or(PATIENCE, |claim| claim.patience(PATIENCE))
        };
        let allowed = claim.map_or(0, |(_, found)| allowed(found).as_micros() as Time);
        if let Some(at) = written.filter(|at| now - **at < allowed)
            && (said("has not come back")
                || said("had yet to prove that it is healthy and is silent")
                || said("was being drained and is silent"))
        {
            let sec = (now - at) / SECOND;
            return Err(format!("{node} is called late after {sec} s"));
        }
        let registered = survey.nodes.iter().any(|(name, _)| *name == node);
        if green && registered && truth.gone_since.is_some_and(|since| now > since + GRACE) {
            let once = host.plan.settings.mode != Mode::Daemon;
            if !(once && host.up) {
                return Err(format!("green, and {node} is gone for long"));
            }
        }
        if !truth.is_known(now) {
            continue;
        }
        let (_, state, label) = truth.says.as_ref().ok_or("a process that says nothing")?;
        if green && state != "idle" {
            return Err(format!("green, and {node} says {state} {label}"));
        }
        if said("has not come back")
            || said("is silent")
            || said("had yet to prove that it is healthy and is silent")
        {
            return Err(format!(
                "{node} is called lost or silent, and says {state} {label} for {} s",
                (now - truth.says_since) / SECOND
            ));
        }
        // What a node is at whose claim was taken away is not what its claim says.
        let claimless = claim.is_none()
            && ["draining", "rebooting", "retrying", "holding"].contains(&state.as_str());
        let told = parts.iter().any(|part| {
            part.fact.starts_with(&format!("{node} ")) && part.fact.contains(CLAIMLESS)
        });
        if claimless != told {
            return Err(format!("{node} says {state} {label}, claim: {claim:?}"));
        }
        for part in parts.iter().filter(|part| {
            part.fact
                .contains(&format!("{node} needs a reboot and is blocked"))
        }) {
            // Of several in a lower wave the headline names who needs somebody, and the node the first.
            let judged = label == "wave" && part.fact.contains("members of lower waves go first");
            let old = now > truth.text_since + GRACE && !part.fact.contains(&truth.text) && !judged;
            if old || state != "blocked" {
                let (text, told) = (&truth.text, &part.fact);
                return Err(format!("{node} says {state} {label} ({text}): {told}"));
            }
            let over = match label.as_str() {
                "kill_switch" => now > host.kill_switch_until + GRACE,
                "paused" => world.etcd.get(b"/r/pause").is_none(),
                _ => false,
            };
            if over {
                return Err(format!(
                    "{node} is no longer blocked by {label}: {}",
                    part.fact
                ));
            }
        }
    }
    parts
        .iter()
        .try_for_each(|part| typed(part, world.hosts.len()))
}

/// That a command is one of ours, and about a node that the sentence names.
fn typed(part: &Part, nodes: usize) -> Result<(), String> {
    let Some((_, command)) = &part.command else {
        return Ok(());
    };
    let words: Vec<OsString> = command.split(' ').map(OsString::from).collect();
    parse::parse(words).map_err(|why| format!("{command}: {why}"))?;
    let about = (0..nodes)
        .map(|index| format!("n{index}"))
        .find(|node| names(command, node));
    match about {
        Some(node) if names(&part.fact, &node) => Ok(()),
        None if command == "resume" => Ok(()),
        _ => Err(format!("{command} is not about: {}", part.fact)),
    }
}

fn spoil(wrong: Option<Wrong>, parts: Vec<Part>) -> Vec<Part> {
    let good = |text: &str, good| Part {
        tone: if good { Tone::Good } else { Tone::Bad },
        fact: text.to_owned(),
        more: None,
        command: None,
    };
    match wrong {
        // It reads otherwise.
        None | Some(Wrong::Clock) => parts,
        Some(Wrong::Green) => vec![good("Nothing to do: nobody reboots, nobody waits.", true)],
        Some(Wrong::Lost) => parts
            .into_iter()
            .chain([good("n0 has not come back.", false)])
            .collect(),
        Some(Wrong::Gate) => parts
            .into_iter()
            .map(|part| match part.fact.split_once("is blocked: ") {
                Some((who, _)) => good(&format!("{who}is blocked: the moon is full."), false),
                None => part,
            })
            .collect(),
        Some(Wrong::Claimless) => parts
            .into_iter()
            .chain([good(&format!("n0 waits; {CLAIMLESS}."), false)])
            .collect(),
        Some(Wrong::Command) => parts
            .into_iter()
            .map(|mut part| {
                part.command = part
                    .command
                    .map(|(when, it)| (when, it.replace("n0", "n1")));
                part
            })
            .collect(),
    }
}

/// How many headlines of a history were judged, and which was wrong.
fn history(seed: u64, wrong: Option<Wrong>) -> (u64, Option<String>) {
    let mut plan = Plan::of_seed(seed);
    // What is shown of a node is compared with the host of that number.
    plan.faults
        .retain(|(_, fault)| !matches!(fault, Fault::Named(..)));
    let mut world = World::new(plan);
    let mut truths = vec![Truth::default(); world.hosts.len()];
    let (mut judged, mut revision, mut looked) = (0, 0, 0);
    // When each revision was seen first, by a host whose clock is right and by the test.
    let (mut revisions, mut stood) = (Revisions::default(), BTreeMap::new());
    while !world.over() {
        world.step();
        truths = truths
            .into_iter()
            .enumerate()
            .map(|(index, truth)| truth.of(&world, index))
            .collect();
        if world.etcd.revision() == revision && world.now < looked + LOOK {
            continue;
        }
        (revision, looked) = (world.etcd.revision(), world.now);
        let since_boot = Duration::from_micros(world.now);
        revisions.saw(revision, since_boot, PATIENCE);
        stood.entry(revision).or_insert(world.now);
        let survey = read(&mut world);
        let micros = i64::try_from(world.now).unwrap();
        let at = Timestamp::from_microsecond(EPOCH_SECOND * 1_000_000 + micros).unwrap();
        let reader = Reader {
            now: at,
            patience: PATIENCE,
            seen: Some((&revisions, since_boot)).filter(|_| !matches!(wrong, Some(Wrong::Clock))),
            here: None,
            limit: 1,
            halt_after: 1,
        };
        let parts = spoil(wrong, of_cluster(&survey, &reader, &TimeZone::UTC));
        judged += 1;
        if let Err(why) = judge(&world, (&truths, &stood), &survey, &parts) {
            let shown: Vec<String> = parts.into_iter().map(|part| part.fact).collect();
            let at = world.now / SECOND;
            return (
                judged,
                Some(format!(
                    "seed {seed}, at {at} s: {why}\n{}",
                    shown.join("\n")
                )),
            );
        }
    }
    (judged, None)
}

#[test]
fn what_the_headline_says_is_true_in_every_state() {
    let count = std::env::var("HEADLINE_HISTORIES").map_or(1000, |it| it.parse().unwrap());
    // Two threads: more than that the other tests leave nowhere.
    let half = |first: u64| {
        let seeds = (first..=count).step_by(2);
        seeds.fold((0, Vec::new()), |(judged, mut wrongs), seed| {
            let (states, wrong) = history(seed, None);
            wrongs.extend(wrong);
            (judged + states, wrongs)
        })
    };
    let (one, two) = thread::scope(|scope| {
        let other = scope.spawn(|| half(2));
        (half(1), other.join().unwrap())
    });
    let wrongs = [one.1, two.1].concat();
    assert!(wrongs.is_empty(), "{}", wrongs.join("\n\n"));
    let judged = one.0 + two.0;
    println!("{judged} headlines of {count} histories");
    assert!(judged > 50 * count, "{judged}");
}

#[test]
fn a_wrong_headline_is_found() {
    for wrong in [
        Wrong::Green,
        Wrong::Lost,
        Wrong::Gate,
        Wrong::Command,
        Wrong::Claimless,
        Wrong::Clock,
    ] {
        let found = (1..=1000).find(|seed| history(*seed, Some(wrong)).1.is_some());
        let seed = found.unwrap_or_else(|| panic!("{wrong:?} was not noticed"));
        println!("{wrong:?} is found in history {seed}");
    }
}
