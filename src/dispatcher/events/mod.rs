//! Server-sent events: what changes of a build, or of a list, for as long as somebody reads.
//!
//! Ids are the registry's indexes, the same on every replica: who comes back with the last one it has got
//! (`Last-Event-ID`, to whichever replica) misses nothing. `follow` has what all readers of one build share, `feed` what
//! all readers of lists do, `again` what one of them has missed; an event is put into words once, however many read it. `stream` is one reader's answer.

mod again;
mod feed;
mod follow;
mod frame;
mod list;
mod one;
mod stream;

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::App;
use super::answer::Problem;
use feed::Feed;
use follow::Follows;
use stream::Seat;

pub(crate) use list::of_list;
pub(crate) use one::{of_build, of_claim};

/// Readers of events at once; each costs its connection and a few hundred bytes.
const READERS_MOST: usize = 2048;

/// Readers of lists at once for whom what they missed is looked for, among all that has ended.
const TELLING_MOST: usize = 4;

/// All readers of events.
#[derive(Debug)]
pub(crate) struct Events {
    seats: Arc<Semaphore>,
    follows: Follows,
    feed: Feed,
    turns: Semaphore,
}

impl Default for Events {
    fn default() -> Self {
        Self {
            seats: Arc::new(Semaphore::new(READERS_MOST)),
            follows: Follows::default(),
            feed: Feed::default(),
            turns: Semaphore::new(TELLING_MOST),
        }
    }
}

/// A place for one more reader, until it is dropped.
pub(crate) fn seat(app: &App) -> Result<Seat, Problem> {
    let busy = || Problem::unavailable("busy: too many readers of events at this server; try again later");
    let permit = Arc::clone(&app.events.seats).try_acquire_owned().map_err(|_full| busy())?;
    Ok(Seat::new(permit, app.metrics.event_readers.clone()))
}
