//! A forge's side of git: repositories behind HTTP, private ones too, with everything noted that git shows.

use std::path::{Path, PathBuf};
use std::process::{Command as Plain, Stdio};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::sync::watch;

/// Repositories at `<url>/<name>`, all behind one optional password.
#[derive(Debug)]
pub(crate) struct Repos {
    room: tempfile::TempDir,
    url: String,
    state: Arc<Forge>,
}

#[derive(Debug)]
struct Forge {
    served: PathBuf,
    base: Mutex<String>,
    password: Mutex<Option<String>>,
    elsewhere: Mutex<Option<String>>,
    status: Mutex<Option<u16>>,
    /// What is said about a path that holds the first text.
    said: Mutex<Option<(String, String)>>,
    /// Path and Authorization of each request.
    seen: watch::Sender<Vec<(String, Option<String>)>>,
    open: watch::Sender<bool>,
}

impl Repos {
    pub(crate) async fn start() -> Self {
        let room = tempfile::tempdir().unwrap();
        let served = room.path().join("served");
        std::fs::create_dir(&served).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Forge {
            served,
            base: Mutex::new(url.clone()),
            password: Mutex::default(),
            elsewhere: Mutex::default(),
            status: Mutex::default(),
            said: Mutex::default(),
            seen: watch::Sender::default(),
            open: watch::Sender::new(true),
        });
        let router = Router::new().fallback(answer).with_state(Arc::clone(&state));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { room, url, state }
    }

    pub(crate) fn url(&self, name: &str) -> String {
        format!("{}/{name}", self.url)
    }

    /// From now on only who shows this password is answered.
    pub(crate) fn password(&self, password: &str) {
        *self.state.password.lock().unwrap() = Some(password.to_owned());
    }

    /// From now on every request is sent elsewhere.
    pub(crate) fn moved(&self, to: &Self) {
        *self.state.elsewhere.lock().unwrap() = Some(to.url.clone());
    }

    /// From now on every request gets this status; none: as before.
    pub(crate) fn trouble(&self, status: Option<u16>) {
        *self.state.status.lock().unwrap() = status;
    }

    /// From now on requests for paths that hold `part` are refused with these words.
    pub(crate) fn says_for(&self, part: &str, words: &str) {
        *self.state.said.lock().unwrap() = Some((part.to_owned(), words.to_owned()));
    }

    /// Holds every answer until it is opened again.
    pub(crate) fn hold(&self, hold: bool) {
        self.state.open.send_replace(!hold);
    }

    /// Waits for so many requests.
    pub(crate) async fn asked(&self, times: usize) {
        let mut seen = self.state.seen.subscribe();
        let asked = seen.wait_for(|seen| seen.len() >= times);
        tokio::time::timeout(std::time::Duration::from_secs(60), asked).await.expect("git asks").unwrap();
    }

    /// Every Authorization that was shown.
    pub(crate) fn shown(&self) -> Vec<String> {
        self.state.seen.borrow().iter().filter_map(|(_, shown)| shown.clone()).collect()
    }

    /// How many requests there were.
    pub(crate) fn requests(&self) -> usize {
        self.state.seen.borrow().len()
    }

    /// A working repository with branch `main`; [`Work::publish`] puts it on the forge.
    pub(crate) fn work(&self, name: &str) -> Work {
        let dir = self.room.path().join("work").join(name);
        std::fs::create_dir_all(&dir).unwrap();
        let work = Work { dir, served: self.state.served.join(name) };
        work.git(&["init", "-q", "-b", "main", "."]);
        work
    }

    /// A file of LFS, and the pointer that stands for it in a repository.
    pub(crate) fn lfs(&self, content: &str) -> String {
        let oid = hex::encode(Sha256::digest(content.as_bytes()));
        std::fs::create_dir_all(self.state.served.join("lfs-files")).unwrap();
        std::fs::write(self.state.served.join("lfs-files").join(&oid), content).unwrap();
        format!("version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {}\n", content.len())
    }
}

/// A repository that is worked in.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) dir: PathBuf,
    served: PathBuf,
}

impl Work {
    pub(crate) fn git(&self, args: &[&str]) -> String {
        let who =
            ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.com", "-c", "protocol.file.allow=always"];
        let done = Plain::new("git").args(who).args(args).current_dir(&self.dir).output().unwrap();
        assert!(done.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8_lossy(&done.stdout).trim().to_owned()
    }

    pub(crate) fn file(&self, name: &str, text: &str) {
        let path = self.dir.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self.git(&["add", "-A"]);
    }

    /// `.albatros` with this text, executable.
    pub(crate) fn script(&self, text: &str) {
        self.file(".albatros", text);
        self.git(&["update-index", "--chmod=+x", ".albatros"]);
    }

    /// An entry for a submodule, made by hand, so that it may be as wrong as a hostile one.
    pub(crate) fn named_submodule(&self, name: &str, path: &str, url: &str, commit: &str) {
        self.file(".gitmodules", &format!("[submodule \"{name}\"]\n\tpath = {path}\n\turl = {url}\n"));
        self.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{commit},{path}")]);
    }

    pub(crate) fn submodule(&self, path: &str, url: &str, commit: &str) {
        self.named_submodule(path, path, url, commit);
    }

    /// Commits what is in the index, publishes it and gives the commit.
    pub(crate) fn publish(&self) -> String {
        self.git(&["commit", "-q", "--allow-empty", "-m", "change"]);
        if self.served.exists() {
            std::fs::remove_dir_all(&self.served).unwrap();
        }
        self.git(&["clone", "-q", "--mirror", ".", self.served.to_str().unwrap()]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// The forge has it no more.
    pub(crate) fn unpublish(&self) {
        std::fs::remove_dir_all(&self.served).unwrap();
    }
}

/// What basic authentication sends for the user `albatros`.
pub(crate) fn basic(password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("albatros:{password}")))
}

async fn answer(
    State(forge): State<Arc<Forge>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
    forge.seen.send_modify(|seen| seen.push((uri.path().to_owned(), shown.clone())));
    let _ = forge.open.subscribe().wait_for(|open| *open).await;
    if let Some(status) = *forge.status.lock().unwrap() {
        return StatusCode::from_u16(status).unwrap().into_response();
    }
    if let Some((_, words)) = forge.said.lock().unwrap().clone().filter(|(part, _)| uri.path().contains(part)) {
        return (StatusCode::FORBIDDEN, [(header::CONTENT_TYPE, "text/plain")], words).into_response();
    }
    if let Some(to) = forge.elsewhere.lock().unwrap().clone() {
        let to = format!("{to}{}", uri.path_and_query().unwrap());
        return (StatusCode::FOUND, [(header::LOCATION, to)]).into_response();
    }
    let wanted = forge.password.lock().unwrap().as_deref().map(basic);
    if wanted.is_some() && shown != wanted {
        return (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Basic realm=\"forge\"")]).into_response();
    }
    if uri.path().ends_with("/objects/batch") {
        return batch(&forge, &body);
    }
    if let Some(oid) = uri.path().strip_prefix("/lfs-files/") {
        return std::fs::read(forge.served.join("lfs-files").join(oid)).unwrap().into_response();
    }
    backend(&forge.served, &method, &uri, &headers, &body).await
}

/// The batch API of git LFS, for downloads.
fn batch(forge: &Forge, body: &[u8]) -> Response {
    let asked: serde_json::Value = serde_json::from_slice(body).unwrap();
    let base = forge.base.lock().unwrap().clone();
    let objects: Vec<_> = asked["objects"]
        .as_array()
        .unwrap()
        .iter()
        .map(|object| {
            let href = format!("{base}/lfs-files/{}", object["oid"].as_str().unwrap());
            json!({"oid": object["oid"], "size": object["size"], "authenticated": true,
               "actions": {"download": {"href": href}}})
        })
        .collect();
    let text = json!({"transfer": "basic", "objects": objects}).to_string();
    ([(header::CONTENT_TYPE, "application/vnd.git-lfs+json")], text).into_response()
}

/// git http-backend, called as the CGI that it is.
pub(crate) async fn backend(served: &Path, method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Response {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let mut child = Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", served)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", method.as_str())
        .env("PATH_INFO", uri.path())
        .env("QUERY_STRING", uri.query().unwrap_or_default())
        .env("CONTENT_TYPE", header("content-type"))
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("GIT_PROTOCOL", header("git-protocol"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // It may not want to know.
    let _ = child.stdin.take().unwrap().write_all(body).await;
    let answer = child.wait_with_output().await.unwrap().stdout;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let mut response = Bytes::copy_from_slice(&answer[end + 4..]).into_response();
    for (name, value) in head.lines().filter_map(|line| line.split_once(": ")) {
        match name {
            "Status" => *response.status_mut() = value[..3].parse().unwrap(),
            "Content-Type" => drop(response.headers_mut().insert("content-type", value.parse().unwrap())),
            _ => {}
        }
    }
    response
}
