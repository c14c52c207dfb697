//! The JSON of etcd's gRPC gateway, in both of its dialects.
//!
//! Requests are spelt as `rpc.proto` spells them, and a test holds every spelling: servers ignore field names they do not
//! know and take some unknown enum strings as 0, so a typing error would drop a guard without a word.
//!
//! Replies are read strictly. A field that is absent has its zero value, as the gateway leaves those out; a field of the
//! wrong type, a missing header, an operation's reply of the wrong kind, or an unknown event type is an error. What cannot
//! be understood must not look like success.

mod decode;
mod encode;
mod error;
mod json;
mod part;

pub(crate) use decode::{auth_token, reply, version};
pub(crate) use encode::{authenticate, body, longest_reply, path, watch};
pub(crate) use error::{Refusal, classify, holds_any, one_line, refusal};
pub(crate) use stream::{Message, message};

mod stream;

/// The most bytes of a reply that are read. etcd's own bound on a request is 1.5 MiB; a listing of a fleet stays far below this.
pub(crate) const MAX_REPLY_BYTES: u64 = 16 * 1024 * 1024;
/// The same where an answer says one thing.
pub(crate) const SMALL_REPLY_BYTES: u64 = 64 * 1024;
