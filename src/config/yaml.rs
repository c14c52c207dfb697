//! YAML text to a tree that keeps duplicate keys. The only file that knows `serde_yaml`, which is archived.

use std::{fmt, mem};

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::syntax::{SyntaxError, before_parsing, explained};
use super::tree::{Node, Place, Value};

/// Parses one document.
/// The places are of the file as a whole, and the keys of a map those of the file, duplicates included, so that they can be
/// reported instead of one of them winning.
pub(super) fn parse(text: &str, at: &Place) -> Result<Node, SyntaxError> {
    before_parsing(text)?;
    let parser = || serde_yaml::Deserializer::from_str(text);
    let explain = |error| explained(text, &error);
    let mut node = Parsed(at, false).deserialize(parser()).map_err(explain)?;
    AsWritten(&mut node.value)
        .deserialize(parser())
        .map_err(explain)?;
    Ok(node)
}

/// A second pass, which looks at how numbers are written: the parser turns `0x1f` into 31, and where a text is wanted nobody meant that.
struct AsWritten<'a>(&'a mut Value);

impl<'de> DeserializeSeed<'de> for AsWritten<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.0 {
            Value::Int(_) | Value::Float(..) => deserializer.deserialize_str(self),
            Value::List(_) => deserializer.deserialize_seq(self),
            Value::Map(_) => deserializer.deserialize_map(self),
            Value::Null | Value::Bool(_) | Value::Text(_) => {
                deserializer.deserialize_ignored_any(IgnoredAny).map(|_| ())
            }
        }
    }
}

impl<'de> Visitor<'de> for AsWritten<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("what it was when it was read first")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        match self.0 {
            // Numbers of seconds, for which 53 bits are enough.
            #[allow(clippy::cast_precision_loss)]
            Value::Int(value) if value.to_string() != text => {
                *self.0 = Value::Float(*value as f64, text.to_owned());
            }
            Value::Float(_, written) => text.clone_into(written),
            _ => {}
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        if let Value::List(list) = self.0 {
            for item in list {
                items.next_element_seed(AsWritten(&mut item.value))?;
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        if let Value::Map(map) = self.0 {
            for (_, value) in map {
                entries.next_key::<IgnoredAny>()?;
                entries.next_value_seed(AsWritten(&mut value.value))?;
            }
        }
        Ok(())
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
