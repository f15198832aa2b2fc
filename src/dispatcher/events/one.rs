//! The events of one build, or of a change that may have no build yet.

use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use axum::response::Response;
use bytes::Bytes;
use futures_util::{Stream, stream};
use tokio::sync::watch;

use super::follow::{Follows, State, Told, of_done, truth};
use super::stream::{Seat, answer, last_event_id, nothing_more};
use crate::dispatcher::access::{self, Credentials};
use crate::dispatcher::answer::Problem;
use crate::dispatcher::builds;
use crate::dispatcher::hook::registry_down;
use crate::dispatcher::known::Tracked;
use crate::dispatcher::{App, SharedApp};
use crate::domain::history::Story;
use crate::domain::id::{BuildId, ClaimId};
use crate::registry::{Index, RegistryError};

/// How long a reader waits for the first words: after it, the registry does not answer.
const FIRST_WITHIN: Duration = Duration::from_secs(10);

/// The events of `GET /builds/{builder}/{child}`.
pub(crate) async fn of_build(
    app: &SharedApp,
    build: &BuildId,
    credentials: Credentials,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let seat = super::seat(app)?;
    let known = builds::readable_by_many(app, build, &credentials).await?;
    let key = Key::Build(build.clone());
    match (known.claim, known.kept, known.tracked) {
        (Some(_), Some(kept), _) => Ok(of_story(app, seat, &kept.story, headers)),
        (Some(claim), None, Tracked::Open(_) | Tracked::Done(_)) => {
            let reader = Reader::new(app, claim, credentials, key);
            reader.begin(seat, headers).await
        }
        // Nobody writes down what becomes of it.
        (_, None, Tracked::Not) | (None, ..) => Ok(nothing_more()),
    }
}

/// The events of `GET /builds/claim/{claim}`.
pub(crate) async fn of_claim(
    app: &SharedApp,
    claim: &ClaimId,
    credentials: Credentials,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let seat = super::seat(app)?;
    let reader = Reader::new(app, claim.clone(), credentials, Key::Claim);
    reader.begin(seat, headers).await
}

/// What only the store still knows has no index, and one event.
fn of_story(app: &App, seat: Seat, story: &Story, headers: &HeaderMap) -> Response {
    if last_event_id(headers) == Some(Index(0)) {
        return nothing_more();
    }
    let last = of_done(app, &story.claim, &story.done, Index(0)).event;
    answer(app, seat, stream::iter([last]))
}

/// By which address a reader came: whose `key` opens it.
#[derive(Debug)]
enum Key {
    Build(BuildId),
    Claim,
}

/// One reader: what it may see, and what it was told.
struct Reader {
    app: SharedApp,
    claim: ClaimId,
    credentials: Credentials,
    key: Key,
    states: watch::Receiver<State>,
    told: Option<Bytes>,
    over: bool,
}

impl Reader {
    fn new(app: &SharedApp, claim: ClaimId, credentials: Credentials, key: Key) -> Self {
        let states = Follows::watch(app, &claim);
        Self { app: SharedApp::clone(app), claim, credentials, key, states, told: None, over: false }
    }

    async fn begin(mut self, seat: Seat, headers: &HeaderMap) -> Result<Response, Problem> {
        let app = SharedApp::clone(&self.app);
        let known = tokio::time::timeout(FIRST_WITHIN, self.states.wait_for(|state| !matches!(state, State::Unknown)));
        let first = match known.await {
            Ok(Ok(state)) => state.clone(),
            Ok(Err(_)) | Err(_) => return Err(Problem::unavailable("Consul does not answer; try again")),
        };
        let State::Told(first) = first else {
            let story = builds::forgotten(&app, &self.claim).await?;
            let may = self.may_read(story.done.private, &story.done.repo).await;
            return match may.map_err(|error| registry_down(&error))? {
                true => Ok(of_story(&app, seat, &story, headers)),
                false => Err(Problem::not_found()),
            };
        };
        if !self.may_read(first.private, &first.repo).await.map_err(|error| registry_down(&error))? {
            return Err(Problem::not_found());
        }
        if let Some(last) = last_event_id(headers) {
            // Another replica may have been quicker than this one's list.
            let now = if last > first.index { truth(&app, &self.claim).await } else { Ok(State::Unknown) };
            let now = match now.map_err(|error| registry_down(&error))? {
                State::Told(now) => now,
                State::Unknown | State::Gone => Arc::clone(&first),
            };
            if now.index == last && now.is_last {
                return Ok(nothing_more());
            }
            if now.index == last && !now.is_waiting {
                self.told = Some(now.event.clone());
                self.skip(&first);
            }
        }
        Ok(answer(&app, seat, self.into_stream()))
    }

    /// The state that stands is not told.
    fn skip(&mut self, first: &Arc<Told>) {
        let newest = self.states.borrow_and_update().clone();
        // It may have moved on meanwhile.
        if !matches!(newest, State::Told(newest) if Arc::ptr_eq(&newest, first)) {
            self.states.mark_changed();
        }
    }

    fn into_stream(mut self) -> impl Stream<Item = Bytes> + Send + 'static {
        if self.told.is_none() {
            self.states.mark_changed();
        }
        stream::unfold(self, |mut reader| async move {
            let event = reader.next().await?;
            Some((event, reader))
        })
    }

    async fn next(&mut self) -> Option<Bytes> {
        while !self.over {
            self.states.changed().await.ok()?;
            let state = self.states.borrow_and_update().clone();
            match state {
                State::Unknown => {}
                State::Gone => return None,
                State::Told(told) => {
                    self.over = told.is_last;
                    // A right that is taken away ends what was begun with it.
                    if !self.may_read(told.private, &told.repo).await.unwrap_or(false) {
                        return None;
                    }
                    if self.told.as_ref() != Some(&told.event) {
                        self.told = Some(told.event.clone());
                        return Some(told.event.clone());
                    }
                }
            }
        }
        None
    }

    async fn may_read(&self, private: bool, repo: &str) -> Result<bool, RegistryError> {
        if !private {
            return Ok(true);
        }
        let config = access::config_of(&self.app, repo).await?;
        Ok(config.is_some_and(|config| {
            self.credentials.reads(&self.app, &config)
                || match &self.key {
                    Key::Build(build) => self.credentials.opens_build(&config, build),
                    Key::Claim => self.credentials.opens_claim(&config, &self.claim),
                }
        }))
    }
}
