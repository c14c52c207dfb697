//! YAML text to a tree that keeps duplicate keys. The only file that knows `serde_yaml`, which is archived.

use std::{fmt, mem};

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::syntax::{ODD_INDENT, ODD_SPACES, SyntaxError, before_parsing};
use super::syntax::{explained, odd_indent, place_behind};
use super::tree::{Node, Place, Value};

/// Parses one document. The keys of a map are those of the file, duplicates included, so that they can be reported instead of one of
/// them winning.
pub(super) fn parse(text: &str, at: &Place) -> Result<Node, SyntaxError> {
    before_parsing(text)?;
    let parser = || serde_yaml::Deserializer::from_str(text);
    let explain = |error| explained(text, &error);
    let mut node = Parsed(at, false).deserialize(parser()).map_err(explain)?;
    let located = Located(&mut node, text);
    located.deserialize(parser()).map_err(explain)?;
    node.at = at.clone();
    Ok(node)
}

/// A second pass over what was parsed: in which line each entry stands, and how numbers are written. The parser turns `0x1f` into 31,
/// and where a text is wanted nobody meant that. An entry of a map stands where its key does, and an item where its first word does.
struct Located<'a>(&'a mut Node, &'a str);

impl<'de> DeserializeSeed<'de> for Located<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let (text, line) = match &self.0.value {
            Value::List(_) => return deserializer.deserialize_seq(self),
            Value::Map(_) => return deserializer.deserialize_map(self),
            _ => Scalar(String::new(), self.1).deserialize(deserializer)?,
        };
        self.0.at.line = line;
        match &mut self.0.value {
            // Numbers of seconds, for which 53 bits are enough.
            #[allow(clippy::cast_precision_loss)]
            Value::Int(value) if value.to_string() != text => {
                self.0.value = Value::Float(*value as f64, text);
            }
            Value::Float(_, written) => *written = text,
            _ => {}
        }
        Ok(())
    }
}

impl<'de> Visitor<'de> for Located<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("what it was when it was read first")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        if let Value::List(list) = &mut self.0.value {
            for item in list.iter_mut() {
                item.at.line = self.0.at.line;
                items.next_element_seed(Located(item, self.1))?;
            }
            self.0.at.line = list.first().map_or(self.0.at.line, |item| item.at.line);
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        if let Value::Map(map) = &mut self.0.value {
            for (_, node) in map.iter_mut() {
                let key = entries.next_key_seed(Scalar(String::new(), self.1))?;
                let line = key.and_then(|(_, line)| line);
                node.at.line = line;
                entries.next_value_seed(Located(node, self.1))?;
                node.at.line = line;
            }
            self.0.at.line = map.first().map_or(self.0.at.line, |(_, node)| node.at.line);
        }
        Ok(())
    }
}

/// A scalar as it is written in this file, and its line. The parser tells that of what is refused, and goes on all the same.
struct Scalar<'a>(String, &'a str);

impl<'de> DeserializeSeed<'de> for Scalar<'_> {
    type Value = (String, Option<usize>);

    fn deserialize<D: Deserializer<'de>>(mut self, parser: D) -> Result<Self::Value, D::Error> {
        let refused = parser.deserialize_str(&mut self).err();
        let place = refused.and_then(|error| place_behind(&error.to_string(), " at line "));
        // The very beginning of a file is not told.
        let (line, column) = place.unwrap_or((1, 1));
        if self.0.starts_with(ODD_SPACES) && odd_indent(self.1, line).is_some() {
            let said = format!("{ODD_INDENT}{line} column {column}");
            return Err(D::Error::custom(said));
        }
        Ok((self.0, Some(line)))
    }
}

impl<'de> Visitor<'de> for &mut Scalar<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a scalar")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        text.clone_into(&mut self.0);
        Err(E::custom(""))
    }
}

/// Resolves `<<`, which `serde_yaml` leaves alone. Keys written beside it win over merged ones, and the first of several maps over the
/// others. Duplicates are to be reported before: here one of them would win in silence.
pub(super) fn merge_keys(node: &mut Node) {
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(merge_keys),
        Value::Map(entries) => {
            entries.iter_mut().for_each(|(_, node)| merge_keys(node));
            let (merges, own) = mem::take(entries)
                .into_iter()
                .partition(|(key, _)| key == "<<");
            *entries = own;
            for (key, source) in merges {
                let sources = match source.value {
                    Value::List(sources) => sources,
                    _ => vec![source],
                };
                for source in sources {
                    match source.value {
                        Value::Map(more) => more.into_iter().for_each(|more| {
                            if !entries.iter().any(|(known, _)| *known == more.0) {
                                entries.push(more);
                            }
                        }),
                        // Kept, so that it is reported as the unknown key it then is.
                        _ => entries.push((key.clone(), source)),
                    }
                }
            }
        }
        _ => {}
    }
}

/// A value with the place of its file, and whether it is the key of another.
#[derive(Clone, Copy)]
struct Parsed<'a>(&'a Place, bool);

impl Parsed<'_> {
    /// Refused before it is read, so that the place of the error is where the key begins.
    fn refuse_key<E: Error>(self) -> Result<(), E> {
        match self.1 {
            true => Err(E::custom("a key must be a plain name")),
            false => Ok(()),
        }
    }

    fn node<E>(self, value: Value) -> Result<Node, E> {
        let at = self.0.clone();
        Ok(Node { at, value })
    }
}

impl<'de> DeserializeSeed<'de> for Parsed<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Parsed<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a plain YAML value without a tag")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        self.node(Value::Null)
    }

    /// An empty document arrives as this.
    fn visit_none<E>(self) -> Result<Node, E> {
        self.node(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        self.node(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        self.node(Value::Int(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        self.node(Value::Int(value.into()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Node, E> {
        self.node(Value::Int(value))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Node, E> {
        let large = || Value::Float(f64::INFINITY, value.to_string());
        self.node(i128::try_from(value).map_or_else(|_| large(), Value::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        self.node(Value::Float(value, value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        self.node(Value::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        self.refuse_key()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        self.node(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        self.refuse_key()?;
        let mut map = Vec::new();
        while let Some(key) = entries.next_key_seed(Parsed(self.0, true))? {
            let key = match key.value {
                Value::Text(text) => text,
                Value::Null => "null".to_owned(),
                scalar => scalar.describe(),
            };
            map.push((key, entries.next_value_seed(self)?));
        }
        self.node(Value::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn parse(text: &str) -> Result<Node, SyntaxError> {
        super::parse(text, &Place::file(Path::new("")))
    }

    fn entries(node: &Node) -> Vec<(&str, &Value)> {
        let Value::Map(entries) = &node.value else {
            panic!("no map")
        };
        let pairs = entries
            .iter()
            .map(|(key, node)| (key.as_str(), &node.value));
        pairs.collect()
    }

    #[test]
    fn duplicate_keys_survive_parsing() {
        assert_eq!(
            entries(&parse("a: 1\na: 2\n").unwrap()),
            [("a", &Value::Int(1)), ("a", &Value::Int(2))]
        );
    }

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
empty: [[], {}]
nested:
- - a
- - b
";

    /// The lines of this path, which may be there twice.
    fn lines(node: &Node, path: &str, wanted: &str, found: &mut Vec<Option<usize>>) {
        if path == wanted {
            found.push(node.at.line);
        }
        match &node.value {
            Value::Map(map) => map.iter().for_each(|(key, node)| {
                lines(node, &crate::config::tree::join(path, key), wanted, found)
            }),
            Value::List(list) => list
                .iter()
                .enumerate()
                .for_each(|(index, node)| lines(node, &format!("{path}[{index}]"), wanted, found)),
            _ => {}
        }
    }

    #[test]
    fn every_kind_of_entry_has_its_line() {
        let tree = parse(TEXT).unwrap();
        for (path, expected) in [
            ("node_name", &[2][..]),
            ("reboot_required_detectors", &[3]),
            ("reboot_required_detectors[0]", &[4]),
            ("reboot_required_detectors[0].name", &[4]),
            ("reboot_required_detectors[0].type", &[5]),
            ("reboot_required_detectors[1]", &[7]),
            ("reboot_required_detectors[1].type", &[7]),
            ("reboot_required_detectors[1].cmd[0]", &[9]),
            ("reboot_required_detectors[1].cmd[1]", &[10]),
            ("health_script", &[11]),
            ("etcd_tls", &[13]),
            ("etcd_tls.enabled", &[14]),
            ("etcd_tls.ca_file", &[15]),
            ("flow", &[16]),
            ("flow[1]", &[17]),
            ("etcd_endpoints", &[19]),
            ("etcd_endpoints[1]", &[21]),
            ("twice", &[22, 23]),
            ("empty[0]", &[24]),
            ("empty[1]", &[24]),
            ("nested[1]", &[27]),
            ("nested[1][0]", &[27]),
        ] {
            let mut found = Vec::new();
            lines(&tree, "", path, &mut found);
            let expected: Vec<_> = expected.iter().copied().map(Some).collect();
            assert_eq!(found, expected, "{path}");
        }
        assert_eq!(tree.at.line, None);
        let first = parse("a: 1").unwrap();
        let Value::Map(map) = &first.value else {
            panic!("no map")
        };
        assert_eq!(map[0].1.at.line, Some(1));
    }

    #[test]
    fn anchors_and_merge_keys_are_resolved() {
        let mut tree =
            parse("x: &x {a: 1, b: 2}\ny:\n  <<: *x\n  b: 3\nz: {<<: [*x, {b: 4, c: 5}]}\n")
                .unwrap();
        merge_keys(&mut tree);
        let Value::Map(fields) = &tree.value else {
            panic!("no map")
        };
        assert_eq!(
            entries(&fields[1].1),
            [("b", &Value::Int(3)), ("a", &Value::Int(1))]
        );
        assert_eq!(
            entries(&fields[2].1),
            [
                ("a", &Value::Int(1)),
                ("b", &Value::Int(2)),
                ("c", &Value::Int(5))
            ]
        );
    }

    #[test]
    fn an_empty_text_is_null() {
        assert_eq!(parse("").unwrap().value, Value::Null);
        assert_eq!(parse("# only a comment\n").unwrap().value, Value::Null);
    }

    #[test]
    fn syntax_errors_know_their_place() {
        let error = parse("a: 1\nb: [1, 2\nc: 3\n").unwrap_err();
        assert!(error.place.is_some(), "{error:?}");
        let error = parse("a: 1\nb").unwrap_err();
        assert_eq!(error.place, Some((2, 1)), "{error:?}");
    }

    #[test]
    fn tags_are_refused() {
        assert!(parse("a: !secret x\n").is_err());
    }
}
