//! Keeps serve and the board in agreement: starts, stops and watches jobs, for as long as the controller lives.

use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use tokio::time::sleep;

use super::super::exchange::Pause;
use super::super::session::Session;
use super::super::upstream::Upstream;
use super::super::{App, SharedApp};
use super::Place;
use crate::api::session::SessionError;
use crate::domain::id::JobName;
use crate::domain::job::board::Seen;
use crate::domain::job::{Job, JobSpec};

/// How long serve holds a list of which nothing has changed.
const WAIT: Duration = Duration::from_secs(20);
/// Jobs that are started or stopped at once.
const AT_ONCE: usize = 8;

/// What serve made of one job.
enum Told {
    Started(JobName, Result<Job, SessionError>),
    Stopped(JobName, Result<(), SessionError>),
}

/// Until it is aborted.
pub(in super::super) async fn keep(app: SharedApp) {
    let mut session = app.session.subscribe();
    let Ok(session) = session.wait_for(|session| !matches!(session, Session::Waiting)).await.map(|it| it.clone())
    else {
        return;
    };
    let (Session::Granted(_), Some(link)) = (session, &app.upstream) else { return };
    let mut pause = Pause::default();
    let mut version = None;
    loop {
        let again = act(&app, link).await;
        if again.is_none() {
            if app.jobs.board().idle() {
                app.jobs.wake.notified().await;
                version = None;
                continue;
            }
            let asked = tokio::select! {
                asked = link.server.jobs(&link.claim, &link.secret, version, WAIT) => asked,
                () = app.jobs.wake.notified() => continue,
            };
            match asked {
                Ok(list) => {
                    version = Some(list.version);
                    pause = Pause::default();
                    list.jobs.iter().for_each(|job| app.jobs.seen(job));
                    continue;
                }
                Err(error) => tracing::warn!(error = %reasons(&error), "serve does not tell how the build's jobs are"),
            }
        }
        // Not cut short by what a script asks for: serve is to have its peace.
        sleep(pause.next(again.flatten())).await;
    }
}

/// Starts and stops what is to be; none once all of it is done, else how long serve wants to be left alone.
async fn act(app: &App, link: &Upstream) -> Option<Option<Duration>> {
    let (starting, stopping): (Vec<JobSpec>, Vec<JobName>) = {
        let board = app.jobs.board();
        (board.starting().cloned().collect(), board.stopping().cloned().collect())
    };
    let stops = stopping.into_iter().map(|name| (name, None));
    let starts = starting.into_iter().map(|spec| (spec.name.clone(), Some(spec)));
    let all = stops.chain(starts).map(|(name, spec)| async move {
        match spec {
            Some(spec) => Told::Started(name, link.server.start_job(&link.claim, &link.secret, &spec).await),
            None => Told::Stopped(name.clone(), link.server.stop_job(&link.claim, &link.secret, &name).await),
        }
    });
    let mut all = stream::iter(all).buffer_unordered(AT_ONCE);
    let mut again: Option<Option<Duration>> = None;
    while let Some(told) = all.next().await {
        if let Some(asked) = app.jobs.take(told) {
            again = again.max(Some(asked));
        }
    }
    again
}

impl super::Jobs {
    /// What serve says of a job, with the way to it where it is a service.
    fn seen(&self, job: &Job) {
        if let (Some(address), Some(secret)) = (&job.address, &job.secret) {
            let place = Place { address: address.clone(), secret: secret.clone() };
            self.places().insert(job.name.clone(), place);
        }
        let fresh = Seen::from(job);
        self.change_quietly(|board| board.observe(&job.name, fresh));
    }

    /// Takes what serve made of a job; when it did not come to an end, how long it wants to be left alone.
    fn take(&self, told: Told) -> Option<Option<Duration>> {
        match told {
            Told::Started(_, Ok(job)) => self.seen(&job),
            Told::Stopped(name, Ok(())) => self.change_quietly(|board| board.told(&name)),
            Told::Started(name, Err(error)) => match passing(&error) {
                Some(asked) => {
                    tracing::warn!(job = %name, error = %reasons(&error), "a job could not be started yet");
                    self.change_quietly(|board| board.trouble(&name, &error.to_string()));
                    return Some(asked);
                }
                None => self.change_quietly(|board| board.refused(&name, &error.to_string())),
            },
            Told::Stopped(name, Err(error)) => match (passing(&error), error.status().map(|it| it.as_u16())) {
                (Some(asked), _) => {
                    tracing::warn!(job = %name, error = %reasons(&error), "a job could not be stopped yet");
                    return Some(asked);
                }
                (None, Some(404)) => self.change_quietly(|board| board.unknown(&name)),
                // The build is over for serve, which stops its jobs then.
                (None, _) => self.change_quietly(|board| board.told(&name)),
            },
        }
        None
    }
}

/// Whether asking again may help, and how long serve wants to be left alone.
fn passing(error: &SessionError) -> Option<Option<Duration>> {
    match error {
        SessionError::NoAnswer(_) => Some(None),
        SessionError::Refused { problem, retry_after } => {
            matches!(problem.status, 408 | 429 | 500..=599).then_some(*retry_after)
        }
    }
}

fn reasons(error: &SessionError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
