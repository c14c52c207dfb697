//! JSON to values, of which only what is read somewhere is kept: an answer costs memory for what it says, and not for what a
//! server, or whoever stands in its place, adds to it.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::json::Shape;

/// The fields that are read; all others are skipped.
#[rustfmt::skip]
const FIELDS: &[&str] = &[
    "ID", "TTL", "canceled", "cancel_reason", "clientURLs", "cluster_id", "code",
    "compact_revision", "count", "create_revision", "created", "dbSize", "deleted", "error",
    "etcdserver", "events", "grantedTTL", "grpc_code", "header", "key", "keys", "kv", "kvs",
    "leader", "lease", "member_id", "members", "message", "mod_revision", "more", "name",
    "peerURLs", "prev_kv", "prev_kvs", "raft_term", "response_delete_range", "response_put",
    "response_range", "response_txn", "responses", "result", "revision", "succeeded", "token",
    "type", "value", "version",
];

/// The most objects, lists and texts in one answer. A page of a thousand pairs has some fourteen thousand; the members of a fleet of
/// ten thousand, which are read at once with their reports, have 270,000.
const MOST_PARTS: u32 = 400_000;

/// As how many of them an object counts: the first field takes the memory of eleven.
const OBJECT: u32 = 8;

/// The first value in `bytes`; with `alone` nothing may follow it.
pub(super) fn parse(bytes: &[u8], alone: bool) -> Shape<Value> {
    let left = Cell::new(MOST_PARTS);
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = Part(&left).deserialize(&mut json);
    let value = value.and_then(|value| match alone {
        true => json.end().map(|()| value),
        false => Ok(value),
    });
    value.map_err(|error| format!("the reply is not JSON: {error}"))
}

/// One value, and how many parts there may still be.
#[derive(Clone, Copy)]
struct Part<'a>(&'a Cell<u32>);

impl Part<'_> {
    fn count<E: Error>(self, parts: u32) -> Result<(), E> {
        let left = self.0.get().checked_sub(parts);
        self.0
            .set(left.ok_or_else(|| E::custom("it has too many parts"))?);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Part<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.count(1)?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Part<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(self)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        self.count(OBJECT - 1)?;
        let mut fields = Map::new();
        while let Some(field) = object.next_key::<String>()? {
            if FIELDS.contains(&field.as_str()) {
                fields.insert(field, object.next_value_seed(self)?);
            } else {
                object.next_value::<IgnoredAny>()?;
            }
        }
        Ok(Value::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_reads_is_skipped_and_what_is_read_is_as_it_was() {
        let text = r#"{"header":{"revision":"9","more_of_it":[[[{}]]]},"TTL":7,"value":1.5,"kvs":[null,true,-3,"x\n"],"x":{"TTL":1}}"#;
        let expected = serde_json::json!({"header":{"revision":"9"},"TTL":7,"value":1.5,"kvs":[null,true,-3,"x\n"]});
        assert_eq!(parse(text.as_bytes(), true), Ok(expected));
        assert!(parse(b"{} {}", true).is_err());
        assert!(parse(b"{} {}", false).is_ok());
        for broken in ["", "{", "{\"TTL\":}", "[1,]", "{\"x\":[}"] {
            assert!(parse(broken.as_bytes(), true).is_err(), "{broken}");
        }
    }

    #[test]
    fn ten_thousand_members_and_their_reports_are_one_answer() {
        let pair = r#"{"key":"L3JjL24","create_revision":"12","mod_revision":"12","version":"1","value":"e30","lease":"7"}"#;
        let pairs = vec![pair; 20_000].join(",");
        let read = parse(format!("{{\"kvs\":[{pairs}]}}").as_bytes(), true).unwrap();
        assert_eq!(read["kvs"].as_array().unwrap().len(), 20_000);
    }

    /// Half a kilobyte and more, however little is in it.
    #[test]
    fn an_object_counts_for_several_texts() {
        let read = |part: &str| {
            let parts = vec![part; 60_000].join(",");
            parse(format!("{{\"kvs\":[{parts}]}}").as_bytes(), true)
        };
        assert!(read("\"x\"").is_ok());
        assert!(read("{\"ID\":1}").is_err());
    }

    #[test]
    fn parts_and_depth_are_bounded_wherever_they_are() {
        let lists = |field: &str| format!("{{\"{field}\":[{}{{}}]}}", "{},".repeat(200_000));
        assert!(
            parse(lists("kvs").as_bytes(), true)
                .unwrap_err()
                .contains("too many parts")
        );
        assert!(
            parse(lists("unknown").as_bytes(), true).is_ok(),
            "skipped, and not kept"
        );
        let deep = format!("{}{}", "{\"kv\":".repeat(100_000), "1");
        assert!(parse(deep.as_bytes(), true).is_err());
    }
}
