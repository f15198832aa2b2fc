//! The open changes as they come, for all who wait for one of them: this replica lists them once, and only as long as
//! somebody waits.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::SharedApp;
use super::known::OpenList;
use crate::registry::Index;

/// How long one listing waits for a change.
const LIST_WAIT: Duration = Duration::from_secs(55);
/// Many builds at once would have the list read without a pause.
const LISTS_APART: Duration = Duration::from_millis(200);
/// After a listing that failed.
const AGAIN: Duration = Duration::from_secs(2);

/// The newest list; none until it has been read.
pub(crate) type Newest = Option<Arc<OpenList>>;

/// All open changes, to be waited for.
#[derive(Debug)]
pub(crate) struct Changes {
    newest: watch::Sender<Newest>,
    is_listing: Mutex<bool>,
}

impl Default for Changes {
    fn default() -> Self {
        Self { newest: watch::Sender::new(None), is_listing: Mutex::new(false) }
    }
}

impl Changes {
    fn listing(&self) -> MutexGuard<'_, bool> {
        self.is_listing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The list as it is and will be, until the receiver is dropped.
    pub(crate) fn watch(app: &SharedApp) -> watch::Receiver<Newest> {
        let changes = &app.changes;
        let receiver = changes.newest.subscribe();
        let mut listing = changes.listing();
        if !*listing {
            *listing = true;
            tokio::spawn(keep_listing(SharedApp::clone(app)));
        }
        receiver
    }

    /// Whether nobody waits any more. Then what was read last is forgotten: it would be old for who comes next.
    fn is_left(&self) -> bool {
        let mut listing = self.listing();
        if self.newest.receiver_count() == 0 {
            self.newest.send_replace(None);
            *listing = false;
        }
        !*listing
    }
}

async fn keep_listing(app: SharedApp) {
    let mut since: Option<Index> = None;
    while !app.changes.is_left() {
        let read_at = Instant::now();
        let read = tokio::select! {
            () = app.shutdown.cancelled() => return,
            // The registry's own wait has a margin; a connection that died silently has none.
            read = tokio::time::timeout(LIST_WAIT * 2, app.registry.watch_open(since, LIST_WAIT)) => read,
        };
        match read {
            Ok(Ok(read)) => {
                let list = OpenList::new(read_at, read);
                // An index that goes back: the registry was restored, or has forgotten what was deleted. The next read
                // says which one it is now.
                let is_back = since.is_some_and(|since| list.index < since);
                since = if is_back { None } else { Some(list.index) };
                if !is_back {
                    app.changes.newest.send_replace(Some(Arc::new(list)));
                }
                tokio::time::sleep(LISTS_APART).await;
            }
            Ok(Err(error)) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the open changes could not be listed");
                since = None;
                tokio::time::sleep(AGAIN).await;
            }
            Err(_elapsed) => since = None,
        }
    }
}
