//! Changes that wait for approval: ended by a push to, or the closing of, their pull request.

use std::time::Duration;

use super::App;
use super::answer::Problem;
use super::hook::registry_down;
use crate::domain::id::ClaimId;
use crate::domain::record::{Phase, Record, Stop, StopWhy};
use crate::registry::{Stored, Written};

/// Tries of one write against other writers of the same record; each lost one means that another got through.
const TRIES: usize = 10;

/// Ends what is held for a pull request, save `but` (its newest change). The follower reports it as cancelled.
pub(crate) async fn end_of_pull(app: &App, canonical: &str, number: u64, but: Option<&ClaimId>) -> Result<(), Problem> {
    let (_, open) = app.registry.watch_open(None, Duration::ZERO).await.map_err(|error| registry_down(&error))?;
    let by = if but.is_some() { "a newer push" } else { "the closing of the pull request" };
    for (claim, stored) in open {
        let same_pull = stored.value.canonical == canonical
            && stored.value.pull.as_ref().is_some_and(|pull| pull.number == number)
            && matches!(stored.value.phase, Phase::Held);
        if same_pull && Some(&claim) != but {
            stop_record(app, &claim, stored, StopWhy::Superseded, by).await?;
        }
    }
    Ok(())
}

/// What became of asking for a stop.
#[derive(Debug)]
pub(crate) enum Stopping {
    /// It is written: this is the record.
    Asked(Box<Record>),
    /// It is over already.
    Over(Box<Record>),
    /// The record is gone.
    Gone,
}

/// Writes `stop` into an open record; an earlier reason stays.
pub(crate) async fn stop_record(
    app: &App,
    claim: &ClaimId,
    mut stored: Stored<Record>,
    why: StopWhy,
    by: &str,
) -> Result<Stopping, Problem> {
    for _ in 0..TRIES {
        if matches!(stored.value.phase, Phase::Ended { .. }) {
            return Ok(Stopping::Over(Box::new(stored.value)));
        }
        if stored.value.stop.is_some() {
            return Ok(Stopping::Asked(Box::new(stored.value)));
        }
        let stop = Stop { why, by: by.to_owned(), at: jiff::Timestamp::now() };
        let record = Record { stop: Some(stop), ..stored.value.clone() };
        match app.registry.update(claim, &record, stored.index, None).await.map_err(|error| registry_down(&error))? {
            Written::Yes(_) => return Ok(Stopping::Asked(Box::new(record))),
            Written::Conflict | Written::LeaseLost => {}
        }
        match app.registry.open(claim).await.map_err(|error| registry_down(&error))? {
            Some(newer) => stored = newer,
            None => return Ok(Stopping::Gone),
        }
    }
    Err(Problem::unavailable("the record is being written by others; try again"))
}
