//! How the build of a log ended: the last line, learned once for all readers.

use std::time::Duration;

use jiff::SignedDuration;
use tokio::time::Instant;

use super::spool::Ending;
use crate::dispatcher::SharedApp;
use crate::dispatcher::known::{self, Known, LookupError, Tracked};
use crate::dispatcher::verdict;
use crate::domain::id::BuildId;
use crate::domain::outcome::{Outcome, Verdict};
use crate::domain::status;
use crate::domain::times::Times;

/// The first pause between two looks: Nomad's servers hear of an end a moment after the log does.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// When the readers of an ended log are let go without an outcome. The other tasks of a build may take long, and its end
/// may be a limit of `serve`'s own, but a log that has ended says nothing more meanwhile.
const LIMIT: Duration = Duration::from_secs(3600);

/// Ends with the build, or after an hour.
pub(super) async fn of(app: SharedApp, build: BuildId) -> Ending {
    let begun = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        match look(&app, &build).await {
            Ok(Some(ending)) => return ending,
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%build, error = &error as &dyn std::error::Error, "an outcome could not be looked up");
            }
        }
        if begun.elapsed() > LIMIT {
            let sentence = "the log has ended, but how the build ended could not be learned".to_owned();
            return Ending { sentence, outcome: None };
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn look(app: &SharedApp, build: &BuildId) -> Result<Option<Ending>, LookupError> {
    let Some(known) = known::find(app, build).await? else { return Ok(Some(ending(Outcome::Expired, None))) };
    match verdict::of_known(app, &known).await? {
        Verdict::Ended(outcome) => {
            let took = took(app, &known).await;
            Ok(Some(ending(outcome, took)))
        }
        Verdict::Queued { .. }
        | Verdict::Unplaceable { .. }
        | Verdict::Preparing
        | Verdict::Running
        | Verdict::Open { .. } => Ok(None),
    }
}

fn ending(outcome: Outcome, took: Option<SignedDuration>) -> Ending {
    let sentence = format!("{}: {}", outcome.word(), status::sentence(&outcome, took));
    Ending { sentence, outcome: Some(outcome) }
}

/// How long the script ran: by the record, else by the engine; a sentence without it will do.
async fn took(app: &SharedApp, known: &Known) -> Option<SignedDuration> {
    let (started, finished) = match &known.tracked {
        Tracked::Done(done) => (done.started, Some(done.finished)),
        Tracked::Open(stored) => (stored.value.started, stored.value.finished),
        Tracked::Not => (None, None),
    };
    let (started, finished) = match (started, finished) {
        (Some(started), Some(finished)) => (started, finished),
        (None, _) | (_, None) => {
            let times = Times::of(&app.engine.observe(&known.build).await.ok()?);
            (times.started?, times.finished?)
        }
    };
    Some(finished.duration_since(started).max(SignedDuration::ZERO))
}

/// What a build is doing that has not ended, for the last line of what there is now.
pub(super) fn underway(verdict: &Verdict) -> String {
    let (word, reason) = match verdict {
        Verdict::Ended(outcome) => return ending(outcome.clone(), None).sentence,
        Verdict::Queued { reason } => ("queued", reason.as_str()),
        Verdict::Unplaceable { reason } => ("no node can take it", reason.as_str()),
        Verdict::Preparing => ("preparing", ""),
        Verdict::Running => ("running", ""),
        Verdict::Open { reason, .. } => ("waiting", reason.as_str()),
    };
    if reason.is_empty() { word.to_owned() } else { format!("{word}: {reason}") }
}
