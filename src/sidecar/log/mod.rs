//! The log archive: what the script prints is sent away while it runs, with its secrets hidden, so that it outlives the
//! build.

mod files;
mod keep;

use std::path::Path;
use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::trusted;
use super::{reasons, say};
use crate::api::controller::Controller;
use crate::domain::log_chunk::{Masker, Stream};
use files::{Files, Folder};
use keep::Keeper;

/// What is left of the logs when the script has ended must have been taken by then: less than the `kill_timeout` of our
/// builders.
const LAST_CHUNKS: Duration = Duration::from_secs(20);
/// The same where the build must be ended by our own end.
const IN_A_HURRY: Duration = Duration::from_secs(3);

/// That there is little more to come.
#[derive(Debug, Clone, Default)]
pub(super) struct Over {
    /// Cancelled when the script has ended, or is about to.
    pub(super) script: CancellationToken,
    /// Cancelled before, where the script is ended by the end of this process.
    pub(super) hurry: CancellationToken,
}

impl Over {
    fn limit(&self) -> Duration {
        if self.hurry.is_cancelled() { IN_A_HURRY } else { LAST_CHUNKS }
    }
}

/// Where the logs are, looked up before the script starts.
#[derive(Debug)]
pub(super) struct Logs(Option<Folder>);

impl Logs {
    /// Never fails a build: without the directory there is no archive, and the task's log says so.
    pub(super) fn open(alloc_dir: &Path) -> Self {
        Self(Folder::open(alloc_dir).unwrap_or_else(|error| {
            say(&format!("the log is not archived: the directory of logs cannot be opened: {error}"));
            None
        }))
    }

    /// Archives until `over`, and then what is left; ends at once where there is nothing to archive or nobody takes it.
    pub(super) async fn keep(self, controller: &Controller, over: Over) {
        let Some(folder) = self.0 else { return };
        let asked = tokio::select! {
            asked = trusted::ask(|| controller.masks()) => asked,
            () = over.script.cancelled() => return,
        };
        let masks = match asked {
            Ok(masks) => masks,
            Err(error) => return say(&format!("the log is not archived: {}", reasons(&error))),
        };
        let (out, err) = tokio::join!(
            one(&folder, controller, Stream::Stdout, masks.clone(), over.clone()),
            one(&folder, controller, Stream::Stderr, masks, over),
        );
        // Usually both for the same reason.
        let said = [out, err].into_iter().flatten().fold(None, |said: Option<String>, why| {
            if said.as_ref() != Some(&why) {
                say(&why);
            }
            Some(why)
        });
        drop(said);
    }
}

/// Why it was not archived, if so.
async fn one(
    folder: &Folder,
    controller: &Controller,
    stream: Stream,
    masks: Vec<Vec<u8>>,
    over: Over,
) -> Option<String> {
    let masker = match Masker::new(masks) {
        Ok(masker) => masker,
        // What cannot be masked is not sent.
        Err(error) => return Some(reasons(&error)),
    };
    let files = Files::new(folder.clone(), stream);
    let keeper = Keeper { controller, stream, masker, over: over.clone() };
    let keeping = keeper.keep(files);
    tokio::pin!(keeping);
    let kept = tokio::select! {
        kept = &mut keeping => kept,
        () = over.script.cancelled() => match timeout(over.limit(), keeping).await {
            Ok(kept) => kept,
            Err(_elapsed) => return Some("the end of the log could not be archived in time".to_owned()),
        },
    };
    kept.err().map(|error| reasons(&error))
}
