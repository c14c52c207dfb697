//! The parts of the keys in etcd that the configuration names.

use super::reader::Field;
use crate::lock::keys::is_room;

/// The key under which all records live.
pub(super) fn lock_key(field: &Field<'_>) -> Option<String> {
    let remedy = "for example /cluster/reboot-coordinator/lock, the same for every node of a group";
    let text = field.required(remedy)?.text()?;
    let key = text.trim_end_matches('/');
    let alone = "must not be / alone; every record lives under it, for example /cluster/reboot-coordinator/lock";
    let absolute = "must be absolute; begin it with /";
    let rules = [
        (key.is_empty(), alone),
        (!text.starts_with('/'), absolute),
        (key.contains("//"), SINGLE),
    ];
    if let Some((above, word)) = key.rsplit_once('/')
        && !above.is_empty()
        && is_room(word)
    {
        field.warning(format!(
            "is where a group with the lock_key {above} has its own keys ({word}), which takes those of this group for foreign ones; end it \
             in another word, unless there is no such group"
        ));
    }
    told(field, if key.is_empty() { &text } else { key }, &rules)
}

/// What stands before it, if anything.
pub(super) fn namespace(field: &Field<'_>) -> Option<String> {
    if !field.is_given() {
        return Some(String::new());
    }
    let text = field.text()?;
    let end = "must not end with /, because lock_key begins with one; remove it";
    let rules = [(text.contains("//"), SINGLE), (text.ends_with('/'), end)];
    told(field, &text, &rules)
}

/// What tells machines of one name apart: the last part of a key, where a machine was refused its name.
pub(super) fn node_id(field: &Field<'_>) -> Option<String> {
    let text = field.text()?;
    let rule = (text.contains('/'), "must not contain /; remove it");
    told(field, &text, &[rule])
}

const SINGLE: &str = "must not contain //; write a single /";

/// A part of every key in etcd, with all that is wrong with it told. Two that look alike must be alike: nodes that differ in one nobody
/// sees form two groups, each with a limit of its own.
fn told(field: &Field<'_>, text: &str, rules: &[(bool, &str)]) -> Option<String> {
    let hidden = text.chars().any(|c| !c.is_ascii_graphic());
    let plain = "must not contain spaces, control characters or letters beyond ASCII; remove them";
    let rules = [(hidden, plain)].into_iter().chain(rules.iter().copied());
    let wrong: Vec<_> = rules.filter(|(wrong, _)| *wrong).collect();
    for (_, why) in &wrong {
        field.problem(format!("\"{}\" {why}", shown(text)));
    }
    wrong.is_empty().then(|| text.to_owned())
}

/// Every character that could be mistaken for another, or not be seen, as its number.
fn shown(text: &str) -> String {
    let escape = |c: char| match c {
        c if c.is_ascii() => c.escape_debug().to_string(),
        c => c.escape_unicode().to_string(),
    };
    text.chars().map(escape).collect()
}
