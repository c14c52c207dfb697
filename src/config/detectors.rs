//! `reboot_required_detectors[]`.

use std::collections::HashMap;
use std::time::Duration;

use ureq::http::Uri;

use super::host::Host;
use super::load::public;
use super::nearest::nearest;
use super::programs::{absolute, argv, executes};
use super::reader::Field;
use super::{Detector, DetectorKind, HttpCheck, HttpMeans, NOT_STARTED, files};
use crate::core::machine::DETECTOR;
use crate::escape::is_hidden;

/// What a detector of one type does, and the name that it gets of that.
type Read = fn(&Field<'_>, &Host) -> Option<(String, DetectorKind)>;

/// Each type with the fields that it has besides `type`, `name` and `timeout_sec`.
const TYPES: &[(&str, &[&str], Read)] = &[
    ("file", &["path"], file),
    ("command", &["cmd", "success_exit_codes"], command),
    ("kernel", &[], |_, _| {
        Some(("kernel".to_owned(), DetectorKind::Kernel))
    }),
    (
        "http",
        &["url", "pointer", "equals", "status_codes", "tls_ca_file"],
        http,
    ),
];

const KNOWN: &str = "use file, command, kernel or http";

/// All detectors; at least one, names unique.
pub(super) fn read(field: &Field<'_>, host: &Host) -> Option<Vec<Detector>> {
    let remedy = "name at least one, for example {type: file, path: /var/run/reboot-required}";
    let items = field.or_missing(field.list(), remedy)?;
    let mut names: HashMap<String, usize> = HashMap::new();
    let mut detectors = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let Some(mut detector) = detector(item, host) else {
            continue;
        };
        number(&mut detector, &detectors);
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

/// Commands of one program with other arguments are told apart by numbers. An equal one is refused.
fn number(detector: &mut Detector, before: &[Detector]) {
    let DetectorKind::Command(cmd, _) = &detector.kind else {
        return;
    };
    let default = of_program(cmd);
    let is_same = |it: &&Detector| matches!(&it.kind, DetectorKind::Command(cmd, _) if of_program(cmd) == default);
    let same: Vec<_> = before.iter().filter(is_same).collect();
    if detector.name == default
        && !same.is_empty()
        && same.iter().all(|it| it.kind != detector.kind)
    {
        detector.name = format!("{default}#{}", same.len() + 1);
    }
}

/// It stands in logs, metrics and on terminals.
fn name_of(map: &Field<'_>) -> Option<String> {
    let field = map.field("name");
    let name = field.text()?;
    if name.contains(is_hidden) {
        field.problem(format!(
            "{name:?} holds what cannot be seen; write a name in one line"
        ));
    }
    Some(name)
}

/// The program only: among its arguments may be secrets, and a name is public.
fn of_program(cmd: &[String]) -> String {
    let program = cmd.first().and_then(|program| program.rsplit('/').next());
    format!("command:{}", program.unwrap_or_default())
}

fn detector(item: &Field<'_>, host: &Host) -> Option<Detector> {
    item.entries()?;
    let kind = item.field("type");
    let Some(name) = kind.text() else {
        // Checking the keys first lets a mistyped `type` be reported once.
        item.map();
        return kind.or_missing(None, KNOWN);
    };
    if name == "etcd" {
        return kind.refuse("requests through etcd are always watched; remove this entry");
    }
    let Some((_, _, read)) = TYPES.iter().find(|(known, ..)| *known == name) else {
        let advice = match nearest(&name, TYPES.iter().map(|(known, ..)| *known)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => KNOWN.to_owned(),
        };
        return kind.refuse(format!("{name:?} is not a type of detector; {advice}"));
    };
    item.map();
    refuse_fields_of_others(item, &name);
    let timeout = timeout(&item.field("timeout_sec"));
    let (description, kind) = read(item, host)?;
    Some(Detector {
        name: name_of(item).unwrap_or(description),
        timeout: timeout?,
        kind,
    })
}

/// A field that this type ignores is a misunderstanding worth a word.
fn refuse_fields_of_others(map: &Field<'_>, kind: &str) {
    for (other, names, _) in TYPES.iter().filter(|(other, ..)| *other != kind) {
        for field in names.iter().map(|name| map.field(name)) {
            if field.is_given() {
                field.problem(format!(
                    "belongs to detectors of type {other}, not {kind}; remove it"
                ));
            }
        }
    }
}

fn timeout(field: &Field<'_>) -> Option<Duration> {
    let timeout = field.seconds_or_zero()?;
    if timeout.is_zero() {
        // clusterrebootd reads 0 as "not set".
        field.warning("is 0, so the default of 30 seconds holds");
        return Some(Duration::from_secs(30));
    }
    Some(timeout)
}

fn file(map: &Field<'_>, _: &Host) -> Option<(String, DetectorKind)> {
    let field = map.field("path");
    let example = "for example /var/run/reboot-required";
    let path = field.required(example)?.absolute_path()?;
    let name = format!("file:{}", path.display());
    Some((name, DetectorKind::File(path)))
}

fn command(map: &Field<'_>, host: &Host) -> Option<(String, DetectorKind)> {
    let field = map.field("cmd");
    let codes = exit_codes(&map.field("success_exit_codes"));
    let remedy = "a list of program and arguments, for example [/usr/bin/needs-restarting, -r]";
    let mut words = field.or_missing(field.texts(), remedy)?;
    let (first, name) = words.first_mut()?;
    match host.find_program(name) {
        // A name without a folder is looked up once, here, where a miss can still be reported.
        Some(found) if !name.contains('/') => *name = found.display().to_string(),
        _ => absolute(first, name, host)?,
    }
    executes(&words)?;
    let cmd = argv(&words);
    if codes.is_empty()
        && let Some(name) = inverted(&cmd)
    {
        field.warning(format!(
            "`{name}` exits with 0 when what it looks for is there, and here every code but 0 means that a reboot is required; use \
             `type: file`, or set success_exit_codes: [0]"
        ));
    }
    Some((of_program(&cmd), DetectorKind::Command(cmd, codes)))
}

/// The program of a command that says yes with 0, as sentinel commands of kured do, also as the whole of a shell's line. One that
/// is turned round with `!` says it as is wanted here.
fn inverted(cmd: &[String]) -> Option<&'static str> {
    let shell = cmd.first().is_some_and(|program| program.ends_with("sh"));
    let option = |word: &String| word.starts_with('-') && word.ends_with('c');
    let line = match cmd.iter().position(option).filter(|_| shell) {
        Some(at) => cmd.get(at + 1)?.clone(),
        None => cmd.join(" "),
    };
    let mut words = line.split_whitespace();
    let word = words.next()?.rsplit('/').next()?;
    let name = ["test", "[", "[["].into_iter().find(|name| *name == word)?;
    (words.next() != Some("!")).then_some(name)
}

fn exit_codes(field: &Field<'_>) -> Vec<i32> {
    let items = field.list().unwrap_or_default();
    let read = items.iter().filter_map(|item| {
        let code = item.whole(0, 255)?;
        if NOT_STARTED.contains(&code) {
            item.warning(format!(
                "{code} is how a shell says that it could not start a program, so that a missing one means a reboot; remove it"
            ));
        }
        Some(code)
    });
    read.collect()
}

fn http(map: &Field<'_>, _: &Host) -> Option<(String, DetectorKind)> {
    let field = map.field("url");
    let example = "for example https://cmdb.example.com/reboot/node-7";
    let url = field.required(example)?.text()?;
    let shown = field.accept(address(&url))?;
    let ca = map.field("tls_ca_file");
    let ca_file = match ca.is_given() {
        true => Some(files::authorities(&ca)?),
        false => None,
    };
    let check = HttpCheck {
        url,
        means: means(map)?,
        ca_file,
    };
    let name = format!("http:{}", public(&shown));
    Some((name, DetectorKind::Http(check)))
}

/// The address without what may be a secret in it, for the name; or why it cannot be used, which repeats nothing of it.
fn address(url: &str) -> Result<String, String> {
    let uri: Uri = url.parse().map_err(|error| {
        format!(
            "is not a URL: {error}; write http:// or https://, a host and a path, without spaces"
        )
    })?;
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    match uri.scheme_str() {
        Some("http" | "https") if authority.contains('@') => {
            Err("must not hold a user or password, which would be logged; let the server know this node by its address".into())
        }
        Some(scheme @ ("http" | "https")) if !authority.is_empty() => {
            port(&uri).ok_or("needs a port from 1 to 65535 after the host, or none")?;
            Ok(format!("{scheme}://{authority}{}", uri.path()))
        }
        Some(_) | None => Err("does not begin with http:// or https:// and a host".into()),
    }
}

/// The port of a URL, or that of its scheme when it names none. Nothing when what it names is no port: what answers at another one is
/// somebody else.
pub(crate) fn port(uri: &Uri) -> Option<u16> {
    let authority = uri.authority()?;
    match uri.scheme_str() {
        _ if authority.as_str() != authority.host() => authority.port_u16().filter(|it| *it > 0),
        Some("https") => Some(443),
        Some(_) | None => Some(80),
    }
}

/// Either status codes, or a place in a JSON document with its value.
fn means(map: &Field<'_>) -> Option<HttpMeans> {
    let codes = map.field("status_codes");
    let (pointer, equals) = (map.field("pointer"), map.field("equals"));
    // An empty text is the pointer to the whole document, and a value to compare with.
    match (codes.is_given(), pointer.is_set(), equals.is_set()) {
        (true, false, false) => {
            let list = codes.list()?;
            let read = list.iter().filter_map(|code| code.whole(200, 599));
            let codes: Vec<u16> = read.collect();
            (codes.len() == list.len()).then_some(HttpMeans::Status(codes))
        }
        (false, true, true) => {
            let text = match pointer.plain_text() {
                Some(text) => text.to_owned(),
                None => pointer.any_text()?,
            };
            if !text.is_empty() && !text.starts_with('/') {
                return pointer.refuse(format!(
                    "{text:?} is not a JSON pointer; it begins with a slash, for example /reboot/required"
                ));
            }
            let mut escapes = text.split('~').skip(1);
            if !escapes.all(|behind| behind.starts_with(['0', '1'])) {
                return pointer.refuse(format!(
                    "{text:?} is not a JSON pointer; write ~0 for a ~ in a name, and ~1 for a slash"
                ));
            }
            Some(HttpMeans::Json(text, equals.scalar()?))
        }
        (true, _, _) => {
            codes.refuse("does not go with `pointer` and `equals`; remove one or the other")
        }
        (false, true, false) => {
            equals.missing("the value at `pointer` that means a reboot is required")
        }
        (false, false, true) => {
            pointer.missing("where in the JSON document `equals` is, for example /reboot/required")
        }
        (false, false, false) => {
            codes.missing("or `pointer` and `equals`: which answer means that a reboot is required")
        }
    }
}
