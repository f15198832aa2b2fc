//! A Consul: KV, transactions, sessions and blocking queries, as Consul 1.8.7 was seen to answer.

mod kv;
mod session;
mod store;
mod txn;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::HeaderValue;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::sync::watch;

use super::fault::Faults;
use super::wire::{Call, PATIENCE, Service, Wire, text};
use store::Store;

/// A Consul server of one node.
#[derive(Debug)]
pub(crate) struct Consul {
    wire: Wire,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    store: Mutex<Store>,
    changed: watch::Sender<u64>,
    token: Mutex<Option<String>>,
}

impl State {
    /// Runs a change and wakes whoever waits for one.
    fn change<T>(&self, change: impl FnOnce(&mut Store) -> T) -> T {
        let (out, index) = {
            let mut store = self.store.lock().unwrap();
            store.expire_sessions();
            let out = change(&mut store);
            (out, store.index)
        };
        self.changed.send_if_modified(|seen| std::mem::replace(seen, index) != index);
        out
    }

    fn read<T>(&self, read: impl FnOnce(&Store) -> T) -> T {
        self.change(|store| read(store))
    }
}

impl Consul {
    /// Starts empty, on a free port.
    pub(crate) async fn start() -> Self {
        let state = Arc::new(State {
            store: Mutex::new(Store::default()),
            changed: watch::channel(0).0,
            token: Mutex::new(None),
        });
        Self { wire: Wire::start(state.clone()).await, state }
    }

    /// Its address.
    pub(crate) fn url(&self) -> String {
        self.wire.url()
    }

    /// What can be made to go wrong.
    pub(crate) fn faults(&self) -> &Faults {
        self.wire.faults()
    }

    /// Journal, connections, up and down.
    pub(crate) fn wire(&self) -> &Wire {
        &self.wire
    }

    /// From now on requests without this token get 403.
    pub(crate) fn require_token(&self, token: &str) {
        *self.state.token.lock().unwrap() = Some(token.to_owned());
    }

    /// Puts a key, as an operator would; not counted as a write.
    pub(crate) fn put(&self, key: &str, value: impl AsRef<[u8]>) {
        self.state.change(|store| {
            store.next();
            store.set(key, value.as_ref().to_vec(), 0);
        });
    }

    /// Puts the configuration of a repository under `<prefix>/<base64 of its address>`.
    pub(crate) fn put_repo(&self, prefix: &str, repo: &str, config: &serde_json::Value) {
        self.put(&format!("{prefix}/{}", STANDARD.encode(repo)), config.to_string());
    }

    /// Removes a key, as an operator would.
    pub(crate) fn remove(&self, key: &str) {
        self.state.change(|store| {
            store.next();
            store.delete(key);
        });
    }

    /// Is restored from an older state, which `undo` makes of this one.
    pub(crate) fn go_back(&self, undo: impl FnOnce()) {
        undo();
        self.state.change(Store::go_back);
    }

    /// A key's value.
    pub(crate) fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.state.read(|store| store.kv.get(key).map(|entry| entry.value.clone()))
    }

    /// All keys with this prefix, each with its value.
    pub(crate) fn list(&self, prefix: &str) -> Vec<(String, Vec<u8>)> {
        self.state.read(|store| store.under(prefix).map(|(key, entry)| (key.clone(), entry.value.clone())).collect())
    }

    /// The JSON values under a prefix, by the rest of their key.
    pub(crate) fn records(&self, prefix: &str) -> Vec<(String, serde_json::Value)> {
        let found = self.list(prefix).into_iter();
        found.map(|(key, value)| (key[prefix.len()..].to_owned(), serde_json::from_slice(&value).unwrap())).collect()
    }

    /// Waits until what is stored satisfies `fits`, which is given the keys under `prefix`.
    pub(crate) async fn wait(&self, prefix: &str, what: &str, fits: impl Fn(&[(String, Vec<u8>)]) -> bool) {
        let mut changed = self.state.changed.subscribe();
        let waited = tokio::time::timeout(PATIENCE, async {
            while !fits(&self.list(prefix)) {
                changed.changed().await.unwrap();
            }
        });
        assert!(waited.await.is_ok(), "waited for: {what}; under {prefix}: {:?}", self.list(prefix));
    }

    /// Writes that took effect: of keys, by requests. Sessions and the holding of locks are not counted.
    pub(crate) fn writes(&self) -> u64 {
        self.state.read(|store| store.writes)
    }

    /// Ends all sessions now, as if their TTL were over, but those in `but`.
    pub(crate) fn end_sessions(&self, but: &[String]) {
        self.state.change(|store| {
            let all: Vec<_> = store.sessions.keys().filter(|id| !but.contains(id)).cloned().collect();
            for id in all {
                store.next();
                store.end_session(&id);
            }
        });
    }

    /// The sessions there are.
    pub(crate) fn sessions(&self) -> Vec<String> {
        self.state.read(|store| store.sessions.keys().cloned().collect())
    }

    /// The session that holds a key.
    pub(crate) fn holder(&self, key: &str) -> Option<String> {
        self.state.read(|store| store.kv.get(key).and_then(|entry| entry.session.clone()))
    }
}

impl Service for State {
    async fn answer(self: Arc<Self>, call: Call) -> Response {
        let token = self.token.lock().unwrap().clone();
        if let Some(token) = token {
            let given = call.header("x-consul-token").map(ToOwned::to_owned).or_else(|| {
                call.header("authorization").and_then(|it| it.strip_prefix("Bearer ")).map(ToOwned::to_owned)
            });
            if given.as_deref() != Some(token.as_str()) {
                return text(403, "Permission denied");
            }
        }
        if call.path.contains("//") || call.segments().iter().any(|part| part == "..") {
            let mut moved = text(301, "");
            let clean = call.path.replace("//", "/").replace("/..", "");
            moved.headers_mut().insert("location", HeaderValue::from_str(&clean).unwrap());
            return moved;
        }
        let segments = call.segments();
        let words: Vec<&str> = segments.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["v1", "kv", key @ ..] => {
                let key = key.join("/");
                kv::answer(&self, &call, &key).await
            }
            ["v1", "txn"] => txn::answer(&self, &call),
            ["v1", "session", verb, rest @ ..] => session::answer(&self, &call, verb, rest.first().copied()),
            ["v1", "internal", "acl", "authorize"] => {
                let asked: Vec<serde_json::Value> = serde_json::from_slice(&call.body).unwrap_or_default();
                let all = asked.into_iter().map(|mut one| {
                    one["Allow"] = true.into();
                    one
                });
                super::wire::json(200, &all.collect())
            }
            ["v1", "status", "leader"] => super::wire::json(200, &"127.0.0.1:8300".into()),
            ["v1", "agent", "self"] => super::wire::json(
                200,
                &serde_json::json!({"Config": {"Datacenter": "dc1", "NodeName": "vm", "Version": "1.8.7"}}),
            ),
            _ => text(404, ""),
        }
    }
}

/// Waits as a blocking query does: until `index_of` is beyond the `index` asked, or `wait` is over.
async fn block(state: &State, call: &Call, index_of: impl Fn(&Store) -> u64) -> Result<(), Response> {
    let Some(index) = call.param("index") else {
        return Ok(());
    };
    let Ok(index) = index.parse::<u64>() else {
        return Err(text(400, "Invalid index"));
    };
    let wait = match call.param("wait") {
        None => Duration::from_secs(300),
        Some(words) => duration(words).ok_or_else(|| text(400, "Invalid wait time"))?,
    };
    if index == 0 {
        return Ok(());
    }
    let mut changed = state.changed.subscribe();
    let _ = tokio::time::timeout(wait + wait / 32, async {
        while state.read(|store| index_of(store)) <= index {
            if changed.changed().await.is_err() {
                break;
            }
        }
    })
    .await;
    Ok(())
}

/// Go's durations, as far as Consul's and Nomad's clients use them: `10s`, `500ms`, `5m`, `1h`.
pub(super) fn duration(words: &str) -> Option<Duration> {
    let at = words.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = words.split_at(at);
    let number: f64 = number.parse().ok()?;
    let each = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    Some(Duration::from_secs_f64(number * each))
}
