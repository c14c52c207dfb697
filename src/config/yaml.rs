//! YAML text to a tree that keeps duplicate keys. The only file that knows `serde_yaml`, which is archived.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

/// A YAML value without position.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Yaml {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(String),
    List(Vec<Yaml>),
    /// In the order of the file, duplicates included, so that they can be reported instead of one of them winning.
    Map(Vec<(String, Yaml)>),
}

/// Why a text is no YAML.
#[derive(Debug, PartialEq)]
pub(super) struct SyntaxError {
    /// Line and column, counted from 1, where known.
    pub(super) place: Option<(usize, usize)>,
    /// What the parser says.
    pub(super) message: String,
}

/// How deeply brackets may be nested. The parser takes time that grows with the square of it, and a configuration needs four.
const DEEPEST: usize = 64;

/// Parses one document.
pub(super) fn parse(text: &str) -> Result<Yaml, SyntaxError> {
    if let Some(place) = too_deep(text) {
        return Err(SyntaxError {
            place: Some(place),
            message: format!("brackets are nested more than {DEEPEST} deep"),
        });
    }
    let yaml: Yaml = serde_yaml::from_str(text).map_err(|error| {
        let told = error.location().map(|at| (at.line(), at.column()));
        let mut message = error.to_string();
        if let Some((line, column)) = told {
            // The place is shown in front, so it is cut from the end of the message.
            for tail in [
                format!(" at line {line} column {column}"),
                format!(", at line {line} column {column}"),
            ] {
                message = message.replace(&tail, "");
            }
        }
        SyntaxError {
            place: told.map(|place| within(text, place)),
            message: message.replace('\n', " "),
        }
    })?;
    Ok(merge_keys(yaml))
}

/// Where more brackets are open than ever make sense. Those in texts count, too: nobody writes so many of them.
fn too_deep(text: &str) -> Option<(usize, usize)> {
    let mut open = 0_usize;
    for (line, content) in text.lines().enumerate() {
        for (column, letter) in content.chars().enumerate() {
            match letter {
                '[' | '{' => open += 1,
                ']' | '}' => open = open.saturating_sub(1),
                _ => {}
            }
            if open > DEEPEST {
                return Some((line + 1, column + 1));
            }
        }
    }
    None
}

/// The parser takes the end of a text without a final newline for the start of one more line; that is the end of its last one.
fn within(text: &str, (line, column): (usize, usize)) -> (usize, usize) {
    let lines = text.split('\n').count();
    if line <= lines {
        return (line, column);
    }
    let last = text.rsplit('\n').next().unwrap_or_default();
    (lines, last.chars().count() + 1)
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
                        other @ (Yaml::Null
                        | Yaml::Bool(_)
                        | Yaml::Int(_)
                        | Yaml::Float(_)
                        | Yaml::Text(_)
                        | Yaml::List(_)) => own.push(("<<".to_owned(), other)),
                    }
                }
            }
            Yaml::Map(own)
        }
        scalar @ (Yaml::Null | Yaml::Bool(_) | Yaml::Int(_) | Yaml::Float(_) | Yaml::Text(_)) => {
            scalar
        }
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
        Ok(i128::try_from(value).map_or(Yaml::Float(f64::INFINITY), Yaml::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Yaml, E> {
        Ok(Yaml::Float(value))
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
                Yaml::Float(value) => value.to_string(),
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
        assert_eq!(error.place, Some((2, 2)), "{error:?}");
        assert!(!error.message.contains("at line 3 column"), "{error:?}");
    }

    #[test]
    fn tags_are_refused() {
        assert!(parse("a: !secret x\n").is_err());
    }
}
