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
            continue;
        }
        if !field.is_set() {
            field.problem("needs a number: how many with the same value may be down at once");
        }
        let Some(limit) = field.whole(1, u32::MAX.into()) else {
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
    Some(Domains {
        labels: labels_read,
        limits: limits_read,
    })
}

fn read_labels(labels: &Field<'_>) -> Option<BTreeMap<String, String>> {
    let entries = entries(labels)?;
    let count = entries.len();
    if count > MOST {
        labels.problem(format!(
            "has {count} labels, at most {MOST} are allowed: each stands in every claim; keep those that `limits` names"
        ));
    }
    // All of them are looked at before the first that is wrong ends this.
    let read: Vec<_> = entries.iter().map(|it| label(it.0, &it.1)).collect();
    read.into_iter()
        .collect::<Option<_>>()
        .filter(|_| count <= MOST)
}

fn label(name: &str, field: &Field<'_>) -> Option<(String, String)> {
    let is_name = is_word(name, LONGEST_NAME);
    if !is_name {
        field.problem(format!(
            "{name:?} is no name of a label; use 1 to {LONGEST_NAME} of A-Z a-z 0-9 . _ -"
        ));
    }
    if !field.is_given() {
        return field.refuse(format!(
            "needs a value: write where this node is, as in `{name}: r12`, or remove the label"
        ));
    }
    let value = field.text()?;
    if !is_word(&value, LONGEST_VALUE) {
        return field.refuse(format!(
            "{value:?} is no value of a label; use 1 to {LONGEST_VALUE} of A-Z a-z 0-9 . _ -"
        ));
    }
    is_name.then(|| (name.to_owned(), value))
}

/// The entries of a map; none when it is absent.
fn entries<'a>(field: &Field<'a>) -> Option<Vec<(&'a str, Field<'a>)>> {
    if !field.is_set() {
        return Some(Vec::new());
    }
    let names = field.entries()?.iter().map(|(name, _)| name.as_str());
    Some(names.map(|name| (name, field.field(name))).collect())
}

/// Letters, digits and what joins them.
pub(super) fn is_word(text: &str, longest: usize) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=longest).contains(&text.len()) && text.bytes().all(allowed)
}
