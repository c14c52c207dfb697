//! Links inside the repository lead somewhere, and anchors to a heading that is there.

use std::collections::BTreeSet;

use crate::{documents, read, root};

/// A document without its blocks of code.
fn prose(text: &str) -> String {
    let mut fenced = false;
    let kept = text.lines().filter(|line| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence && !line.starts_with("    ")
    });
    kept.collect::<Vec<_>>().join("\n")
}

/// Where a document's links and pictures lead.
fn targets(text: &str) -> Vec<String> {
    let text = prose(text);
    let mut found = Vec::new();
    for (start, end) in [
        ("](", ')'),
        ("src=\"", '"'),
        ("srcset=\"", '"'),
        ("]: ", '\n'),
    ] {
        let places = text
            .match_indices(start)
            .map(|(at, _)| &text[at + start.len()..]);
        found.extend(places.filter_map(|rest| Some(rest.split(end).next()?.trim().to_owned())));
    }
    found
}

/// What a heading is called in an address, as the usual hosts make it.
fn anchors(text: &str) -> BTreeSet<String> {
    let text = prose(text);
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let anchor = |line: &str| {
        let words = line.trim_start_matches('#').trim().to_lowercase();
        let kept = words
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn every_link_inside_the_repository_leads_somewhere() {
    let (mut broken, mut seen) = (Vec::new(), 0);
    for document in documents() {
        let text = read(&document);
        for target in targets(&text) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            seen += 1;
            let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let path = match file {
                "" => root().join(&document),
                file => root().join(&document).parent().unwrap().join(file),
            };
            let leads =
                path.exists() && (anchor.is_empty() || anchors(&read(&path)).contains(anchor));
            if !leads {
                broken.push(format!("{}: {target}", document.display()));
            }
        }
    }
    assert!(seen > 100, "{seen}");
    assert!(
        broken.is_empty(),
        "these lead nowhere:\n{}",
        broken.join("\n")
    );
}

#[test]
fn every_document_is_reached_from_the_readme() {
    let (mut reached, mut next) = (BTreeSet::new(), vec![root().join("README.md")]);
    while let Some(path) = next.pop() {
        let path = path.canonicalize().unwrap();
        if path.extension().is_none_or(|it| it != "md") || !reached.insert(path.clone()) {
            continue;
        }
        for target in targets(&read(&path)) {
            let file = path
                .parent()
                .unwrap()
                .join(target.split('#').next().unwrap());
            if !target.contains("://") && file.is_file() {
                next.push(file);
            }
        }
    }
    let own = documents()
        .into_iter()
        .filter(|it| !it.starts_with(".github"));
    let lost: Vec<_> = own
        .filter(|it| !reached.contains(&root().join(it).canonicalize().unwrap()))
        .collect();
    // A crate is reached by its folder.
    let lost: Vec<_> = lost
        .into_iter()
        .filter(|it| !it.starts_with("crates"))
        .collect();
    assert!(lost.is_empty(), "nothing leads to {lost:?}");
}

#[test]
fn an_anchor_is_made_as_the_usual_hosts_make_it() {
    let made = anchors(
        "# A\n\n### From the commit to the release\n\n## `run_dir`, and more (two)\n\n```\n# not this\n```\n",
    );
    let wanted = [
        "a",
        "from-the-commit-to-the-release",
        "run_dir-and-more-two",
    ];
    assert_eq!(made, wanted.map(str::to_owned).into());
}
