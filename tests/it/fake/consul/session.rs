//! `/v1/session/…`.

use std::time::{Duration, Instant};

use axum::response::Response;
use serde_json::{Value, json};

use super::store::Session;
use super::{State, duration};
use crate::fake::wire::{self, Call, text};

pub(super) fn answer(state: &State, call: &Call, verb: &str, id: Option<&str>) -> Response {
    match (call.method.as_str(), verb, id) {
        ("PUT", "create", None) => create(state, call),
        ("PUT", "destroy", Some(id)) => state.change(|store| {
            store.next();
            store.end_session(id);
            wire::json(200, &true.into())
        }),
        ("PUT", "renew", Some(id)) => state.change(|store| match store.sessions.get_mut(id) {
            None => text(404, format!("Session id '{id}' not found")),
            Some(session) => {
                session.renewed = Instant::now();
                wire::json(200, &json!([show(id, session)]))
            }
        }),
        ("GET", "info", Some(id)) => state.read(|store| {
            let found: Vec<Value> = store.sessions.get(id).map(|session| show(id, session)).into_iter().collect();
            wire::json(200, &found.into())
        }),
        ("GET", "list", None) => state.read(|store| {
            let all: Vec<Value> = store.sessions.iter().map(|(id, session)| show(id, session)).collect();
            wire::json(200, &all.into())
        }),
        (other, _, _) => text(405, format!("method {other} not allowed")),
    }
}

fn show(id: &str, session: &Session) -> Value {
    json!({
        "ID": id, "Name": session.name, "Node": "vm",
        "LockDelay": u64::try_from(session.lock_delay.as_nanos()).unwrap(),
        "Behavior": if session.delete { "delete" } else { "release" },
        "TTL": session.ttl_text, "NodeChecks": ["serfHealth"], "ServiceChecks": null,
        "CreateIndex": session.create, "ModifyIndex": session.create,
    })
}

fn create(state: &State, call: &Call) -> Response {
    let body: Value = if call.body.is_empty() {
        json!({})
    } else {
        match serde_json::from_slice(&call.body) {
            Ok(body) => body,
            Err(error) => return text(400, format!("Request decode failed: {error}")),
        }
    };
    let ttl_text = body["TTL"].as_str().unwrap_or_default().to_owned();
    let ttl = duration(&ttl_text);
    if let Some(ttl) = ttl
        && !(Duration::from_secs(10)..=Duration::from_secs(86_400)).contains(&ttl)
    {
        return text(500, format!("Invalid Session TTL '{}', must be between [10s=24h0m0s]", ttl.as_nanos()));
    }
    let lock_delay = match &body["LockDelay"] {
        Value::String(words) => duration(words).unwrap_or_default(),
        Value::Number(nanos) => Duration::from_nanos(nanos.as_u64().unwrap_or_default()),
        _ => Duration::from_secs(15),
    };
    let id = super::super::uuid();
    state.change(|store| {
        let session = Session {
            name: body["Name"].as_str().unwrap_or_default().to_owned(),
            ttl,
            ttl_text,
            delete: body["Behavior"] == "delete",
            lock_delay,
            create: store.next(),
            renewed: Instant::now(),
        };
        store.sessions.insert(id.clone(), session);
    });
    wire::json(200, &json!({"ID": id}))
}
