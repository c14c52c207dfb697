//! `reboot_required_detectors[]`.

use std::collections::HashMap;
use std::time::Duration;

use super::commands::program;
use super::host::Host;
use super::nearest::nearest;
use super::reader::{Field, Map};
use super::unsupported::refusal;
use super::{Detector, DetectorKind};
use crate::core::machine::DETECTOR;

const TYPES: &[&str] = &["file", "command", "kernel", "http"];

/// Which fields belong to a type, besides `type`, `name` and `timeout_sec`.
fn fields_of(kind: &str) -> &'static [&'static str] {
    match kind {
        "file" => &["path"],
        "command" => &["cmd", "success_exit_codes"],
        _ => &[],
    }
}

/// All detectors; at least one, names unique.
pub(super) fn read(field: &Field<'_>, host: &Host) -> Option<Vec<Detector>> {
    let Some(items) = field.list() else {
        if !field.is_set() || field.is_blank() {
            field.missing(
                "name at least one, for example {type: file, path: /var/run/reboot-required}",
            );
        }
        return None;
    };
    let mut names: HashMap<String, usize> = HashMap::new();
    let mut detectors = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let Some(detector) = detector(item, host) else {
            continue;
        };
        if detector.name == DETECTOR {
            item.problem(format!(
                "the name {DETECTOR:?} belongs to the detector of operators' requests, which is always on; give it another `name`"
            ));
        } else if let Some(first) = names.get(&detector.name) {
            item.problem(format!(
                "the name {:?} is taken by reboot_required_detectors[{first}]; give each its own `name`",
                detector.name
            ));
        } else {
            names.insert(detector.name.clone(), index);
        }
        detectors.push(detector);
    }
    Some(detectors)
}

fn detector(item: &Field<'_>, host: &Host) -> Option<Detector> {
    let kind = item.unchecked_map()?.field("type");
    let Some(name) = kind.text() else {
        // Checking the keys first lets a mistyped `type` be reported once.
        item.map();
        if !kind.is_set() || kind.is_blank() {
            kind.missing("use file, command or kernel");
        }
        return None;
    };
    if let Some(why) = refusal(&kind.pattern(), &name) {
        kind.problem(why);
        return None;
    }
    if name == "etcd" {
        kind.problem("requests through etcd are always watched; remove this entry");
        return None;
    }
    if !TYPES.contains(&name.as_str()) {
        let advice = nearest(&name, TYPES.iter().copied());
        let advice = advice.map_or("use file, command or kernel".to_owned(), |near| {
            format!("did you mean `{near}`?")
        });
        kind.problem(format!("{name:?} is not a type of detector; {advice}"));
        return None;
    }
    let map = item.map()?;
    refuse_fields_of_others(&map, &name);
    let timeout = timeout(&map.field("timeout_sec"));
    let (description, kind) = match name.as_str() {
        "file" => file(&map)?,
        "command" => command(&map, host)?,
        _ => ("kernel".to_owned(), DetectorKind::Kernel),
    };
    Some(Detector {
        name: map.field("name").text().unwrap_or(description),
        timeout: timeout?,
        kind,
    })
}

/// A field that this type ignores is a misunderstanding worth a word.
fn refuse_fields_of_others(map: &Map<'_>, kind: &str) {
    for (other, name) in TYPES
        .iter()
        .flat_map(|other| fields_of(other).iter().map(move |name| (other, name)))
    {
        let field = map.field(name);
        // An empty value, as a template writes it, asks for nothing.
        if *other != kind && field.is_set() && !field.is_blank() {
            field.problem(format!(
                "belongs to detectors of type {other}, not {kind}; remove it"
            ));
        }
    }
}

fn timeout(field: &Field<'_>) -> Option<Duration> {
    let timeout = field.seconds_or_zero(30)?;
    if timeout.is_zero() {
        // clusterrebootd reads 0 as "not set".
        field.warning("is 0, so the default of 30 seconds holds");
        return Some(Duration::from_secs(30));
    }
    Some(timeout)
}

fn file(map: &Map<'_>) -> Option<(String, DetectorKind)> {
    let field = map.field("path");
    field.required_text("for example /var/run/reboot-required")?;
    let path = field.absolute_path()?;
    Some((
        format!("file:{}", path.display()),
        DetectorKind::File { path },
    ))
}

fn command(map: &Map<'_>, host: &Host) -> Option<(String, DetectorKind)> {
    let field = map.field("cmd");
    let codes = exit_codes(&map.field("success_exit_codes"));
    let Some(words) = field.texts() else {
        if !field.is_set() || field.is_blank() {
            field.missing(
                "a list of program and arguments, for example [/usr/bin/needs-restarting, -r]",
            );
        }
        return None;
    };
    let description = words
        .iter()
        .map(|(_, word)| word.as_str())
        .collect::<Vec<_>>()
        .join(" ");
    let mut cmd: Vec<String> = words.iter().map(|(_, word)| word.clone()).collect();
    let (first, name) = words.first()?;
    match host.find_program(name) {
        // A name without a folder is looked up once, here, where a miss can still be reported.
        Some(found) if !name.contains('/') => cmd[0] = found.display().to_string(),
        _ => program(first, name, host)?,
    }
    Some((
        format!("command:{description}"),
        DetectorKind::Command {
            cmd,
            success_exit_codes: codes,
        },
    ))
}

fn exit_codes(field: &Field<'_>) -> Vec<i32> {
    let codes = field.list().unwrap_or_default();
    codes
        .iter()
        .filter_map(|code| code.whole(0, 255))
        .filter_map(|code| i32::try_from(code).ok())
        .collect()
}
