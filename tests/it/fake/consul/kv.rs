//! `/v1/kv/…`.

use axum::body::Body;
use axum::http::HeaderValue;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::store::{Entry, Store};
use super::{State, block};
use crate::fake::wire::{self, Call, text};

/// The largest value Consul takes.
pub(super) const MAX_VALUE: usize = 512 * 1024;

pub(super) async fn answer(state: &State, call: &Call, key: &str) -> Response {
    match call.method.as_str() {
        "GET" => get(state, call, key).await,
        "PUT" => put(state, call, key),
        "DELETE" => delete(state, call, key),
        other => text(405, format!("method {other} not allowed")),
    }
}

/// An entry as Consul shows it.
pub(super) fn entry_json(key: &str, entry: &Entry, with_value: bool) -> Value {
    let value = if with_value && !entry.value.is_empty() { STANDARD.encode(&entry.value).into() } else { Value::Null };
    let mut out = json!({"LockIndex": entry.lock_index, "Key": key, "Flags": entry.flags, "Value": value});
    if let Some(session) = &entry.session {
        out["Session"] = session.clone().into();
    }
    out["CreateIndex"] = entry.create.into();
    out["ModifyIndex"] = entry.modify.into();
    out
}

async fn get(state: &State, call: &Call, key: &str) -> Response {
    let (recurse, keys) = (call.param("recurse").is_some(), call.param("keys").is_some());
    if key.is_empty() && !recurse && !keys {
        return text(400, "Missing key name");
    }
    let index_of = |store: &Store| if recurse || keys { store.prefix_index(key) } else { store.key_index(key) };
    if let Err(refused) = block(state, call, index_of).await {
        return refused;
    }
    state.read(|store| {
        let mut answer = match (keys, recurse) {
            (true, _) => names(store, key, call.param("separator").unwrap_or_default()),
            (false, true) => list(store, key),
            (false, false) => one(store, call, key),
        };
        let headers = answer.headers_mut();
        headers.insert("x-consul-index", HeaderValue::from(index_of(store)));
        headers.insert("x-consul-knownleader", HeaderValue::from_static("true"));
        headers.insert("x-consul-lastcontact", HeaderValue::from_static("0"));
        answer
    })
}

fn missing() -> Response {
    Response::builder().status(404).body(Body::empty()).unwrap()
}

fn list(store: &Store, prefix: &str) -> Response {
    let found: Vec<Value> = store.under(prefix).map(|(key, entry)| entry_json(key, entry, true)).collect();
    if found.is_empty() { missing() } else { wire::json(200, &found.into()) }
}

/// Behind the prefix each key ends at the first separator, and what is then the same is named once.
fn names(store: &Store, prefix: &str, separator: &str) -> Response {
    let cut = |key: &String| {
        let at = key[prefix.len()..].find(separator).filter(|_| !separator.is_empty());
        at.map_or_else(|| key.clone(), |at| key[..prefix.len() + at + separator.len()].to_owned())
    };
    let mut found: Vec<String> = store.under(prefix).map(|(key, _)| cut(key)).collect();
    found.dedup();
    if found.is_empty() { missing() } else { wire::json(200, &found.into()) }
}

fn one(store: &Store, call: &Call, key: &str) -> Response {
    match store.kv.get(key) {
        None => missing(),
        Some(entry) if call.param("raw").is_some() => Response::builder()
            .status(200)
            .header("content-type", "text/plain")
            .body(Body::from(entry.value.clone()))
            .unwrap(),
        Some(entry) => wire::json(200, &json!([entry_json(key, entry, true)])),
    }
}

fn number(call: &Call, name: &str) -> Result<Option<u64>, Response> {
    let bad = |words: &str| text(500, format!("strconv.ParseUint: parsing {words:?}: invalid syntax"));
    call.param(name).map(|words| words.parse().map_err(|_| bad(words))).transpose()
}

fn put(state: &State, call: &Call, key: &str) -> Response {
    if key.is_empty() {
        return text(400, "Missing key name");
    }
    if call.body.len() > MAX_VALUE {
        return text(413, format!("Request body({} bytes) too large, max size: {MAX_VALUE} bytes.", call.body.len()));
    }
    let (cas, flags) = match (number(call, "cas"), number(call, "flags")) {
        (Ok(cas), Ok(flags)) => (cas, flags.unwrap_or(0)),
        (Err(refused), _) | (_, Err(refused)) => return refused,
    };
    let value = call.body.to_vec();
    state.change(|store| {
        let done = match (call.param("acquire"), call.param("release")) {
            (Some(session), _) => {
                if !store.sessions.contains_key(session) {
                    return text(500, format!("invalid session {session:?}"));
                }
                store.next();
                return wire::json(200, &store.acquire(key, session, value, flags).into());
            }
            (None, Some(session)) => {
                store.next();
                return wire::json(200, &store.release(key, session, value, flags).into());
            }
            (None, None) => cas.is_none_or(|cas| store.cas_fits(key, cas)),
        };
        if done {
            store.next();
            store.writes += 1;
            store.set(key, value, flags);
        }
        wire::json(200, &done.into())
    })
}

fn delete(state: &State, call: &Call, key: &str) -> Response {
    let cas = match number(call, "cas") {
        Ok(cas) => cas,
        Err(refused) => return refused,
    };
    let recurse = call.param("recurse").is_some();
    state.change(|store| {
        // Seen: `?cas=0` is false, and a key that is missing is no error.
        let done = cas.is_none_or(|cas| cas != 0 && store.kv.get(key).is_none_or(|entry| entry.modify == cas));
        if done {
            let doomed: Vec<String> =
                if recurse { store.under(key).map(|(key, _)| key.clone()).collect() } else { vec![key.to_owned()] };
            store.next();
            for key in doomed {
                store.writes += u64::from(store.kv.contains_key(&key));
                store.delete(&key);
            }
        }
        wire::json(200, &done.into())
    })
}
