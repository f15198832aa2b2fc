//! One event as it goes over the wire ([WHATWG, 9.2](https://html.spec.whatwg.org/multipage/server-sent-events.html)).

use std::fmt::Write as _;

use bytes::Bytes;
use serde::Serialize;

use crate::registry::Index;

/// What a reader that lost its connection waits for before it comes back.
pub(super) const RETRY: Bytes = Bytes::from_static(b"retry: 2000\n\n");
/// Keeps proxies from closing a quiet connection.
pub(super) const HEARTBEAT: Bytes = Bytes::from_static(b": \n\n");

/// An event with its data as one line of JSON.
pub(super) fn event<T: Serialize>(id: Index, name: &str, data: &T) -> Bytes {
    let mut text = String::with_capacity(1024);
    // Writing to a string never fails.
    let _ = write!(text, "id: {}\nevent: {name}\ndata: ", id.0);
    text.push_str(&serde_json::to_string(data).unwrap_or_default());
    text.push_str("\n\n");
    Bytes::from(text)
}

/// Moves the reader's last id on, without an event.
pub(super) fn only_id(id: Index) -> Bytes {
    Bytes::from(format!("id: {}\n\n", id.0))
}

/// What stands before the words of an event that is shared by readers with different ids.
pub(super) fn with_id(id: Index, rest: &[u8]) -> Bytes {
    let mut text = format!("id: {}\n", id.0).into_bytes();
    text.extend_from_slice(rest);
    Bytes::from(text)
}

/// The words behind the id.
pub(super) fn rest<T: Serialize>(name: &str, data: &T) -> Bytes {
    let json = serde_json::to_string(data).unwrap_or_default();
    Bytes::from(format!("event: {name}\ndata: {json}\n\n"))
}
