//! serve's side of artifacts and caches, in memory, with trouble on demand.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::Body;
use axum::extract::{Json, Path, RawQuery, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;

/// What one request is answered with, in place of what it asks for.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Trouble {
    pub(in super::super) at: At,
    pub(in super::super) status: u16,
    /// It is done all the same; only the answer is another.
    pub(in super::super) done: bool,
}

/// Which request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum At {
    Begin,
    Send,
    Commit,
    Get,
}

#[derive(Debug, Default)]
struct Kept {
    uploads: HashMap<String, Vec<u8>>,
    blobs: HashMap<String, (Value, Vec<u8>)>,
    troubles: VecDeque<Trouble>,
    signed_at: Option<String>,
    most: Option<u64>,
    no_store: bool,
    /// What a download is told to be.
    wrong_sum: bool,
}

/// Clones share what is kept.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct FakeBlobs {
    kept: Arc<Mutex<Kept>>,
    calls: watch::Sender<Vec<String>>,
}

impl FakeBlobs {
    pub(in super::super) fn router(&self) -> Router {
        Router::new()
            .route("/session/{claim}/artifacts", get(list))
            .route("/session/{claim}/uploads/{upload}", put(send))
            .route("/signed/{upload}", put(signed).get(download))
            .route("/session/{claim}/{kind}/{id}", post(begin).get(give))
            .route("/session/{claim}/{kind}/{id}/commit", post(commit))
            .with_state(self.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap()
    }

    /// Bytes go to and come from addresses at `base`, not through the session.
    pub(super) fn sign(&self, base: &str) {
        self.lock().signed_at = Some(base.to_owned());
    }

    pub(super) fn trouble(&self, trouble: Trouble) {
        self.lock().troubles.push_back(trouble);
    }

    pub(super) fn most(&self, most: u64) {
        self.lock().most = Some(most);
    }

    pub(super) fn keep_nothing(&self) {
        self.lock().no_store = true;
    }

    pub(super) fn wrong_sums(&self) {
        self.lock().wrong_sum = true;
    }

    /// What is kept as `artifacts/x`.
    pub(super) fn bytes(&self, path: &str) -> Option<Vec<u8>> {
        self.lock().blobs.get(path).map(|(_, bytes)| bytes.clone())
    }

    /// Whether there is anything, whole or not.
    pub(super) fn is_empty(&self) -> bool {
        let kept = self.lock();
        kept.blobs.is_empty() && kept.uploads.is_empty()
    }

    pub(super) fn calls(&self) -> Vec<String> {
        self.calls.borrow().clone()
    }

    pub(super) async fn called(&self, call: &str) {
        let mut calls = self.calls.subscribe();
        calls.wait_for(|calls| calls.iter().any(|one| one.starts_with(call))).await.unwrap();
    }

    fn note(&self, call: String) {
        self.calls.send_modify(|calls| calls.push(call));
    }

    fn due(&self, at: At) -> Option<Trouble> {
        let mut kept = self.lock();
        let is_due = kept.troubles.front().is_some_and(|trouble| trouble.at == at);
        if is_due { kept.troubles.pop_front() } else { None }
    }
}

fn problem(status: u16, kind: &str) -> Response {
    let body = json!({"type": kind, "status": status, "detail": format!("refused with {status}")});
    (StatusCode::from_u16(status).unwrap(), [("content-type", "application/problem+json")], body.to_string())
        .into_response()
}

async fn whole(body: Body) -> Option<Vec<u8>> {
    body.collect().await.ok().map(|body| body.to_bytes().to_vec())
}

async fn begin(
    State(blobs): State<FakeBlobs>,
    Path((_claim, kind, id)): Path<(String, String, String)>,
    Json(asked): Json<Value>,
) -> Response {
    blobs.note(format!("begin {kind}/{id} {}", asked["size"]));
    if let Some(trouble) = blobs.due(At::Begin) {
        return problem(trouble.status, "about:blank");
    }
    let kept = blobs.lock();
    if kept.no_store {
        return problem(404, "urn:albatros:no-store");
    }
    if kept.blobs.contains_key(&format!("{kind}/{id}")) {
        return problem(409, "about:blank");
    }
    let upload = format!("{:032x}", blobs.calls.borrow().len());
    let url = kept.signed_at.as_ref().map(|base| format!("{base}/signed/{upload}?key=s1gned"));
    let answer = json!({"upload": upload, "url": url, "most": kept.most.unwrap_or(1 << 30)});
    (StatusCode::CREATED, Json(answer)).into_response()
}

async fn send(
    State(blobs): State<FakeBlobs>,
    Path((_claim, upload)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    assert!(headers["authorization"].to_str().unwrap().starts_with("Bearer "));
    blobs.note(format!("send {}", headers.get("content-length").map_or("-", |value| value.to_str().unwrap())));
    if let Some(trouble) = blobs.due(At::Send) {
        return problem(trouble.status, "about:blank");
    }
    let Some(bytes) = whole(body).await else {
        blobs.note("cut".to_owned());
        return problem(400, "about:blank");
    };
    blobs.lock().uploads.insert(upload, bytes);
    StatusCode::NO_CONTENT.into_response()
}

async fn signed(
    State(blobs): State<FakeBlobs>,
    Path(upload): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    assert!(headers.get("authorization").is_none(), "the secret is for serve alone");
    let length: usize = headers["content-length"].to_str().unwrap().parse().unwrap();
    let Some(bytes) = whole(body).await else { return problem(400, "about:blank") };
    assert_eq!(bytes.len(), length);
    blobs.lock().uploads.insert(upload, bytes);
    StatusCode::OK.into_response()
}

async fn commit(
    State(blobs): State<FakeBlobs>,
    Path((_claim, kind, id)): Path<(String, String, String)>,
    Json(told): Json<Value>,
) -> Response {
    blobs.note(format!("commit {kind}/{id}"));
    let trouble = blobs.due(At::Commit);
    if let Some(trouble) = trouble.filter(|trouble| !trouble.done) {
        return problem(trouble.status, "about:blank");
    }
    let mut kept = blobs.lock();
    let key = format!("{kind}/{id}");
    let manifest = json!({
        "id": id, "packing": told["packing"], "name": told["name"], "size": told["size"], "sha256": told["sha256"],
        "created": "2026-11-22T00:00:00Z",
    });
    let status = if kept.blobs.contains_key(&key) {
        StatusCode::OK
    } else {
        let Some(bytes) = kept.uploads.remove(told["upload"].as_str().unwrap()) else {
            return problem(422, "about:blank");
        };
        assert_eq!(told["size"], bytes.len());
        assert_eq!(told["sha256"], hex::encode(Sha256::digest(&bytes)));
        kept.blobs.insert(key, (manifest.clone(), bytes));
        StatusCode::CREATED
    };
    match trouble {
        Some(trouble) => problem(trouble.status, "about:blank"),
        None => (status, Json(manifest)).into_response(),
    }
}

async fn give(
    State(blobs): State<FakeBlobs>,
    method: Method,
    Path((_claim, kind, id)): Path<(String, String, String)>,
    RawQuery(query): RawQuery,
) -> Response {
    blobs.note(format!("{method} {kind}/{id}?{}", query.unwrap_or_default()));
    if let Some(trouble) = blobs.due(At::Get) {
        return problem(trouble.status, "about:blank");
    }
    let kept = blobs.lock();
    let Some((manifest, bytes)) = kept.blobs.get(&format!("{kind}/{id}")) else {
        return problem(404, "about:blank");
    };
    let sum = if kept.wrong_sum { "00".repeat(32) } else { manifest["sha256"].as_str().unwrap().to_owned() };
    let mut headers = HeaderMap::new();
    let mut put = |name: &'static str, value: &str| headers.insert(name, value.parse().unwrap());
    put("x-albatros-id", &id);
    put("x-albatros-size", &bytes.len().to_string());
    put("x-albatros-sha256", &sum);
    put("x-albatros-packing", manifest["packing"].as_str().unwrap());
    if let Some(name) = manifest["name"].as_str() {
        put("x-albatros-name", name);
    }
    match &kept.signed_at {
        Some(base) => {
            put("location", &format!("{base}/signed/{kind}-{id}?key=s1gned"));
            (StatusCode::TEMPORARY_REDIRECT, headers).into_response()
        }
        None => (headers, bytes.clone()).into_response(),
    }
}

async fn download(State(blobs): State<FakeBlobs>, Path(name): Path<String>, headers: HeaderMap) -> Response {
    assert!(headers.get("authorization").is_none(), "the secret is for serve alone");
    let found = blobs.bytes(&name.replacen('-', "/", 1));
    found.map_or_else(|| problem(404, "about:blank"), IntoResponse::into_response)
}

async fn list(State(blobs): State<FakeBlobs>) -> Json<Vec<Value>> {
    let kept = blobs.lock();
    Json(kept.blobs.values().map(|(manifest, _)| manifest.clone()).collect())
}
