//! JSON to replies.

use serde_json::Value;

use super::json::{Object, Shape, bytes_of, text_of};
use super::part::parse;
use crate::{
    DeleteReply, GrantReply, Header, KeepAliveReply, KeyValue, Member, MembersReply, Op, OpReply,
    PutReply, RangeReply, Reply, Request, StatusReply, TimeToLiveReply, Txn, TxnReply,
};

/// Reads the body of a 200 as the answer to `request`.
///
/// # Errors
/// What is wrong with it. The caller cannot know then what the request did.
pub(crate) fn reply(request: &Request, bytes: &[u8]) -> Shape<Reply> {
    if bytes.is_empty() {
        return Err("the reply is empty".into());
    }
    // A renewal is answered by a stream of one message, whose end is of no interest.
    let value = parse(bytes, !matches!(request, Request::KeepAlive { .. }))?;
    let object = Object::new(&value)?;
    let whole = || Ok::<_, String>((object, header(object)?));
    Ok(match request {
        Request::Range(_) => Reply::Range(range(whole()?)?),
        Request::Put(_) => Reply::Put(put(whole()?)?),
        Request::Delete(_) => Reply::Delete(delete(whole()?)?),
        Request::Txn(asked) => Reply::Txn(txn(asked, whole()?)?),
        Request::Grant { id, .. } => Reply::Grant(grant(*id, object)?),
        Request::Revoke { .. } => Reply::Revoke(header(object)?),
        Request::KeepAlive { id } => Reply::KeepAlive(keep_alive(*id, object)?),
        Request::TimeToLive { id, .. } => Reply::TimeToLive(time_to_live(*id, object)?),
        Request::Compact { .. } => Reply::Compact(header(object)?),
        Request::Status => Reply::Status(status(object)?),
        Request::Members => Reply::Members(members(object)?),
    })
}

/// The token in the answer to an authentication.
pub(crate) fn auth_token(bytes: &[u8]) -> Shape<String> {
    let value = parse(bytes, true)?;
    let token = Object::new(&value)?.text("token")?;
    if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("the authentication's reply has no usable token".into());
    }
    Ok(token.to_owned())
}

/// The server's version in the answer of `/version`, such as `3.5.16`.
pub(crate) fn version(bytes: &[u8]) -> Shape<String> {
    let value = parse(bytes, true)?;
    let version = Object::new(&value)?.text("etcdserver")?;
    if version.is_empty() {
        return Err("the reply has no `etcdserver` version".into());
    }
    Ok(version.to_owned())
}

/// The header, which every etcd sends and which no other server is likely to: a stray `{}` is not an answer.
pub(super) fn header(object: Object<'_>) -> Shape<Header> {
    let header = object.object("header")?.ok_or("the reply has no header")?;
    let header = read_header(header)?;
    if header.member_id == 0 {
        return Err("the reply's header names no member".into());
    }
    Ok(header)
}

fn read_header(header: Object<'_>) -> Shape<Header> {
    let revision = header.int("revision")?;
    if revision == i64::MAX {
        return Err("the reply's header has a revision that none can follow".into());
    }
    Ok(Header {
        cluster_id: header.uint("cluster_id")?,
        member_id: header.uint("member_id")?,
        revision,
        raft_term: header.uint("raft_term")?,
    })
}

/// Inside a transaction the header holds at most the revision.
fn inner_header(object: Object<'_>) -> Shape<Header> {
    object
        .object("header")?
        .map_or(Ok(Header::default()), read_header)
}

pub(super) fn key_value(object: Object<'_>) -> Shape<KeyValue> {
    let pair = KeyValue {
        key: object.bytes("key")?,
        value: object.bytes("value")?,
        create_revision: object.int("create_revision")?,
        mod_revision: object.int("mod_revision")?,
        version: object.int("version")?,
        lease: object.int("lease")?,
    };
    if pair.key.is_empty() {
        return Err("a pair has no key".into());
    }
    Ok(pair)
}

fn pairs(object: Object<'_>, field: &str) -> Shape<Vec<KeyValue>> {
    object.each(field, |pair| stored(Object::new(pair)?))
}

/// A pair as it is or was in the store, where every revision starts at 1.
fn stored(object: Object<'_>) -> Shape<KeyValue> {
    let pair = key_value(object)?;
    if pair.create_revision <= 0 || pair.mod_revision < pair.create_revision || pair.version <= 0 {
        return Err("a pair has impossible revisions".into());
    }
    Ok(pair)
}

/// A reply, or a part of one, with its header.
type Headed<'a> = (Object<'a>, Header);

fn range((object, header): Headed<'_>) -> Shape<RangeReply> {
    let reply = RangeReply {
        header,
        kvs: pairs(object, "kvs")?,
        more: object.flag("more")?,
        count: object.int("count")?,
    };
    if reply.count < reply.kvs.len() as i64 {
        return Err("a range counts fewer keys than it lists".into());
    }
    Ok(reply)
}

fn put((object, header): Headed<'_>) -> Shape<PutReply> {
    Ok(PutReply {
        header,
        prev_kv: object.object("prev_kv")?.map(stored).transpose()?,
    })
}

fn delete((object, header): Headed<'_>) -> Shape<DeleteReply> {
    Ok(DeleteReply {
        header,
        deleted: object.int("deleted")?,
        prev_kvs: pairs(object, "prev_kvs")?,
    })
}

fn txn(asked: &Txn, (object, header): Headed<'_>) -> Shape<TxnReply> {
    let succeeded = object.flag("succeeded")?;
    if !succeeded && asked.compares.is_empty() {
        return Err("a transaction without guards is said to have failed".into());
    }
    let branch = if succeeded {
        &asked.success
    } else {
        &asked.failure
    };
    let responses = object.list("responses")?;
    // A server that did not understand a branch answers with fewer replies than it has operations.
    if responses.len() != branch.len() {
        return Err(format!(
            "a transaction of {} operations is answered with {} replies",
            branch.len(),
            responses.len()
        ));
    }
    let replies = branch.iter().zip(responses);
    Ok(TxnReply {
        header,
        succeeded,
        replies: replies
            .map(|(op, response)| op_reply(op, Object::new(response)?))
            .collect::<Shape<_>>()?,
    })
}

fn op_reply(op: &Op, object: Object<'_>) -> Shape<OpReply> {
    let part = |field: &str| {
        let inner = object.object(field)?;
        let inner = inner.ok_or_else(|| format!("an operation's reply has no `{field}`"))?;
        Ok::<_, String>((inner, inner_header(inner)?))
    };
    Ok(match op {
        Op::Range(_) => OpReply::Range(range(part("response_range")?)?),
        Op::Put(_) => OpReply::Put(put(part("response_put")?)?),
        Op::Delete(_) => OpReply::Delete(delete(part("response_delete_range")?)?),
        Op::Txn(nested) => OpReply::Txn(txn(nested, part("response_txn")?)?),
    })
}

fn grant(asked: i64, object: Object<'_>) -> Shape<GrantReply> {
    let error = object.text("error")?;
    if !error.is_empty() {
        return Err(format!("the grant carries an error: {error:.200}"));
    }
    let reply = GrantReply {
        header: header(object)?,
        id: object.int("ID")?,
        ttl_sec: object.int("TTL")?,
    };
    if reply.id == 0 || (asked != 0 && reply.id != asked) || reply.ttl_sec <= 0 {
        return Err("the grant is for another lease, or has no TTL".into());
    }
    Ok(reply)
}

fn keep_alive(asked: i64, object: Object<'_>) -> Shape<KeepAliveReply> {
    let result = object
        .object("result")?
        .ok_or("the renewal's reply has no result")?;
    let reply = KeepAliveReply {
        header: header(result)?,
        id: result.int("ID")?,
        // etcd answers 200 for a lease that is gone, and leaves the TTL out.
        ttl_sec: Some(result.int("TTL")?).filter(|ttl| *ttl > 0),
    };
    if reply.id != asked {
        return Err("the renewal is for another lease".into());
    }
    Ok(reply)
}

fn time_to_live(asked: i64, object: Object<'_>) -> Shape<TimeToLiveReply> {
    let reply = TimeToLiveReply {
        header: header(object)?,
        id: object.int("ID")?,
        // -1 says that the lease is gone; absence is 0, the last second of a living one.
        ttl_sec: Some(object.int("TTL")?).filter(|ttl| *ttl >= 0),
        granted_ttl_sec: object.int("grantedTTL")?,
        keys: object.each("keys", bytes_of)?,
    };
    if reply.id != asked {
        return Err("the time to live is another lease's".into());
    }
    Ok(reply)
}

fn status(object: Object<'_>) -> Shape<StatusReply> {
    Ok(StatusReply {
        header: header(object)?,
        version: object.text("version")?.to_owned(),
        db_size: object.int("dbSize")?,
        leader: object.uint("leader")?,
    })
}

fn members(object: Object<'_>) -> Shape<MembersReply> {
    let header = header(object)?;
    let read = |member: &Value| -> Shape<Member> {
        let member = Object::new(member)?;
        Ok(Member {
            id: member.uint("ID")?,
            name: member.text("name")?.to_owned(),
            client_urls: member.each("clientURLs", text_of)?,
            peer_urls: member.each("peerURLs", text_of)?,
        })
    };
    Ok(MembersReply {
        header,
        members: object.each("members", read)?,
    })
}

#[cfg(test)]
mod tests;
