//! The events of a list: each change of a build that passes its filters and may be seen.

use std::collections::VecDeque;
use std::time::Duration;

use axum::http::HeaderMap;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use serde::Serialize;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::again::{Missed, above};
use super::feed::{Change, Feed, News, Stand};
use super::frame;
use super::stream::{answer, last_event_id};
use crate::dispatcher::SharedApp;
use crate::dispatcher::access::{self, Credentials};
use crate::dispatcher::answer::Problem;
use crate::dispatcher::builds::{ListQuery, Wanted};
use crate::dispatcher::hook::registry_down;
use crate::registry::{Index, RegistryError};

/// How long a reader waits until all is read for the first time.
const FIRST_WITHIN: Duration = Duration::from_secs(30);

/// Where a reader begins that has read nothing yet.
#[derive(Debug, Serialize)]
struct Now {
    index: u64,
}

/// The events of `GET /builds`.
pub(crate) async fn of_list(
    app: &SharedApp,
    query: ListQuery,
    credentials: Credentials,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let seat = super::seat(app)?;
    let news = Feed::listen(app);
    let slow = || Problem::unavailable("Consul does not answer, or is slow; try again");
    let stand = tokio::time::timeout(FIRST_WITHIN, app.events.feed.stand()).await;
    let stand = stand.ok().flatten().ok_or_else(slow)?;
    let mut reader = Reader {
        app: SharedApp::clone(app),
        query,
        credentials,
        news,
        told: stand.whole,
        again: None,
        due: VecDeque::new(),
    };
    match last_event_id(headers) {
        Some(last) => {
            let newest = newest(app).await.map_err(|error| registry_down(&error))?.max(stand.whole);
            // From before the registry was restored, or from when it knew more of what was deleted.
            if last > newest {
                reader.tell_now(&stand);
            } else {
                (reader.told, reader.again) = (last, Some(last));
            }
        }
        None => reader.tell_now(&stand),
    }
    let events = stream::unfold(reader, |mut reader| async move {
        let event = reader.next().await?;
        Some((event, reader))
    });
    Ok(answer(app, seat, events))
}

/// The newest index that any replica can have told.
async fn newest(app: &SharedApp) -> Result<Index, RegistryError> {
    Ok(app.registry.open_index().await?.max(app.registry.done_index().await?))
}

struct Reader {
    app: SharedApp,
    query: ListQuery,
    credentials: Credentials,
    news: broadcast::Receiver<News>,
    /// Up to here nothing is missing.
    told: Index,
    /// What is above this is told first.
    again: Option<Index>,
    due: VecDeque<Bytes>,
}

impl Reader {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(event) = self.due.pop_front() {
                return Some(event);
            }
            if let Some(from) = self.again {
                self.tell_again(from).await?;
                continue;
            }
            match self.news.recv().await {
                Ok(News::Changed(change)) => {
                    if self.takes(&change).await {
                        return Some(frame::with_id(self.told, &change.event));
                    }
                }
                Ok(News::Whole(index)) => {
                    self.told = index;
                    return Some(frame::only_id(index));
                }
                Ok(News::Anew) => (self.told, self.again) = (Index(0), Some(Index(0))),
                Err(RecvError::Lagged(_)) => self.again = Some(self.told),
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// The next piece of what is above an index. None: it cannot be read, and the reader is to come back.
    async fn tell_again(&mut self, from: Index) -> Option<()> {
        let stand = self.app.events.feed.stand().await?;
        let missed = {
            let _turn = self.app.events.turns.acquire().await.ok()?;
            above(&self.app, &stand, from, &self.query, &self.credentials).await
        };
        let told = |error| tracing::warn!(error = &error as &dyn std::error::Error, "a list could not be told again");
        let (changes, rest) = match missed.map_err(told).ok()? {
            Missed::Piece(changes, rest) => (changes, rest),
            Missed::TooMuch => {
                self.tell_now(&stand);
                return Some(());
            }
        };
        self.again = rest;
        for change in &changes {
            // Beyond that something older may still come.
            self.told = change.index.min(stand.whole).max(self.told);
            self.due.push_back(frame::with_id(self.told, &change.event));
        }
        // Thousands may come back at once; others have their turn in between.
        tokio::task::yield_now().await;
        Some(())
    }

    /// Where it is to begin: with the list as it is now.
    fn tell_now(&mut self, stand: &Stand) {
        (self.told, self.again) = (stand.whole, None);
        self.due.push_back(frame::event(stand.whole, "now", &Now { index: stand.whole.0 }));
    }

    /// Whether the list shows it, or did. A right that is taken away is so at once.
    async fn takes(&self, change: &Change) -> bool {
        let wanted = Wanted::of(&self.query);
        let view = &change.view;
        let is_state = wanted.takes_state(view.state) || change.was.is_some_and(|was| wanted.takes_state(was));
        if !is_state || !wanted.takes_any_state_of(view) {
            return false;
        }
        if !view.private {
            return true;
        }
        let Some(repo) = &view.repo else { return false };
        let config = access::config_of(&self.app, repo).await;
        config.is_ok_and(|config| config.is_some_and(|config| self.credentials.reads(&self.app, &config)))
    }
}
