//! YAML text to a tree that keeps duplicate keys. The only file that knows `serde_yaml`, which is archived.

use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess,
    Visitor,
};

use super::syntax::{SyntaxError, before_parsing, explained};

/// A YAML value without position.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Yaml {
    Null,
    Bool(bool),
    Int(i128),
    /// Any other number, and how it is written.
    Float(f64, String),
    Text(String),
    List(Vec<Yaml>),
    /// In the order of the file, duplicates included, so that they can be reported instead of one of them winning.
    Map(Vec<(String, Yaml)>),
}

/// Parses one document.
pub(super) fn parse(text: &str) -> Result<Yaml, SyntaxError> {
    before_parsing(text)?;
    let mut yaml: Yaml = serde_yaml::from_str(text).map_err(|error| explained(text, &error))?;
    let written = AsWritten(&mut yaml).deserialize(serde_yaml::Deserializer::from_str(text));
    written.map_err(|error| explained(text, &error))?;
    Ok(merge_keys(yaml))
}

/// A second pass, which looks at how numbers are written: the parser turns `0x1f` into 31, and where a text is wanted nobody meant that.
struct AsWritten<'a>(&'a mut Yaml);

impl<'de> DeserializeSeed<'de> for AsWritten<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.0 {
            Yaml::Int(_) | Yaml::Float(..) => deserializer.deserialize_str(self),
            Yaml::List(_) => deserializer.deserialize_seq(self),
            Yaml::Map(_) => deserializer.deserialize_map(self),
            Yaml::Null | Yaml::Bool(_) | Yaml::Text(_) => {
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
            Yaml::Int(value) if value.to_string() != text => {
                *self.0 = Yaml::Float(*value as f64, text.to_owned());
            }
            Yaml::Float(_, written) => text.clone_into(written),
            _ => {}
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        if let Yaml::List(list) = self.0 {
            for item in list {
                items.next_element_seed(AsWritten(item))?;
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        if let Yaml::Map(map) = self.0 {
            for (_, value) in map {
                entries.next_key::<IgnoredAny>()?;
                entries.next_value_seed(AsWritten(value))?;
            }
        }
        Ok(())
    }
}

/// Resolves `<<`, which `serde_yaml` leaves alone. Keys written beside it win over merged ones.
fn merge_keys(yaml: Yaml) -> Yaml {
    match yaml {
        Yaml::List(items) => Yaml::List(items.into_iter().map(merge_keys).collect()),
        Yaml::Map(entries) => {
            let (merges, mut own): (Vec<_>, Vec<_>) = entries
                .into_iter()
                .map(|(key, value)| (key, merge_keys(value)))
                .partition(|(key, _)| key == "<<");
            for (_, source) in merges {
                let sources = if let Yaml::List(sources) = source {
                    sources
                } else {
                    vec![source]
                };
                for source in sources {
                    match source {
                        Yaml::Map(entries) => {
                            for (key, value) in entries {
                                if !own.iter().any(|(known, _)| *known == key) {
                                    own.push((key, value));
                                }
                            }
                        }
                        // Kept, so that it is reported as the unknown key it then is.
                        other => own.push(("<<".to_owned(), other)),
                    }
                }
            }
            Yaml::Map(own)
        }
        scalar => scalar,
    }
}

impl<'de> Deserialize<'de> for Yaml {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Yaml;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a plain YAML value without a tag")
    }

    fn visit_unit<E>(self) -> Result<Yaml, E> {
        Ok(Yaml::Null)
    }

    /// An empty document arrives as this.
    fn visit_none<E>(self) -> Result<Yaml, E> {
        Ok(Yaml::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Yaml, E> {
        Ok(Yaml::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Yaml, E> {
        Ok(Yaml::Int(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Yaml, E> {
        Ok(Yaml::Int(value.into()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Yaml, E> {
        Ok(Yaml::Int(value))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Yaml, E> {
        Ok(i128::try_from(value).map_or(Yaml::Float(f64::INFINITY, value.to_string()), Yaml::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Yaml, E> {
        Ok(Yaml::Float(value, value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Yaml, E> {
        Ok(Yaml::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Yaml, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Yaml::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Yaml, A::Error> {
        let mut map = Vec::new();
        while let Some(key) = entries.next_key::<Yaml>()? {
            let key = match key {
                Yaml::Text(text) => text,
                Yaml::Null => "null".to_owned(),
                Yaml::Bool(value) => value.to_string(),
                Yaml::Int(value) => value.to_string(),
                Yaml::Float(_, written) => written,
                Yaml::List(_) | Yaml::Map(_) => {
                    return Err(A::Error::custom("a key must be a plain name"));
                }
            };
            map.push((key, entries.next_value()?));
        }
        Ok(Yaml::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duplicate_keys_survive_parsing() {
        let Yaml::Map(entries) = parse("a: 1\na: 2\n").unwrap() else {
            panic!("no map")
        };
        assert_eq!(
            entries,
            [
                ("a".to_owned(), Yaml::Int(1)),
                ("a".to_owned(), Yaml::Int(2))
            ]
        );
    }

    #[test]
    fn anchors_and_merge_keys_are_resolved() {
        let Yaml::Map(entries) = parse("x: &x {a: 1, b: 2}\ny:\n  <<: *x\n  b: 3\n").unwrap()
        else {
            panic!("no map")
        };
        assert_eq!(
            entries[1].1,
            Yaml::Map(vec![
                ("b".to_owned(), Yaml::Int(3)),
                ("a".to_owned(), Yaml::Int(1))
            ])
        );
    }

    #[test]
    fn an_empty_text_is_null() {
        assert_eq!(parse("").unwrap(), Yaml::Null);
        assert_eq!(parse("# only a comment\n").unwrap(), Yaml::Null);
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
