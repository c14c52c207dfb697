//! The messages of a watch.

use super::decode::{header, key_value};
use super::error::{Refusal, one_line, refusal};
use super::json::{Object, Shape};
use super::part::parse;
use crate::items::{Event, EventKind};

/// One line of a watch's stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Message {
    /// The watch stands; events after this revision follow.
    Created { revision: i64, cluster_id: u64 },
    /// Events, or none in a sign of life.
    Events { revision: i64, events: Vec<Event> },
    /// The server ended the watch: the revision it should have gone on from is compacted.
    Compacted { compact_revision: i64 },
    /// The server ended the watch for another reason, or the stream failed.
    Failed(Refusal),
}

/// Reads one line.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn message(line: &[u8]) -> Shape<Message> {
    let value = parse(line, true)?;
    let outer = Object::new(&value)?;
    if outer.has("error") {
        return Ok(Message::Failed(refusal(line)));
    }
    let result = outer
        .object("result")?
        .ok_or("the watch sent neither a result nor an error")?;
    let compact_revision = result.int("compact_revision")?;
    if compact_revision > 0 {
        return Ok(Message::Compacted { compact_revision });
    }
    // Both `created` and `canceled` are true when permission is denied: look at the bad news first.
    if result.flag("canceled")? {
        let reason = one_line(result.text("cancel_reason")?);
        return Ok(Message::Failed(Refusal {
            code: code_in(&reason),
            message: reason,
        }));
    }
    let header = header(result)?;
    let revision = header.revision;
    if result.flag("created")? {
        return Ok(Message::Created {
            revision,
            cluster_id: header.cluster_id,
        });
    }
    let events = result.each("events", |event| read_event(Object::new(event)?))?;
    Ok(Message::Events { revision, events })
}

fn read_event(object: Object<'_>) -> Shape<Event> {
    let kind = match object.text("type")? {
        "" | "PUT" => EventKind::Put,
        "DELETE" => EventKind::Delete,
        other => return Err(format!("an event of unknown type {other:.40}")),
    };
    let kv = key_value(object.object("kv")?.ok_or("an event has no key")?)?;
    if kv.mod_revision <= 0 {
        return Err("an event has no revision".into());
    }
    let prev_kv = object.object("prev_kv")?.map(key_value).transpose()?;
    Ok(Event { kind, kv, prev_kv })
}

/// The code behind a cancel reason such as `rpc error: code = PermissionDenied desc = …`, or behind its bare words.
fn code_in(reason: &str) -> i64 {
    match reason {
        _ if reason.contains("permission denied") => 7,
        _ if reason.contains("invalid auth token") => 16,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::KeyValue;

    const HEADER: &str = r#""header":{"cluster_id":"1","member_id":"2","revision":"9"}"#;

    fn read(fields: &str) -> Shape<Message> {
        message(format!(r#"{{"result":{{{HEADER}{fields}}}}}"#).as_bytes())
    }

    #[test]
    fn an_absent_type_is_a_put_and_an_unknown_one_an_error() {
        let pair = r#""kv":{"key":"aw==","create_revision":"9","mod_revision":"9","version":"1"}"#;
        let event = |kind: &str| read(&format!(r#","events":[{{{kind}{pair}}}]"#));
        let kv = KeyValue {
            key: b"k".to_vec(),
            create_revision: 9,
            mod_revision: 9,
            version: 1,
            ..KeyValue::default()
        };
        for (text, kind) in [
            ("", EventKind::Put),
            (r#""type":"PUT","#, EventKind::Put),
            (r#""type":"DELETE","#, EventKind::Delete),
        ] {
            let expected = Event {
                kind,
                kv: kv.clone(),
                prev_kv: None,
            };
            assert_eq!(
                event(text),
                Ok(Message::Events {
                    revision: 9,
                    events: vec![expected]
                })
            );
        }
        assert!(event(r#""type":"EXPIRE","#).is_err());
        assert!(event(r#""type":1,"#).is_err());
    }

    #[test]
    fn bad_news_beats_created() {
        let denied = read(
            r#","created":true,"canceled":true,"cancel_reason":"rpc error: code = PermissionDenied desc = etcdserver: permission denied""#,
        );
        assert!(matches!(
            denied,
            Ok(Message::Failed(Refusal { code: 7, .. }))
        ));
        let compacted = read(r#","canceled":true,"compact_revision":"15""#);
        assert_eq!(
            compacted,
            Ok(Message::Compacted {
                compact_revision: 15
            })
        );
        assert_eq!(
            read(r#","created":true"#),
            Ok(Message::Created {
                revision: 9,
                cluster_id: 1
            })
        );
    }

    #[test]
    fn errors_and_nonsense_are_not_events() {
        let failed = message(
            br#"{"error":{"grpc_code":14,"http_code":503,"message":"etcdserver: no leader"}}"#,
        );
        assert!(matches!(
            failed,
            Ok(Message::Failed(Refusal { code: 14, .. }))
        ));
        for nonsense in [
            "",
            "{}",
            "[]",
            r#"{"result":{}}"#,
            r#"{"result":7}"#,
            "{\"result\":{",
            "null",
        ] {
            assert!(message(nonsense.as_bytes()).is_err(), "{nonsense}");
        }
    }
}
