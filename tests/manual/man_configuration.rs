//! The manual page of the configuration, made from `docs/configuration.md`, whose tables a test compares with the fields there
//! are. `docs/reboot-coordinator.yaml.5` is what this makes; another test compares those.

use std::fmt::Write as _;

use crate::roff::{Page, escaped};

/// Where packages put what the text links to.
const DOCS: &str = "/usr/share/doc/reboot-coordinator";

/// The page for section 5, from the Markdown of the documentation: headings, paragraphs, lists and tables.
pub(crate) fn page(markdown: &str) -> String {
    let mut page = Page(String::new());
    page.0
        .push_str(".\\\" Made from docs/configuration.md; see tests/manual/main.rs for how.\n");
    let version = env!("CARGO_PKG_VERSION");
    let _ = writeln!(
        page.0,
        ".TH REBOOT\\-COORDINATOR.YAML 5 \"\" \"reboot\\-coordinator {version}\" \"File Formats\""
    );
    page.section("NAME");
    page.0
        .push_str("reboot\\-coordinator.yaml \\- the configuration of reboot\\-coordinator\n");
    for block in blocks(markdown) {
        add(&mut page, &block);
    }
    page.section("SEE ALSO");
    page.paragraphs("reboot-coordinator(8)");
    page.0
}

/// Lines that belong together: between empty lines, and a heading by itself.
fn blocks(markdown: &str) -> Vec<Vec<&str>> {
    let mut blocks: Vec<Vec<&str>> = vec![Vec::new()];
    for line in markdown.lines() {
        let ends = line.is_empty() || line.starts_with('#');
        if ends {
            blocks.push(Vec::new());
        }
        if let (Some(block), false) = (blocks.last_mut(), line.is_empty()) {
            block.push(line);
        }
        if line.starts_with('#') {
            blocks.push(Vec::new());
        }
    }
    blocks.retain(|block| !block.is_empty());
    blocks
}

fn add(page: &mut Page, block: &[&str]) {
    let first = block[0];
    if let Some(heading) = first.strip_prefix("## ") {
        page.section(&escaped(&heading.to_uppercase()));
    } else if first.starts_with("# ") {
        // The title of the document; what follows describes it.
        page.section("DESCRIPTION");
    } else if first.starts_with('|') {
        // Its head and the line below it are for readers of Markdown.
        for row in block.iter().skip(2) {
            add_row(page, row);
        }
    } else if first.starts_with("- ") {
        let text: Vec<&str> = block.iter().map(|line| line.trim_start()).collect();
        for item in text.join(" ").trim_start_matches("- ").split(" - ") {
            page.item(&linked(item));
        }
    } else {
        let _ = writeln!(page.0, ".PP");
        page.paragraphs(&linked(&block.join(" ")));
    }
}

/// A row of a table: a field with its default and rule, or a term with its meaning.
fn add_row(page: &mut Page, row: &str) {
    let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
    match cells[..] {
        [field, default, rule] => {
            let default = match default.strip_prefix("required") {
                Some(rest) => format!("Required{rest}."),
                None => format!("Default: {default}."),
            };
            page.tagged(&escaped(field), &format!("{} {default}", linked(rule)));
        }
        [term, meaning] => page.tagged(&escaped(term), &linked(meaning)),
        _ => page.tagged(&escaped(row), ""),
    }
}

/// `[text](file)` with the place where packages put the file.
fn linked(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("](") {
        let (Some((left, label)), Some((target, right))) =
            (before.rsplit_once('['), after.split_once(')'))
        else {
            break;
        };
        let place = format!("`{DOCS}/{target}`");
        let link = match label == target {
            true => place,
            false => format!("{label} ({place})"),
        };
        let _ = write!(out, "{left}{link}");
        rest = right;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_block_is_set() {
        let page = page(
            "# Title\n\nOne\ntwo.\n\n## A part\n\n| field | default | rule |\n| --- | --- | --- |\n| `a_b` | required for `x` | Is set. |\n\
             | `c` | 3 | See [d.md](d.md). |\n\n- first\n- second\n  goes on\n",
        );
        for piece in [
            ".SH DESCRIPTION\n.PP\nOne two.\n",
            ".SH A PART\n.TP\n\\fBa_b\\fR\nIs set. Required for \\fBx\\fR.\n",
            ".TP\n\\fBc\\fR\nSee \\fB/usr/share/doc/reboot\\-coordinator/d.md\\fR. Default: 3.\n",
            ".IP \\(bu 2\nfirst\n.IP \\(bu 2\nsecond goes on\n",
        ] {
            assert!(page.contains(piece), "{piece}\n---\n{page}");
        }
    }

    #[test]
    fn a_link_keeps_its_text() {
        assert_eq!(
            linked("[An example](examples/c.yaml) holds all; see [x"),
            "An example (`/usr/share/doc/reboot-coordinator/examples/c.yaml`) holds all; see [x"
        );
    }
}
