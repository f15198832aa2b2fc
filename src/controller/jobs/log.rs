//! The log of a job, as serve streams it; a stream that breaks is taken up again where it broke.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use bytes::{Buf as _, Bytes};
use futures_util::stream;
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{sleep, timeout};
use utoipa::IntoParams;

use super::super::access::OfBuild;
use super::super::answer::Refusal;
use super::super::exchange::Pause;
use super::super::openapi::Token;
use super::super::{Phase, SharedApp};
use super::ask::{find, named, unknown};
use crate::api::session::jobs::JobLog;
use crate::domain::id::JobName;
use crate::domain::job::view::JobView;

/// A job that has ended and whose log says nothing for so long is asked for again.
const SILENT: Duration = Duration::from_secs(15);
/// So often without a byte in between; then the log is given up.
const TRIES: u32 = 20;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in super::super) struct Wanted {
    /// `stdout` or `stderr`; `stdout`.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    log: Stream,
    /// `false`: what there is now, and not until it has ended.
    follow: Option<bool>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Stream {
    #[default]
    Stdout,
    Stderr,
}

/// The log of a job
///
/// From the first byte, live, until it has ended.
#[utoipa::path(get, path = "/v1/jobs/{name}/log", tag = "script", security(("script" = [])), operation_id = "read_job_log", params(("name" = JobName, Path, description = "The job's name."), Wanted),
    responses((status = 200, description = "The log.", body = String, content_type = "text/plain"), (status = 400, description = "The query cannot be read."),
        (status = 404, description = "The build has no job of that name."),
        (status = 429, description = "Too many logs are read at once."), Token),)]
pub(in super::super) async fn log(
    OfBuild(app): OfBuild,
    Path(name): Path<String>,
    query: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, Refusal> {
    let wrong = |_error| {
        Refusal::new(StatusCode::BAD_REQUEST, "expected ?log=stdout or ?log=stderr, and perhaps &follow=false")
    };
    let Query(wanted) = query.map_err(wrong)?;
    let name = named(&name)?;
    find(&app.jobs.shown.borrow(), &name).ok_or_else(unknown)?;
    let place = std::sync::Arc::clone(&app.jobs.logs).try_acquire_owned();
    let place = place.map_err(|_full| Refusal::busy("too many logs are read at once"))?;
    let (log, follow) = (wanted.log, wanted.follow.unwrap_or(true));
    let reading = Reading { app, name, log, follow, upstream: None, passed: 0, skip: 0, tries: 0, _place: place };
    let pieces = stream::unfold(Some(reading), |reading| async move {
        let mut reading = reading?;
        match reading.next().await {
            Next::Piece(piece) => Some((Ok::<_, Infallible>(piece), Some(reading))),
            Next::Last(words) => Some((Ok(words), None)),
            Next::End => None,
        }
    });
    Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8")], Body::from_stream(pieces)).into_response())
}

/// One reader's place in a job's log.
struct Reading {
    app: SharedApp,
    name: JobName,
    log: Stream,
    /// Until the job has ended; else what there is.
    follow: bool,
    upstream: Option<JobLog>,
    /// Bytes that the reader has.
    passed: u64,
    /// Of what comes now, bytes that the reader has.
    skip: u64,
    tries: u32,
    _place: OwnedSemaphorePermit,
}

enum Next {
    Piece(Bytes),
    /// And that is all.
    Last(Bytes),
    End,
}

impl Reading {
    async fn next(&mut self) -> Next {
        let mut phase = self.app.phase.subscribe();
        tokio::select! {
            next = self.piece() => next,
            _ = phase.wait_for(|phase| *phase != Phase::Running) => Next::End,
        }
    }

    async fn piece(&mut self) -> Next {
        let mut pause = Pause::default();
        loop {
            let Some(upstream) = &mut self.upstream else {
                if !self.started().await {
                    return Next::End;
                }
                if let Err(why) = self.open().await {
                    self.tries += 1;
                    if self.tries >= TRIES && (self.ended() || !self.follow) {
                        return Next::Last(Bytes::from(format!(
                            "albatros: the rest of this log cannot be read: {why}\n"
                        )));
                    }
                    sleep(pause.next(None)).await;
                }
                continue;
            };
            match timeout(SILENT, upstream.next()).await {
                Ok(Ok(Some(mut piece))) => {
                    let known = self.skip.min(piece.len() as u64);
                    self.skip -= known;
                    piece.advance(usize::try_from(known).unwrap_or(usize::MAX));
                    if !piece.is_empty() {
                        (self.passed, self.tries) = (self.passed + piece.len() as u64, 0);
                        return Next::Piece(piece);
                    }
                }
                Ok(Ok(None)) => return Next::End,
                Ok(Err(error)) => {
                    tracing::debug!(%error, job = %self.name, "a job's log broke off");
                    (self.upstream, self.tries) = (None, self.tries + 1);
                    sleep(pause.next(None)).await;
                }
                // A script may well say nothing for a while.
                Err(_silent) if self.ended() => {
                    (self.upstream, self.tries) = (None, self.tries + 1);
                    if self.tries >= TRIES {
                        return Next::End;
                    }
                }
                Err(_silent) => {}
            }
        }
    }

    async fn open(&mut self) -> Result<(), String> {
        let link = self.app.link().await.map_err(|_refusal| "the build has no session".to_owned())?;
        let log = match self.log {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        };
        let follow = if self.follow { "true" } else { "false" };
        let query = [("log", log), ("raw", "1"), ("follow", follow)];
        let asked = link.server.job_log(&link.claim, &link.secret, &self.name, &query).await;
        let upstream = asked.map_err(|error| error.to_string())?;
        (self.upstream, self.skip) = (Some(upstream), self.passed);
        Ok(())
    }

    /// Waits until there is a job at serve; false if there never will be.
    async fn started(&self) -> bool {
        let mut shown = self.app.jobs.shown.subscribe();
        let known = shown.wait_for(|shown| {
            let waits = |job: &JobView| matches!(job.state.as_str(), "waiting" | "starting");
            !self.follow || find(shown, &self.name).is_none_or(|job| !waits(job))
        });
        let shown = known.await;
        let never = ["waiting", "starting", "skipped"];
        shown.is_ok_and(|shown| find(&shown, &self.name).is_some_and(|job| !never.contains(&job.state.as_str())))
    }

    fn ended(&self) -> bool {
        find(&self.app.jobs.shown.borrow(), &self.name).is_none_or(|job| job.ended)
    }
}
