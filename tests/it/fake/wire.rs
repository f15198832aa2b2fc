//! The HTTP side that all fakes share: port 0, faults, a journal of what came in, connections that can be cut.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::response::Response;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::fault::{Fault, Faults};
use super::line::{Gate, Line, Lines};

/// The longest a test waits for anything before it says what it was waiting for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A request, read whole.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) method: String,
    /// As sent, percent-encoded.
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: axum::http::HeaderMap,
    pub(crate) body: Bytes,
}

impl Call {
    /// The first value of a query parameter.
    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A header's text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The path's segments, decoded.
    pub(crate) fn segments(&self) -> Vec<String> {
        self.path.trim_start_matches('/').split('/').map(decode).collect()
    }
}

/// Percent-decoding of one path segment.
pub(crate) fn decode(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        match hex.and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(value) if byte == b'%' => {
                out.push(value);
                rest = &after[2..];
            }
            Some(_) | None => {
                out.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// What a fake does with a request.
pub(crate) trait Service: Send + Sync + 'static {
    /// The answer.
    fn answer(self: Arc<Self>, call: Call) -> impl Future<Output = Response> + Send;
}

/// One request that came in.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) body: Bytes,
}

/// A fake's server.
#[derive(Debug)]
pub(crate) struct Wire {
    addr: SocketAddr,
    faults: Arc<Faults>,
    journal: Arc<Journal>,
    lines: Arc<Lines>,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Debug)]
struct Journal {
    seen: Mutex<Vec<Seen>>,
    count: watch::Sender<usize>,
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
        self.cut_all();
    }
}

impl Wire {
    /// Serves on a free port of the loopback.
    pub(crate) async fn start<S: Service>(service: Arc<S>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let faults = Arc::new(Faults::default());
        let journal = Arc::new(Journal { seen: Mutex::default(), count: watch::channel(0).0 });
        let lines = Arc::new(Lines::new());
        let handler = {
            let (faults, journal) = (faults.clone(), journal.clone());
            move |ConnectInfo(line): ConnectInfo<Line>, request: Request| {
                respond(service.clone(), faults.clone(), journal.clone(), line, request)
            }
        };
        let app = Router::new().fallback(handler).into_make_service_with_connect_info::<Line>();
        let gate = Gate { listener, lines: lines.clone() };
        let task = tokio::spawn(async move {
            let _ = axum::serve(gate, app).await;
        });
        Self { addr, faults, journal, lines, task }
    }

    /// `http://127.0.0.1:<port>`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// What can be made to go wrong.
    pub(crate) fn faults(&self) -> &Faults {
        &self.faults
    }

    /// All that came in so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.journal.seen.lock().unwrap().clone()
    }

    /// Waits until so many requests of this method, with this in path or query, have come in.
    pub(crate) async fn wait_seen(&self, method: &str, path: &str, times: usize) {
        let mut count = self.journal.count.subscribe();
        let fits = |_: &usize| {
            let seen = self.journal.seen.lock().unwrap();
            seen.iter().filter(|one| one.method == method && one.path.contains(path)).count() >= times
        };
        let waited = tokio::time::timeout(PATIENCE, count.wait_for(fits)).await;
        assert!(waited.is_ok(), "{times} times {method} …{path}… never came in");
    }

    /// Waits for one more request.
    pub(crate) async fn next_request(&self) {
        let _ = self.journal.count.subscribe().changed().await;
    }

    /// Cuts all connections now open.
    pub(crate) fn cut_all(&self) {
        let mut all = self.lines.all.lock().unwrap();
        all.cancel();
        *all = CancellationToken::new();
    }

    /// Down: what is open is cut, what connects is cut at once. Up again with `false`.
    pub(crate) fn down(&self, down: bool) {
        self.lines.refuse.store(down, Ordering::SeqCst);
        if down {
            self.cut_all();
        }
    }

    /// The next connection beyond `most` gets 429, as a Nomad agent does.
    pub(crate) fn limit_connections(&self, most: usize) {
        self.lines.most.store(most, Ordering::SeqCst);
    }

    /// Connections now open.
    pub(crate) fn open_connections(&self) -> usize {
        self.lines.open.load(Ordering::SeqCst)
    }
}

async fn respond<S: Service>(
    service: Arc<S>,
    faults: Arc<Faults>,
    journal: Arc<Journal>,
    line: Line,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let path_and_query = parts.uri.path_and_query().map_or_else(String::new, ToString::to_string);
    let Ok(body) = body.collect().await else {
        return line.cut();
    };
    let call = Call {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()).into_owned().collect(),
        headers: parts.headers,
        body: body.to_bytes(),
    };
    let fault = faults.take(&call.method, &path_and_query);
    let seen = Seen { method: call.method.clone(), path: path_and_query, body: call.body.clone() };
    journal.seen.lock().unwrap().push(seen);
    journal.count.send_modify(|count| *count += 1);
    match fault {
        None => service.answer(call).await,
        Some(Fault::Text(code, words)) => text(code, words),
        Some(Fault::Html(code)) => html(code),
        Some(Fault::LeaveAlone(seconds)) => {
            let mut answer = text(429, "slow down");
            answer.headers_mut().insert("retry-after", axum::http::HeaderValue::from_static(seconds));
            answer
        }
        Some(Fault::TooMany) => {
            let mut answer =
                text(429, "Your IP is issuing too many concurrent connections, please rate limit your calls\n");
            answer.headers_mut().insert("retry-after", axum::http::HeaderValue::from_static("1"));
            answer
        }
        Some(Fault::Hang) => {
            faults.released().await;
            line.cut()
        }
        Some(Fault::HangAfter) => {
            let _answer = service.answer(call).await;
            faults.released().await;
            line.cut()
        }
        Some(Fault::CutBefore) => line.cut(),
        Some(Fault::CutAfter) => {
            let _answer = service.answer(call).await;
            line.cut()
        }
        Some(Fault::Slow(time)) => {
            tokio::time::sleep(time).await;
            service.answer(call).await
        }
    }
}

/// A plain text answer.
pub(crate) fn text(code: u16, words: impl Into<String>) -> Response {
    Response::builder()
        .status(code)
        .header("content-type", "text/plain; charset=utf-8")
        .body(Body::from(words.into()))
        .unwrap()
}

fn html(code: u16) -> Response {
    let page = "<html>\n<head><title>502 Bad Gateway</title></head>\n<body><center><h1>502 Bad Gateway</h1></center></body>\n</html>\n";
    Response::builder().status(code).header("content-type", "text/html").body(Body::from(page)).unwrap()
}

/// A JSON answer.
pub(crate) fn json(code: u16, value: &serde_json::Value) -> Response {
    Response::builder()
        .status(code)
        .header("content-type", "application/json")
        .body(Body::from(serde_json::to_vec(value).unwrap()))
        .unwrap()
}
