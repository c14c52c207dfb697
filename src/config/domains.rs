//! `labels` and `limits`: the failure domains of a node.

use std::collections::BTreeMap;

use super::nearest::nearest;
use super::reader::Field;
use crate::lock::Domains;
use crate::lock::keys::is_word;

/// How many labels a node may have. Each stands in its claim, and others read many claims at once.
const MOST: usize = 8;
/// The longest name of a label.
const LONGEST_NAME: usize = 32;
/// The longest value of a label.
const LONGEST_VALUE: usize = 64;

/// What the two fields say together, under a limit in all. What is wrong is left out, and told.
pub(super) fn read(labels: &Field<'_>, limits: &Field<'_>, most: u32) -> Domains {
    let written = entries(labels);
    let known = written.iter().map(|(name, _)| *name);
    if written.len() > MOST {
        labels.problem(format!(
            "has {} labels, at most {MOST} are allowed: each stands in every claim; keep those that `limits` names",
            written.len()
        ));
    }
    let mut limits_read = BTreeMap::new();
    for (name, field) in entries(limits) {
        if !known.clone().any(|label| label == name) {
            let advice = match nearest(name, known.clone()) {
                Some(label) => format!("did you mean `{label}`?"),
                None if written.is_empty() => {
                    format!("say where the node is: `labels: {{{name}: ...}}`")
                }
                None => format!(
                    "its labels are {}",
                    known.clone().collect::<Vec<_>>().join(", ")
                ),
            };
            field.problem(format!("this node has no label `{name}`; {advice}"));
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
    Domains {
        labels: written.iter().filter_map(|it| label(it.0, &it.1)).collect(),
        limits: limits_read,
    }
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

/// The entries of a map; none when it is absent, or no map.
fn entries<'a>(field: &Field<'a>) -> Vec<(&'a str, Field<'a>)> {
    let names = field.entries().unwrap_or_default().iter();
    let names = names.map(|(name, _)| name.as_str());
    names.map(|name| (name, field.field(name))).collect()
}
