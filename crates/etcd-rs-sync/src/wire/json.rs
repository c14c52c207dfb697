//! Reading protobuf's JSON mapping: absent fields are zero, 64-bit integers are strings or numbers, bytes are base64.

use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

/// What was wrong with a reply, in words for an operator.
pub(crate) type Shape<T> = Result<T, String>;

/// A JSON object being read.
#[derive(Clone, Copy)]
pub(crate) struct Object<'a>(&'a Map<String, Value>);

impl<'a> Object<'a> {
    pub(crate) fn new(value: &'a Value) -> Shape<Object<'a>> {
        let map = value.as_object();
        map.map(Object)
            .ok_or_else(|| format!("an object was expected, not {}", kind(value)))
    }

    fn get(&self, field: &str) -> Option<&'a Value> {
        self.0.get(field).filter(|value| !value.is_null())
    }

    fn read<T: Default>(
        &self,
        field: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
        wanted: &str,
    ) -> Shape<T> {
        let value = self.get(field);
        let value = value.map_or_else(|| Some(T::default()), read);
        value.ok_or_else(|| format!("`{field}` is not {wanted}"))
    }

    pub(crate) fn int(&self, field: &str) -> Shape<i64> {
        self.read(field, |it| number(it, Value::as_i64), "an integer")
    }

    pub(crate) fn uint(&self, field: &str) -> Shape<u64> {
        self.read(field, |it| number(it, Value::as_u64), "an id")
    }

    pub(crate) fn flag(&self, field: &str) -> Shape<bool> {
        self.read(field, Value::as_bool, "a boolean")
    }

    pub(crate) fn text(&self, field: &str) -> Shape<&'a str> {
        self.read(field, Value::as_str, "a string")
    }

    pub(crate) fn bytes(&self, field: &str) -> Shape<Vec<u8>> {
        let text = self.text(field)?;
        self.read(field, |_| STANDARD.decode(text).ok(), "base64")
    }

    /// The object in `field`, or `None` when it is absent.
    pub(crate) fn object(&self, field: &str) -> Shape<Option<Object<'a>>> {
        self.read(field, |it| Object::new(it).ok().map(Some), "an object")
    }

    pub(crate) fn list(&self, field: &str) -> Shape<&'a [Value]> {
        self.read(field, |it| it.as_array().map(Vec::as_slice), "a list")
    }

    /// What `read` makes of each value of a list.
    pub(crate) fn each<T>(
        &self,
        field: &str,
        read: impl Fn(&'a Value) -> Shape<T>,
    ) -> Shape<Vec<T>> {
        self.list(field)?.iter().map(read).collect()
    }

    pub(crate) fn has(&self, field: &str) -> bool {
        self.get(field).is_some()
    }
}

/// A value that must be base64 text.
pub(crate) fn bytes_of(value: &Value) -> Shape<Vec<u8>> {
    let bytes = value.as_str().and_then(|text| STANDARD.decode(text).ok());
    bytes.ok_or_else(|| "base64 text was expected".into())
}

/// A value that must be text.
pub(crate) fn text_of(value: &Value) -> Shape<String> {
    let text = value.as_str().ok_or("text was expected")?;
    Ok(text.to_owned())
}

fn number<T: FromStr>(value: &Value, read: fn(&Value) -> Option<T>) -> Option<T> {
    match value {
        Value::String(text) => text.parse().ok(),
        value => read(value),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn integers_come_as_strings_or_numbers_and_absent_means_zero() {
        let value =
            json!({"a": "9223372036854775807", "b": 7, "c": null, "u": "18446744073709551615"});
        let object = Object::new(&value).unwrap();
        assert_eq!(object.int("a"), Ok(i64::MAX));
        assert_eq!(object.int("b"), Ok(7));
        assert_eq!(object.int("c"), Ok(0));
        assert_eq!(object.int("absent"), Ok(0));
        assert_eq!(object.uint("u"), Ok(u64::MAX));
    }

    #[test]
    fn a_wrong_type_is_an_error_never_a_default() {
        let value = json!({"n": 1.5, "s": "x", "o": [], "t": "true", "b": "***", "neg": -1});
        let object = Object::new(&value).unwrap();
        assert!(object.int("n").is_err());
        assert!(object.int("s").is_err());
        assert!(object.uint("neg").is_err());
        assert!(object.flag("t").is_err());
        assert!(object.bytes("b").is_err());
        assert!(object.object("o").is_err());
        assert!(object.list("s").is_err());
        assert!(Object::new(&json!([])).is_err());
    }
}
