//! `labels` and `limits`: the failure domains of a node.

use std::collections::BTreeMap;

use super::nearest::nearest;
use super::reader::Field;
use crate::lock::Domains;

/// How many labels a node may have. Each stands in its claim, and others read many claims at once.
const MOST: usize = 8;
/// The longest name of a label.
const LONGEST_NAME: usize = 32;
/// The longest value of a label.
const LONGEST_VALUE: usize = 64;

/// What the two fields say together, under a limit in all.
pub(super) fn read(labels: &Field<'_>, limits: &Field<'_>, most: u32) -> Option<Domains> {
    let labels_read = read_labels(labels)?;
    let mut limits_read = BTreeMap::new();
    let mut good = true;
    for (name, field) in entries(limits)? {
        if !labels_read.contains_key(name) {
            let known = labels_read.keys().map(String::as_str);
            let advice = match nearest(name, known.clone()) {
                Some(label) => format!("did you mean `{label}`?"),
                None if labels_read.is_empty() => {
                    format!("say where the node is: `labels: {{{name}: ...}}`")
                }
                None => format!("its labels are {}", known.collect::<Vec<_>>().join(", ")),
            };
            field.problem(format!("this node has no label `{name}`; {advice}"));
            good = false;
            continue;
        }
        if !field.is_set() {
            field.problem("needs a number: how many with the same value may be down at once");
        }
        let Some(limit) = field.whole(1, u32::MAX.into()) else {
            good = false;
            continue;
        };
        if limit >= most {
            field.warning(format!(
                "holds nobody up: max_concurrent_reboots ({most}) lets no more than {limit} go at once in any case; raise that, or \
                 remove this limit"
            ));
        }
        limits_read.insert(name.to_owned(), limit);
    }
    good.then_some(Domains {
        labels: labels_read,
        limits: limits_read,
    })
}

fn read_labels(labels: &Field<'_>) -> Option<BTreeMap<String, String>> {
    let entries = entries(labels)?;
    let mut good = entries.len() <= MOST;
    if !good {
        labels.problem(format!(
            "has {} labels, at most {MOST} are allowed: each stands in every claim; keep those that `limits` names",
            entries.len()
        ));
    }
    let mut read = BTreeMap::new();
    for (name, field) in entries {
        if !is_word(name, LONGEST_NAME) {
            field.problem(format!(
                "{name:?} is no name of a label; use 1 to {LONGEST_NAME} of A-Z a-z 0-9 . _ -"
            ));
            good = false;
        }
        if !field.is_given() {
            field.problem(format!(
                "needs a value: write where this node is, as in `{name}: r12`, or remove the label"
            ));
            good = false;
            continue;
        }
        match field.text() {
            Some(value) if is_word(&value, LONGEST_VALUE) => {
                read.insert(name.to_owned(), value);
            }
            Some(value) => {
                field.problem(format!(
                    "{value:?} is no value of a label; use 1 to {LONGEST_VALUE} of A-Z a-z 0-9 . _ -"
                ));
                good = false;
            }
            None => good = false,
        }
    }
    good.then_some(read)
}

/// The entries of a map; none when it is absent.
fn entries<'a>(field: &Field<'a>) -> Option<Vec<(&'a str, Field<'a>)>> {
    if !field.is_set() {
        return Some(Vec::new());
    }
    let names = field.entries()?.iter().map(|(name, _)| name.as_str());
    Some(names.map(|name| (name, field.field(name))).collect())
}

fn is_word(text: &str, longest: usize) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=longest).contains(&text.len()) && text.bytes().all(allowed)
}
