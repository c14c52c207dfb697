//! The interface of the crate that others may use: a change of it is seen, and said in the crate's CHANGELOG.

use crate::{collect, read, root};

const LISTING: &str = "crates/etcd-rs-sync/public-interface.txt";

/// The public items of the crate, one a line, with the file they are in. Fields and variants too, since adding one may break
/// others.
fn listing() -> String {
    let folder = root().join("crates/etcd-rs-sync/src");
    let mut files = Vec::new();
    collect(&folder, "rs", &mut files);
    let inside = |path: &std::path::Path| path.strip_prefix(&folder).unwrap().display().to_string();
    let mut lines = Vec::new();
    for path in &files {
        let name = inside(path);
        if name.contains("tests") {
            continue;
        }
        let text = read(path);
        let end = text.find("#[cfg(test)]\nmod ").unwrap_or(text.len());
        // Variants have no `pub`.
        let mut in_enum = false;
        for line in text[..end].lines() {
            let item = line.trim();
            let is_public = item.starts_with("pub ") && !item.starts_with("pub use");
            let is_variant = in_enum && item.starts_with(|c: char| c.is_ascii_uppercase());
            if is_public || is_variant {
                let item = item.trim_end_matches(['{', '(', ',', ' ']);
                lines.push(format!("{name}: {item}"));
            }
            in_enum = (in_enum || line.starts_with("pub enum ")) && line != "}";
        }
    }
    let exported = read("crates/etcd-rs-sync/src/lib.rs");
    let uses = exported.split("pub use ").skip(1);
    lines.extend(uses.map(|it| {
        let names = it.split(';').next().unwrap().split_whitespace();
        format!("lib.rs: pub use {}", names.collect::<Vec<_>>().join(" "))
    }));
    lines.join("\n") + "\n"
}

#[test]
fn the_interface_of_the_crate_is_the_one_that_is_listed() {
    let listing = listing();
    assert!(listing.lines().count() > 100, "{listing}");
    if std::env::var_os("WRITE_INTERFACE").is_some() {
        std::fs::write(root().join(LISTING), &listing).unwrap();
    }
    let listed = read(LISTING);
    let missing: Vec<&str> = listing
        .lines()
        .filter(|line| !listed.lines().any(|it| it == *line))
        .collect();
    let gone: Vec<&str> = listed
        .lines()
        .filter(|line| !listing.lines().any(|it| it == *line))
        .collect();
    assert!(
        missing.is_empty() && gone.is_empty(),
        "new: {missing:#?}\ngone: {gone:#?}\nWhen that is meant: say it in the crate's CHANGELOG, then WRITE_INTERFACE=1 cargo test --test documents interface"
    );
}
