//! The parts of the keys in etcd that the configuration names.

use super::reader::Field;

/// The key under which all records live.
pub(super) fn lock_key(field: &Field<'_>) -> Option<String> {
    let text = field
        .required(
            "for example /cluster/reboot-coordinator/lock, the same for every node of a group",
        )?
        .text()?;
    let key = text.trim_end_matches('/');
    let wrong = if !text.starts_with('/') {
        "must be absolute; begin it with /"
    } else if key.is_empty() {
        "must not be / alone; every record lives under it, for example /cluster/reboot-coordinator/lock"
    } else {
        return part(field, key);
    };
    field.refuse(format!("{text:?} {wrong}"))
}

/// What stands before it, if anything.
pub(super) fn namespace(field: &Field<'_>) -> Option<String> {
    if !field.is_given() {
        return Some(String::new());
    }
    part(field, &field.text()?)
}

/// What tells machines of one name apart: the last part of a key, where a machine was refused its name.
pub(super) fn node_id(field: &Field<'_>) -> Option<String> {
    let text = field.text()?;
    if !text.contains('/') {
        return part(field, &text);
    }
    field.refuse(format!(
        "\"{}\" must not contain /; remove it",
        shown(&text)
    ))
}

/// A part of every key in etcd. Two that look alike must be alike: nodes that differ in one nobody sees form two groups, each
/// with a limit of its own.
fn part(field: &Field<'_>, text: &str) -> Option<String> {
    let wrong = if text.chars().any(|c| !c.is_ascii_graphic()) {
        "must not contain spaces, control characters or letters beyond ASCII; remove them"
    } else if text.contains("//") {
        "must not contain //; write a single /"
    } else if text.ends_with('/') {
        "must not end with /, because lock_key begins with one; remove it"
    } else {
        return Some(text.to_owned());
    };
    field.refuse(format!("\"{}\" {wrong}", shown(text)))
}

/// Every character that could be mistaken for another, or not be seen, as its number.
fn shown(text: &str) -> String {
    let escape = |c: char| match c {
        c if c.is_ascii() => c.escape_debug().to_string(),
        c => c.escape_unicode().to_string(),
    };
    text.chars().map(escape).collect()
}
