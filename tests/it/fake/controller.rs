//! A build's controller, as its tasks see it: two sockets, two tokens, and a note of every call.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use albatros::domain::log_chunk::{Chunk, Joiner};
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::net::UnixListener;
use tokio::sync::watch;

/// The script's token.
pub(crate) const TOKEN: &str = "5c21b7";
/// The trusted tasks'.
pub(crate) const TRUSTED: &str = "7105ed";

/// What the controller answers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answers {
    /// `GET /v1/workspace`.
    pub(crate) workspace: Value,
    /// In its place: a status and the type of a problem.
    pub(crate) refusal: Option<(u16, &'static str)>,
    /// `GET /v1/params` as text; none: 403.
    pub(crate) params: Option<String>,
    /// The same, in place of an answer.
    pub(crate) params_status: Option<u16>,
    /// `POST /v1/finish` fails.
    pub(crate) finish_fails: bool,
    /// `GET /v1/masks`; none: logs are archived nowhere.
    pub(crate) masks: Option<Vec<&'static str>>,
    /// What `GET /v1/saves/due` tells of, once the script has ended.
    pub(crate) saves: Vec<Value>,
    /// What `POST /v1/finish` says is wrong.
    pub(crate) trouble: Option<&'static str>,
}

/// A controller in this process, in an allocation's directory.
#[derive(Debug)]
pub(crate) struct FakeController {
    state: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    alloc: PathBuf,
    answers: Mutex<Answers>,
    calls: watch::Sender<Vec<String>>,
    chunks: Mutex<Vec<Chunk>>,
    ends: watch::Sender<Vec<(String, u64)>>,
    /// Calls about logs are answered with 503.
    busy: watch::Sender<bool>,
    puts: Mutex<Vec<(String, Vec<u8>)>>,
    done: watch::Sender<Option<Value>>,
}

impl FakeController {
    pub(crate) fn start(alloc: &Path, answers: Answers) -> Self {
        let state = Arc::new(Inner {
            alloc: alloc.to_owned(),
            answers: Mutex::new(answers),
            calls: watch::Sender::default(),
            chunks: Mutex::default(),
            ends: watch::Sender::default(),
            busy: watch::Sender::default(),
            puts: Mutex::default(),
            done: watch::Sender::default(),
        });
        serve(&alloc.join("albatros.sock"), 0o666, Router::new().fallback(script).with_state(Arc::clone(&state)));
        serve(
            &alloc.join("albatros-trusted.sock"),
            0o600,
            Router::new().fallback(trusted).with_state(Arc::clone(&state)),
        );
        std::fs::write(alloc.join("albatros.token"), TOKEN).unwrap();
        std::fs::write(alloc.join("new"), TRUSTED).unwrap();
        std::fs::rename(alloc.join("new"), alloc.join("albatros-trusted.token")).unwrap();
        Self { state }
    }

    /// Waits for a call.
    pub(crate) async fn called(&self, call: &str) {
        let mut calls = self.state.calls.subscribe();
        let called = calls.wait_for(|calls| calls.iter().any(|one| one == call));
        tokio::time::timeout(std::time::Duration::from_secs(60), called).await.expect(call).unwrap();
    }

    /// From now on, or no longer, calls about logs are answered with 503.
    pub(crate) fn busy(&self, busy: bool) {
        self.state.busy.send_replace(busy);
    }

    /// The text of the chunks of standard output that have come, put together.
    pub(crate) fn archived(&self) -> String {
        let mut chunks = self.state.chunks.lock().unwrap().clone();
        chunks.sort_by_key(|chunk| chunk.offset);
        let mut joiner = Joiner::default();
        let mut text = Vec::new();
        for joined in chunks.into_iter().map(|chunk| joiner.take(chunk)) {
            assert_eq!(joined.missing, 0);
            text.extend(joined.chunk.iter().flat_map(|chunk| chunk.text.to_vec()));
        }
        String::from_utf8(text).unwrap()
    }

    /// The length that the end of standard output's log has told, if it has come.
    pub(crate) fn archived_end(&self) -> Option<u64> {
        self.state.ends.borrow().iter().find(|(stream, _)| stream == "stdout").map(|(_, length)| *length)
    }

    /// What could not be kept, once the sidecar has said so.
    pub(crate) async fn unsaved(&self) -> Value {
        let mut done = self.state.done.subscribe();
        let told = tokio::time::timeout(std::time::Duration::from_secs(60), done.wait_for(Option::is_some)).await;
        told.expect("the sidecar says what is kept").unwrap().clone().unwrap()["failed"].clone()
    }

    /// What was put, in order.
    pub(crate) fn puts(&self) -> Vec<(String, Vec<u8>)> {
        self.state.puts.lock().unwrap().clone()
    }

    pub(crate) fn calls(&self) -> Vec<String> {
        self.state.calls.borrow().clone()
    }
}

fn serve(socket: &Path, mode: u32, router: Router) {
    let listener = UnixListener::bind(socket).unwrap();
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(mode)).unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
}

/// Held until the script has ended, and then for ever after the first answer.
async fn due(inner: &Inner) -> Response {
    let mut calls = inner.calls.subscribe();
    let _ = calls.wait_for(|calls| calls.iter().any(|call| call == "POST /v1/finish")).await;
    let saves = inner.answers.lock().unwrap().saves.clone();
    axum::Json(json!({"ended": "success", "saves": saves})).into_response()
}

fn noted(inner: &Inner, method: &Method, uri: &Uri, headers: &HeaderMap, token: &str) -> Result<String, Response> {
    let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if shown != Some(&format!("Bearer {token}")) {
        return Err(StatusCode::UNAUTHORIZED.into_response());
    }
    let call = format!("{method} {}", uri.path());
    inner.calls.send_modify(|calls| calls.push(call.clone()));
    Ok(call)
}

async fn script(
    State(inner): State<Arc<Inner>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let call = match noted(&inner, &method, &uri, &headers, TOKEN) {
        Ok(call) => call,
        Err(refusal) => return refusal,
    };
    let answers = inner.answers.lock().unwrap().clone();
    match call.as_str() {
        "GET /v1/params" => match (answers.params_status, answers.params) {
            (Some(status), _) => problem(status, "about:blank"),
            // No connection is kept, so that the next call has to find the socket.
            (None, Some(text)) => ([(header::CONNECTION, "close")], text).into_response(),
            (None, None) => problem(403, "about:blank"),
        },
        "POST /v1/machine" => {
            inner.calls.send_modify(|calls| calls.push(format!("machine {}", String::from_utf8_lossy(&body))));
            StatusCode::NO_CONTENT.into_response()
        }
        "POST /v1/finish" if answers.finish_fails => problem(500, "about:blank"),
        "POST /v1/finish" => axum::Json(json!({"trouble": answers.trouble})).into_response(),
        _ => problem(404, "about:blank"),
    }
}

async fn trusted(
    State(inner): State<Arc<Inner>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if uri.path() == "/v1/saves/due" {
        return due(&inner).await;
    }
    let call = match noted(&inner, &method, &uri, &headers, TRUSTED) {
        Ok(call) => call,
        Err(refusal) => return refusal,
    };
    let answers = inner.answers.lock().unwrap().clone();
    match call.as_str() {
        "GET /v1/workspace" => match answers.refusal {
            Some((status, kind)) => problem(status, kind),
            None => axum::Json(answers.workspace).into_response(),
        },
        "POST /v1/attach" => StatusCode::NO_CONTENT.into_response(),
        "POST /v1/prepared" => {
            let attached = inner.calls.borrow().iter().any(|call| call == "POST /v1/attach");
            if !attached {
                return problem(503, "urn:albatros:waiting");
            }
            for file in ["albatros-trusted.sock", "albatros-trusted.token"] {
                let _ = std::fs::remove_file(inner.alloc.join(file));
            }
            StatusCode::NO_CONTENT.into_response()
        }
        "GET /v1/build" => axum::Json(answers.workspace["build"].clone()).into_response(),
        "GET /v1/masks" => match answers.masks {
            Some(masks) => {
                axum::Json(masks.iter().map(|mask| STANDARD.encode(mask)).collect::<Vec<_>>()).into_response()
            }
            None => problem(404, "about:blank"),
        },
        call if call.contains(" /v1/log/") => log(&inner, call, &body),
        "POST /v1/saves/done" => {
            inner.done.send_replace(serde_json::from_slice(&body).ok());
            StatusCode::NO_CONTENT.into_response()
        }
        call if call.starts_with("PUT ") => {
            let id = call.rsplit('/').next().unwrap().to_owned();
            let label = [
                ("x-albatros-id", id),
                ("x-albatros-size", body.len().to_string()),
                ("x-albatros-sha256", "00".repeat(32)),
                ("x-albatros-packing", "file".to_owned()),
            ];
            let headers: HeaderMap =
                label.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).into_iter().collect();
            inner.puts.lock().unwrap().push((call.to_owned(), body.to_vec()));
            (StatusCode::CREATED, headers).into_response()
        }
        _ => problem(404, "about:blank"),
    }
}

fn log(inner: &Inner, call: &str, body: &Bytes) -> Response {
    if *inner.busy.borrow() {
        return problem(503, "urn:albatros:waiting");
    }
    let mut words = call.split('/').skip(3);
    match (words.next().unwrap(), words.next().unwrap()) {
        (stream, "end") => {
            let end: Value = serde_json::from_slice(body).unwrap();
            inner.ends.send_modify(|ends| ends.push((stream.to_owned(), end["length"].as_u64().unwrap())));
        }
        (stream, offset) => {
            let chunk = Chunk::from_wire(body).unwrap();
            assert_eq!(chunk.offset, offset.parse::<u64>().unwrap());
            if stream == "stdout" {
                inner.chunks.lock().unwrap().push(chunk);
            }
        }
    }
    StatusCode::NO_CONTENT.into_response()
}

fn problem(status: u16, kind: &str) -> Response {
    let body = json!({"type": kind, "status": status, "detail": format!("refused with {status}")}).to_string();
    let code = StatusCode::from_u16(status).unwrap();
    (code, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response()
}
