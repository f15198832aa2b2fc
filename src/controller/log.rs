//! The log's way to serve: what must not stand in it, and the chunks that the sidecar sends.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::App;
use super::access::Trusted;
use super::answer::Refusal;
use super::body::take;
use super::exchange::Pause;
use super::openapi::{Sending, Token, Undecided};
use super::session::{Decided, Granted};
use super::upstream::Upstream;
use crate::api::session::SessionError;
use crate::domain::log_chunk::{CHUNK_MOST, End, Stream, needles};
use crate::domain::problem;
use crate::domain::secret::Secret;

/// How long one call of the sidecar's is held while serve does not take what it brings; it then asks again.
const HELD: Duration = Duration::from_secs(20);
/// The longest word about an end.
const END_MOST: usize = 1024;

/// The logs that are being archived: the controller does not end before them, if it can be helped.
#[derive(Debug, Default)]
pub(crate) struct Logs(watch::Sender<BTreeSet<&'static str>>);

impl Logs {
    fn begun(&self) {
        self.0.send_modify(|open| open.extend(Stream::ALL.map(Stream::as_str)));
    }

    fn over(&self, stream: Stream) {
        self.0.send_modify(|open| {
            open.remove(stream.as_str());
        });
    }

    /// Waits until none is under way any more, but not longer than `most`; whether none is.
    pub(super) async fn kept(&self, most: Duration) -> bool {
        let mut open = self.0.subscribe();
        let none = open.wait_for(BTreeSet::is_empty);
        timeout(most, none).await.is_ok_and(|none| none.is_ok())
    }
}

/// What must not stand in the log
#[utoipa::path(get, path = "/v1/masks", tag = "trusted", security(("trusted" = [])), operation_id = "list_masks",
    responses((status = 200, description = "In base64.", body = Vec<String>),
        (status = 404, description = "The log of this build is kept nowhere."), Token, Undecided),)]
pub(super) async fn masks(Trusted(app): Trusted) -> Result<Json<Vec<String>>, Refusal> {
    let granted = match app.decided().await? {
        Decided::Granted(granted) => granted,
        Decided::Without(reason) => return Err(nowhere(&reason)),
    };
    upstream(&app)?;
    let needles = needles(secrets(&granted)).map_err(|error| Refusal::senseless(error.to_string()))?;
    app.logs.begun();
    Ok(Json(needles.iter().map(|needle| STANDARD.encode(needle)).collect()))
}

/// The parameters' values, and what stands behind each `=` of the text as it is: a script may print that too.
fn secrets(granted: &Granted) -> Vec<&str> {
    let text = granted.grant.inject.as_ref().map(Secret::expose).unwrap_or_default();
    let params = granted.params.iter().flat_map(|params| params.iter().map(|(_, value)| value));
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let values = lines.map(|line| line.split_once('=').map_or(line, |(_, value)| value));
    params.chain(values.map(|value| value.trim().trim_matches(['"', '\'']))).collect()
}

/// Hands on a piece of the log
#[utoipa::path(put, path = "/v1/log/{stream}/{offset}", tag = "trusted", security(("trusted" = [])), operation_id = "put_log", params(
        ("stream" = String, Path, description = "`stdout` or `stderr`."),
        ("offset" = u64, Path, description = "The first byte's place in the log.")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 204, description = "It is kept."),
        (status = 400, description = "It is no piece of a log, or broke off."),
        (status = 404, description = "The log of this build is kept nowhere, or there is no such log."),
        (status = 503, description = "serve does not take it now: send it again."), Token, Sending),)]
pub(super) async fn put(
    Trusted(app): Trusted,
    Path((stream, offset)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Refusal> {
    let stream = Stream::of(&stream).ok_or_else(no_such)?;
    let offset: u64 = offset.parse().map_err(|_no_number| no_such())?;
    let upstream = upstream(&app)?;
    let chunk = take(body, &headers, CHUNK_MOST).await?;
    handed_on(&app, stream, || upstream.put_log(stream, offset, chunk.clone())).await
}

/// Says that the log is whole
#[utoipa::path(post, path = "/v1/log/{stream}/end", tag = "trusted", security(("trusted" = [])), operation_id = "end_log", params(
        ("stream" = String, Path, description = "`stdout` or `stderr`.")),
    request_body = End,
    responses((status = 204, description = "It is kept."),
        (status = 400, description = "It is no length."),
        (status = 404, description = "The log of this build is kept nowhere, or there is no such log."),
        (status = 503, description = "serve does not take it now: send it again."), Token, Sending),)]
pub(super) async fn end(
    Trusted(app): Trusted,
    Path(stream): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Refusal> {
    let stream = Stream::of(&stream).ok_or_else(no_such)?;
    let upstream = upstream(&app)?;
    let body = take(body, &headers, END_MOST).await?;
    let wrong = |error| Refusal::new(StatusCode::BAD_REQUEST, format!("expected the log's length: {error}"));
    let end: End = serde_json::from_slice(&body).map_err(wrong)?;
    let done = handed_on(&app, stream, || upstream.end_log(stream, end)).await;
    if done.is_ok() {
        app.logs.over(stream);
    }
    done
}

fn no_such() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "a log is stdout or stderr, from a byte on")
}

fn nowhere(reason: &str) -> Refusal {
    let sentence = format!("the log of this build is kept nowhere: {reason}");
    Refusal::of_kind(StatusCode::NOT_FOUND, problem::BLANK, sentence)
}

fn upstream(app: &App) -> Result<&Upstream, Refusal> {
    app.upstream.as_ref().ok_or_else(|| nowhere("it has no server"))
}

/// Until serve has it, or says that it will not; or for so long that the sidecar had better ask again.
async fn handed_on<F>(app: &App, stream: Stream, send: impl Fn() -> F + Send) -> Result<StatusCode, Refusal>
where
    F: Future<Output = Result<(), SessionError>> + Send,
{
    let (begun, mut pause) = (Instant::now(), Pause::default());
    loop {
        let error = match send().await {
            Ok(()) => return Ok(StatusCode::NO_CONTENT),
            Err(error) => error,
        };
        let asked = match &error {
            SessionError::Refused { problem, .. } if is_final(problem.status) => {
                app.logs.over(stream);
                let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::CONFLICT);
                return Err(Refusal::of_kind(status, problem::BLANK, problem.detail.clone()));
            }
            SessionError::Refused { retry_after, .. } => *retry_after,
            SessionError::NoAnswer(_) => None,
        };
        if begun.elapsed() >= HELD {
            tracing::warn!(%error, stream = stream.as_str(), "a piece of the log could not be handed on yet");
            return Err(Refusal::waiting("serve does not take the log now: send it again"));
        }
        sleep(pause.next(asked)).await;
    }
}

/// Whether sending again changes nothing. 401 and 403 too: the session is not this build's any more.
fn is_final(status: u16) -> bool {
    (400..500).contains(&status) && !matches!(status, 408 | 425 | 429)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::grant::{Checkout, Facts, Grant};
    use crate::domain::params::Params;

    #[test]
    fn what_stands_in_quotes_is_a_secret_with_and_without_its_escapes() {
        let text = "# comment=none\nA=\"one \\\"two\\\"\"\nexport B='three'\n";
        let facts = Facts {
            repo_url: "https://git.example/o/r".to_owned(),
            commit: "0123456789012345678901234567890123456789".parse().unwrap(),
            branch: "main".to_owned(),
            flavor: "default".parse().unwrap(),
            git_ref: None,
            event: None,
            sender: None,
            pull_request: None,
            trusted: true,
        };
        let checkout = Checkout { source: true, submodules: false, lfs: false, credential: None };
        let grant = Grant {
            facts,
            checkout,
            inject: Some(Secret::new(text)),
            params: Default::default(),
            job: None,
            session: None,
            service_secret: None,
        };
        let granted = Granted { grant, params: Params::parse(text) };
        let secrets = secrets(&granted);
        for secret in ["one \"two\"", "one \\\"two\\", "three"] {
            assert!(secrets.contains(&secret), "{secret}: {secrets:?}");
        }
        assert!(!secrets.iter().any(|secret| secret.contains("none")));
    }

    #[tokio::test(start_paused = true)]
    async fn a_controller_waits_for_logs_that_have_begun_and_not_for_ever() {
        let logs = Logs::default();
        assert!(logs.kept(HELD).await, "none has begun");
        logs.begun();
        logs.over(Stream::Stdout);
        assert!(!logs.kept(HELD).await);
        logs.over(Stream::Stderr);
        assert!(logs.kept(HELD).await);
    }
}
