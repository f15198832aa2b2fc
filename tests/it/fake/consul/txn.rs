//! `PUT /v1/txn`: all or nothing.

use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::State;
use super::kv::{MAX_VALUE, entry_json};
use super::store::Store;
use crate::fake::wire::{self, Call, text};

const MOST_OPERATIONS: usize = 64;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Operation {
    #[serde(rename = "KV")]
    kv: KvOperation,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct KvOperation {
    verb: String,
    key: String,
    #[serde(default)]
    value: Option<String>,
    #[serde(default)]
    flags: u64,
    #[serde(default)]
    index: u64,
    #[serde(default)]
    session: String,
}

pub(super) fn answer(state: &State, call: &Call) -> Response {
    if call.method != "PUT" {
        return text(405, format!("method {} not allowed", call.method));
    }
    let operations: Vec<Operation> = match serde_json::from_slice(&call.body) {
        Ok(operations) => operations,
        Err(error) => return text(400, format!("Failed to parse body: {error}")),
    };
    if operations.len() > MOST_OPERATIONS {
        let count = operations.len();
        return text(413, format!("Transaction contains too many operations ({count} > {MOST_OPERATIONS})"));
    }
    let mut decoded = Vec::new();
    for Operation { kv } in &operations {
        match STANDARD.decode(kv.value.as_deref().unwrap_or_default()) {
            Ok(value) if value.len() > MAX_VALUE => {
                return text(
                    413,
                    format!("Value for key {:?} is too large ({} > {MAX_VALUE} bytes)", kv.key, value.len()),
                );
            }
            Ok(value) => decoded.push(value),
            Err(error) => return text(400, format!("Failed to parse body: {error}")),
        }
    }
    state.change(|store| run(store, &operations, decoded))
}

fn run(store: &mut Store, operations: &[Operation], values: Vec<Vec<u8>>) -> Response {
    let before = store.clone();
    store.next();
    let (mut results, mut errors) = (Vec::new(), Vec::new());
    for (at, (Operation { kv }, value)) in operations.iter().zip(values).enumerate() {
        match step(store, kv, value) {
            Ok(Some(shown)) => results.extend(shown.into_iter().map(|entry| json!({"KV": entry}))),
            Ok(None) => {}
            Err(what) => errors.push(json!({"OpIndex": at, "What": what})),
        }
    }
    if !errors.is_empty() {
        *store = before;
        return wire::json(409, &json!({"Results": null, "Errors": errors}));
    }
    if store.writes == before.writes {
        store.index = before.index;
    }
    wire::json(200, &json!({"Results": results, "Errors": null}))
}

/// One operation: what it shows, or why it fails.
fn step(store: &mut Store, kv: &KvOperation, value: Vec<u8>) -> Result<Option<Vec<Value>>, String> {
    let key = kv.key.as_str();
    let changes =
        !matches!(kv.verb.as_str(), "get" | "get-tree" | "check-index" | "check-session" | "check-not-exists");
    match kv.verb.as_str() {
        "set" => store.set(key, value, kv.flags),
        "cas" if store.cas_fits(key, kv.index) => store.set(key, value, kv.flags),
        "cas" => return Err(format!("failed to set key {key:?}, index is stale")),
        "lock" if !store.sessions.contains_key(&kv.session) => {
            return Err(format!("failed to lock key {key:?}, invalid session {:?}", kv.session));
        }
        "lock" if store.acquire(key, &kv.session, value.clone(), kv.flags) => {}
        "lock" => return Err(format!("failed to lock key {key:?}, lock is already held")),
        "unlock" if store.release(key, &kv.session, value.clone(), kv.flags) => {}
        "unlock" => {
            return Err(format!("failed to unlock key {key:?}, lock isn't held, or is held by another session"));
        }
        "delete" => store.delete(key),
        "delete-tree" => {
            let doomed: Vec<String> = store.under(key).map(|(key, _)| key.clone()).collect();
            doomed.iter().for_each(|key| store.delete(key));
        }
        "delete-cas" if store.kv.get(key).is_some_and(|entry| entry.modify == kv.index) => store.delete(key),
        "delete-cas" => return Err(format!("failed to delete key {key:?}, index is stale")),
        "get-tree" => return Ok(Some(store.under(key).map(|(key, entry)| entry_json(key, entry, true)).collect())),
        "check-not-exists" if store.kv.contains_key(key) => return Err(format!("key {key:?} exists")),
        "check-not-exists" => return Ok(None),
        "get" | "check-index" | "check-session" => {}
        other => return Err(format!("unknown KV verb {other:?}")),
    }
    if changes {
        store.writes += 1;
    }
    if kv.verb.starts_with("delete") {
        return Ok(None);
    }
    let entry = store.kv.get(key).ok_or_else(|| absent(kv))?;
    let current = entry.session.as_deref().unwrap_or_default();
    match kv.verb.as_str() {
        "check-session" if current != kv.session => {
            Err(format!("failed session check for key {key:?}, current session {current:?} != {:?}", kv.session))
        }
        "check-index" if entry.modify != kv.index => {
            Err(format!("failed index check for key {key:?}, current modify index {} != {}", entry.modify, kv.index))
        }
        verb => Ok(Some(vec![entry_json(key, entry, verb == "get")])),
    }
}

fn absent(kv: &KvOperation) -> String {
    match kv.verb.as_str() {
        "check-session" => format!("failed to check session, key {:?} doesn't exist", kv.key),
        "check-index" => format!("failed to check index, key {:?} doesn't exist", kv.key),
        _ => format!("key {:?} doesn't exist", kv.key),
    }
}
