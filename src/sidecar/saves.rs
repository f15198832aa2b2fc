//! What the script wants to be kept when it has ended: packed from its workspace and nowhere else, and sent away before
//! `exec` ends the build.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::keep::{self, Counter, KeepError};
use super::pack::{Limits, PackError, Selection, below};
use super::{reasons, say, trusted};
use crate::api::controller::{Controller, Done, Due, Put, Save, Unsaved};
use crate::domain::blob::BlobKind;
use crate::domain::runner::WORKSPACE;
use crate::domain::size::Bytes;

/// Before a controller that did not answer is asked again.
const PAUSE: Duration = Duration::from_secs(1);

/// Before one that holds the question is asked again.
const AGAIN: Duration = Duration::from_millis(50);

/// Waits for the script's end and keeps what is to be kept; never ends by itself.
pub(super) async fn run(controller: &Controller, alloc: Arc<OwnedFd>) -> std::convert::Infallible {
    let due = due(controller).await;
    let mut failed = Vec::new();
    for save in due.saves {
        if let Err(error) = keep(controller, &alloc, &save).await {
            let reason = reasons(&error);
            say(&format!("{} {} could not be kept: {reason}", save.kind.word(), save.id));
            failed.push(Unsaved { kind: save.kind, id: save.id, reason });
        }
    }
    let done = Done { failed };
    if let Err(error) = trusted::ask(|| controller.saves_done(&done)).await {
        say(&format!("the controller could not be told what is kept: {}", reasons(&error)));
    }
    std::future::pending().await
}

async fn due(controller: &Controller) -> Due {
    loop {
        match controller.saves_due().await {
            Ok(Some(due)) => return due,
            Ok(None) => sleep(AGAIN).await,
            // An older controller, or one that is about to go.
            Err(_) => sleep(PAUSE).await,
        }
    }
}

async fn keep(controller: &Controller, alloc: &OwnedFd, save: &Save) -> Result<(), KeepError> {
    let dir = if save.dir.is_empty() { WORKSPACE.to_owned() } else { format!("{WORKSPACE}/{}", save.dir) };
    let root = Arc::new(below(alloc, &dir)?);
    let selection = select(root, save)?;
    let counter = Counter::default();
    let word = save.kind.word();
    match keep::upload(controller, (save.kind, &save.id), &selection, &counter).await? {
        Put::Kept(label) => say(&format!("{word} {}: kept, {}", save.id, Bytes::of(label.size))),
        Put::There(_) => say(&format!("{word} {}: is there already", save.id)),
    }
    Ok(())
}

fn select(root: Arc<OwnedFd>, save: &Save) -> Result<Selection, PackError> {
    let selection = Selection::within(root, &save.paths, Limits::default())?;
    Ok(match save.kind {
        BlobKind::Artifact => selection,
        BlobKind::Cache => selection.into_archive(),
    })
}
