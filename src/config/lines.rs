//! Which line of a YAML text holds which field: a small scan by indentation, since the parser keeps no positions.
//! It only serves messages. Where it cannot tell (flow style over several lines, aliases) it names the nearest field around.

use std::collections::HashMap;

use super::tree::join;

/// Field paths such as `etcd_tls.ca_file` or `reboot_required_detectors[0].cmd[1]`, each with its lines in file order.
#[derive(Debug, Default)]
pub(super) struct Lines(HashMap<String, Vec<usize>>);

impl Lines {
    /// Scans a text.
    pub(super) fn scan(source: &str) -> Lines {
        let mut scan = Scan::default();
        for (index, text) in source.lines().enumerate() {
            scan.line(text, index + 1);
        }
        scan.found
    }

    /// The line of the `nth` (from 0) entry with this path, else of the nearest field that contains it.
    pub(super) fn find(&self, path: &str, nth: usize) -> Option<usize> {
        let mut wanted = path;
        let mut nth = nth;
        loop {
            if let Some(line) = self.0.get(wanted).and_then(|lines| lines.get(nth)) {
                return Some(*line);
            }
            nth = 0;
            wanted = &wanted[..wanted.rfind(['.', '['])?];
        }
    }
}

/// A block collection being scanned: its entries start at column `indent`.
struct Block {
    indent: usize,
    path: String,
    is_list: bool,
    /// How many there are so far.
    entries: usize,
    /// Path of the latest entry, the parent of whatever is indented deeper.
    last: String,
}

#[derive(Default)]
struct Scan {
    found: Lines,
    stack: Vec<Block>,
    /// Lines indented deeper than this belong to a block scalar.
    scalar: Option<usize>,
    /// Open brackets of a flow collection.
    depth: usize,
}

impl Scan {
    fn line(&mut self, text: &str, number: usize) {
        let content = text.trim_start();
        let mut indent = text.len() - content.len();
        if self
            .scalar
            .is_some_and(|parent| content.is_empty() || indent > parent)
        {
            return;
        }
        self.scalar = None;
        if self.depth > 0 {
            self.depth = open_brackets(content, self.depth);
            return;
        }
        if content.is_empty() || content.starts_with(['#', '%']) || content == "---" {
            return;
        }
        let mut rest = content;
        while rest == "-" || rest.starts_with("- ") {
            self.entry(indent, None, number);
            let after = rest[1..].trim_start();
            indent += rest.len() - after.len();
            rest = after;
        }
        let (value, parent) = match split_key(rest) {
            Some((key, value)) => {
                self.entry(indent, Some(key), number);
                (value, indent)
            }
            None => (rest, indent.saturating_sub(2)),
        };
        if value.starts_with(['|', '>']) {
            self.scalar = Some(parent);
        } else if value.starts_with(['[', '{']) {
            self.depth = open_brackets(value, 0);
        }
    }

    /// A key of a map, or an item of a list.
    fn entry(&mut self, indent: usize, key: Option<&str>, number: usize) {
        // A list may stand in the same column as the key it belongs to; the next key of that column ends it.
        self.stack.retain(|block| {
            block.indent < indent || (block.indent == indent && (key.is_none() || !block.is_list))
        });
        let fits = |block: &Block| block.indent == indent && block.is_list == key.is_none();
        let around = self.stack.last();
        if !around.is_some_and(fits) {
            let path = around.map_or_else(String::new, |block| block.last.clone());
            self.stack.push(Block {
                indent,
                path,
                is_list: key.is_none(),
                entries: 0,
                last: String::new(),
            });
        }
        if let Some(block) = self.stack.last_mut() {
            block.last = match key {
                Some(key) => join(&block.path, key),
                None => format!("{}[{}]", block.path, block.entries),
            };
            block.entries += 1;
            let lines = self.found.0.entry(block.last.clone());
            lines.or_default().push(number);
        }
    }
}

/// `key: value` in its two parts, the value without a comment's worth of care: only its first character is looked at.
fn split_key(text: &str) -> Option<(&str, &str)> {
    let (key, rest) = match text.chars().next()? {
        quote @ ('"' | '\'') => text[1..].split_once(quote)?,
        '[' | '{' | '#' => return None,
        _ => {
            let end = text.match_indices(':').map(|(at, _)| at).find(|at| {
                text[at + 1..]
                    .chars()
                    .next()
                    .is_none_or(|next| next == ' ' || next == '\t')
            })?;
            (text[..end].trim_end(), &text[end..])
        }
    };
    let rest = rest.trim_start().strip_prefix(':')?;
    (rest.is_empty() || rest.starts_with([' ', '\t'])).then(|| (key, rest.trim_start()))
}

/// How many brackets are open after `text`, quoted ones and comments left out.
fn open_brackets(text: &str, depth: usize) -> usize {
    let (mut depth, mut quote, mut previous) = (depth, None, ' ');
    for character in text.chars() {
        match (quote, character) {
            (Some(open), _) if open == character => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(character),
            (None, '#') if previous == ' ' => break,
            (None, '[' | '{') => depth += 1,
            (None, ']' | '}') => depth = depth.saturating_sub(1),
            (None, _) => {}
        }
        previous = character;
    }
    depth
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# comment
node_name: a
reboot_required_detectors:
  - name: one   # comment
    type: file
  -
    type: command
    cmd:
    - /bin/true
    - \"x: y\"
health_script: |
  /not: a key
etcd_tls:
  enabled: true
  \"ca_file\": /x
flow: [
  1, 2
]
etcd_endpoints:
- a:2379
- b:2379
twice: 1
twice: 2
";

    #[test]
    fn every_kind_of_entry_is_found() {
        let lines = Lines::scan(TEXT);
        for (path, line) in [
            ("node_name", 2),
            ("reboot_required_detectors", 3),
            ("reboot_required_detectors[0]", 4),
            ("reboot_required_detectors[0].name", 4),
            ("reboot_required_detectors[0].type", 5),
            ("reboot_required_detectors[1]", 6),
            ("reboot_required_detectors[1].type", 7),
            ("reboot_required_detectors[1].cmd[0]", 9),
            ("reboot_required_detectors[1].cmd[1]", 10),
            ("health_script", 11),
            ("etcd_tls", 13),
            ("etcd_tls.enabled", 14),
            ("etcd_tls.ca_file", 15),
            ("flow", 16),
            ("etcd_endpoints", 19),
            ("etcd_endpoints[1]", 21),
        ] {
            assert_eq!(lines.find(path, 0), Some(line), "{path}");
        }
    }

    #[test]
    fn unknown_paths_fall_back_to_what_contains_them() {
        let lines = Lines::scan(TEXT);
        assert_eq!(lines.find("flow[1]", 0), Some(16));
        assert_eq!(lines.find("etcd_tls.nothing.deeper", 0), Some(13));
        assert_eq!(lines.find("nowhere", 0), None);
    }

    #[test]
    fn the_second_of_two_equal_keys_is_found() {
        assert_eq!(Lines::scan(TEXT).find("twice", 1), Some(23));
    }
}
