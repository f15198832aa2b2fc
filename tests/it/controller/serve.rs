//! A stand-in for serve's side of a session, whose answers a test chooses.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use albatros::api::session::SessionServer;
use albatros::controller::Source;
use albatros::domain::event::EventKind;
use albatros::domain::grant::Grant;
use albatros::domain::report::Report;
use albatros::domain::runner_wire::RunnerRegistration;
use albatros::domain::secret::Secret;
use axum::Router;
use axum::extract::{Json, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{post, put};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::blobs::store::FakeBlobs;
use super::jobs::serve::FakeJobs;
use super::{INJECT, grant};

pub(super) const CLAIM: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// For so many seconds nobody is to ask for a runner, where that is answered with 429.
pub(super) const ALONE: &str = "600";

/// One request: its bearer and its body.
pub(super) type Asked = (String, Value);

#[derive(Default)]
struct Kept {
    /// Refusals to come: status and problem type; then the grant.
    refusals: VecDeque<(u16, &'static str)>,
    exchanges: Vec<Asked>,
    reports: Vec<(String, Report)>,
    report_refusal: Option<u16>,
    /// What the runner is registered as, or the status that says why not, the last one for ever.
    runners: VecDeque<Result<RunnerRegistration, u16>>,
    runners_asked: Vec<String>,
}

/// A server on a port of its own; it may go and come back.
pub(super) struct FakeServe {
    address: SocketAddr,
    kept: Arc<Mutex<Kept>>,
    serving: Option<JoinHandle<()>>,
    folder: TempDir,
    pub(super) jobs: FakeJobs,
    pub(super) blobs: FakeBlobs,
}

impl Drop for FakeServe {
    fn drop(&mut self) {
        self.down();
    }
}

impl FakeServe {
    pub(super) async fn start(refusals: &[(u16, &'static str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let kept = Arc::new(Mutex::new(Kept { refusals: refusals.iter().copied().collect(), ..Kept::default() }));
        let folder = tempfile::tempdir().unwrap();
        let mut this =
            Self { address, kept, serving: None, folder, jobs: FakeJobs::default(), blobs: FakeBlobs::default() };
        this.identity("first.jwt");
        this.up().await;
        this
    }

    /// What Nomad writes for the task.
    pub(super) fn identity(&self, jwt: &str) {
        std::fs::write(self.folder.path().join("jwt"), format!("{jwt}\n")).unwrap();
    }

    pub(super) fn source(&self) -> Source {
        let server = SessionServer::new(format!("http://{}", self.address).parse().unwrap(), None).unwrap();
        Source::Server { server, claim: CLAIM.parse().unwrap(), identity: self.folder.path().join("jwt") }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn down(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
        }
    }

    pub(super) async fn up(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        let router = Router::new()
            .route("/session", post(exchange))
            .route("/session/{claim}/report", put(report))
            .route("/session/{claim}/runner", post(runner))
            .route("/session/{claim}/log/{stream}/{offset}", put(async || StatusCode::NO_CONTENT))
            .route("/session/{claim}/log/{stream}/end", post(async || StatusCode::NO_CONTENT))
            .with_state(Arc::clone(&self.kept))
            .merge(self.jobs.router())
            .merge(self.blobs.router());
        // One answer a connection: a server that is down answers on none.
        let router = router.layer(tower_http::set_header::SetResponseHeaderLayer::overriding(
            axum::http::header::CONNECTION,
            axum::http::HeaderValue::from_static("close"),
        ));
        self.serving = Some(tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }));
    }

    pub(super) fn exchanges(&self) -> Vec<Asked> {
        self.kept.lock().unwrap().exchanges.clone()
    }

    pub(super) fn reports(&self) -> Vec<(String, Report)> {
        self.kept.lock().unwrap().reports.clone()
    }

    /// This build is a runner: what is answered to who asks for it, the last one for ever.
    pub(super) fn runners(&self, answers: impl IntoIterator<Item = Result<RunnerRegistration, u16>>) {
        self.kept.lock().unwrap().runners = answers.into_iter().collect();
    }

    /// The bearers that have asked for it.
    pub(super) fn runners_asked(&self) -> Vec<String> {
        self.kept.lock().unwrap().runners_asked.clone()
    }

    /// From now on reports are refused so.
    pub(super) fn refuse_reports(&self, status: u16) {
        self.kept.lock().unwrap().report_refusal = Some(status);
    }
}

fn bearer(headers: &HeaderMap) -> String {
    headers["authorization"].to_str().unwrap().strip_prefix("Bearer ").unwrap().to_owned()
}

fn problem(status: u16, kind: &str) -> Response {
    let body = json!({"type": kind, "status": status, "detail": format!("refused with {status}")});
    (StatusCode::from_u16(status).unwrap(), [("content-type", "application/problem+json")], body.to_string())
        .into_response()
}

async fn exchange(State(kept): State<Arc<Mutex<Kept>>>, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    let mut kept = kept.lock().unwrap();
    kept.exchanges.push((bearer(&headers), body));
    match kept.refusals.pop_front() {
        Some((status, kind)) => problem(status, kind),
        None => {
            let inject = Some(Secret::new(format!("{INJECT}LONG=long-s3cr3t\n")));
            let mut grant = Grant { inject, ..grant(true) };
            if !kept.runners.is_empty() {
                grant = super::grant(false);
                grant.facts.event = Some(EventKind::WorkflowJob);
            }
            ([("content-type", "application/json")], grant.to_wire().unwrap()).into_response()
        }
    }
}

async fn report(
    State(kept): State<Arc<Mutex<Kept>>>,
    Path(claim): Path<String>,
    headers: HeaderMap,
    Json(report): Json<Report>,
) -> Response {
    assert_eq!(claim, CLAIM);
    let mut kept = kept.lock().unwrap();
    kept.reports.push((bearer(&headers), report));
    match kept.report_refusal {
        Some(status) => problem(status, "about:blank"),
        None => StatusCode::NO_CONTENT.into_response(),
    }
}

async fn runner(State(kept): State<Arc<Mutex<Kept>>>, Path(claim): Path<String>, headers: HeaderMap) -> Response {
    assert_eq!(claim, CLAIM);
    let mut kept = kept.lock().unwrap();
    kept.runners_asked.push(bearer(&headers));
    let answer = if kept.runners.len() > 1 { kept.runners.pop_front() } else { kept.runners.front().cloned() };
    match answer {
        Some(Ok(registration)) => {
            ([("content-type", "application/json")], registration.to_wire().unwrap()).into_response()
        }
        Some(Err(429)) => {
            let mut refused = problem(429, "about:blank");
            refused.headers_mut().insert("retry-after", axum::http::HeaderValue::from_static(ALONE));
            refused
        }
        Some(Err(status)) => problem(status, "about:blank"),
        None => problem(409, "about:blank"),
    }
}
