//! A registry of images on this machine's loopback, for tests: one repository `o/r`, whose tag `1` has one layer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;
use sha2::{Digest as _, Sha256};

/// What is asked for, and what is answered instead of what is there.
type Instead = Box<dyn Fn(&str, &HeaderMap) -> Option<Response> + Send + Sync>;

pub(super) struct Registry {
    /// `127.0.0.1:PORT/o/r:1`.
    pub(super) name: String,
    pub(super) host: String,
    asked: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

struct Served {
    files: HashMap<String, Vec<u8>>,
    instead: Instead,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(super) fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// An archive with one file.
pub(super) fn layer() -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(2);
    header.set_cksum();
    archive.append_data(&mut header, "hi", &b"hi"[..]).unwrap();
    archive.into_inner().unwrap()
}

/// A body that never ends.
pub(super) fn endless() -> Body {
    let piece = || futures_util::future::ready(Some((Ok::<_, std::io::Error>(vec![b' '; 64 * 1024]), ())));
    Body::from_stream(futures_util::stream::unfold((), move |()| piece()))
}

impl Registry {
    pub(super) async fn start() -> Self {
        Self::with(|_path, _headers| None).await
    }

    pub(super) async fn with(instead: impl Fn(&str, &HeaderMap) -> Option<Response> + Send + Sync + 'static) -> Self {
        let layer = layer();
        let architecture = super::source::architecture();
        let config = json!({
            "architecture": architecture, "os": "linux", "rootfs": {"type": "layers", "diff_ids": [digest(&layer)]},
        });
        let config = config.to_string().into_bytes();
        let descriptor = |bytes: &[u8]| json!({"digest": digest(bytes), "size": bytes.len()});
        let manifest = json!({"schemaVersion": 2, "config": descriptor(&config), "layers": [descriptor(&layer)]});
        let mut files = HashMap::from([("/v2/o/r/manifests/1".to_owned(), manifest.to_string().into_bytes())]);
        files.extend([config, layer].map(|bytes| (format!("/v2/o/r/blobs/{}", digest(&bytes)), bytes)));
        let asked = Arc::default();
        let served = Served { files, instead: Box::new(instead), asked: Arc::clone(&asked) };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let app = axum::Router::new().fallback(answer).with_state(Arc::new(served));
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { name: format!("{host}/o/r:1"), host, asked, task }
    }

    /// Paths, in the order in which they were asked for.
    pub(super) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn answer(State(served): State<Arc<Served>>, request: Request) -> Response {
    let path = request.uri().path();
    served.asked.lock().unwrap().push(path.to_owned());
    if let Some(response) = (served.instead)(path, request.headers()) {
        return response;
    }
    match served.files.get(path) {
        _ if path == "/v2/" => StatusCode::OK.into_response(),
        Some(bytes) => bytes.clone().into_response(),
        None => (StatusCode::NOT_FOUND, [(header::CONTENT_TYPE, "text/plain")], "no such thing").into_response(),
    }
}
