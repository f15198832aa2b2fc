//! Changes that wait for approval: ended by a push to, or the closing of, their pull request.

use std::time::Duration;

use super::App;
use super::answer::Problem;
use super::hook::registry_down;
use crate::api::forge::Forge;
use crate::domain::config::RepoConfig;
use crate::domain::id::{ClaimId, CommitSha};
use crate::domain::record::{Phase, Record, Stop, StopWhy};
use crate::registry::{Stored, Written};

/// Tries of one write against other writers of the same record; each lost one means that another got through.
const TRIES: usize = 10;

/// How long the forge may take to say what a pull request's head is; the hook's answer waits for it.
const HEAD_WITHIN: Duration = Duration::from_secs(1);

/// Ends what is held for older commits of a new change's pull request. Deliveries come out of order, so the forge is
/// asked for the head; where it names another commit nothing is ended, as its delivery does so.
pub(crate) async fn supersede(app: &App, record: &Record, config: &RepoConfig) -> Result<(), Problem> {
    let Some(pull) = &record.pull else { return Ok(()) };
    let head = tokio::time::timeout(HEAD_WITHIN, head(app, record, config)).await.ok().flatten();
    if head.is_some_and(|head| head != record.commit) {
        return Ok(());
    }
    end_of_pull(app, &record.canonical, pull.number, Some(&record.commit)).await
}

/// None where no forge can be asked: then the newest delivery counts as the newest change.
async fn head(app: &App, record: &Record, config: &RepoConfig) -> Option<CommitSha> {
    let forge = Forge::new(app.forge_client.clone(), config.forge.as_ref()?, &record.repo).ok()?;
    match forge.head(&record.git_ref).await {
        Ok(head) => head,
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "the head of a pull request could not be asked");
            None
        }
    }
}

/// Ends what is held for a pull request, save for the commit `but`. The follower reports it as cancelled.
pub(crate) async fn end_of_pull(
    app: &App,
    canonical: &str,
    number: u64,
    but: Option<&CommitSha>,
) -> Result<(), Problem> {
    let (_, open) = app.registry.watch_open(None, Duration::ZERO).await.map_err(|error| registry_down(&error))?;
    let by = if but.is_some() { "a newer push" } else { "the closing of the pull request" };
    for (claim, stored) in open {
        let same_pull = stored.value.canonical == canonical
            && stored.value.pull.as_ref().is_some_and(|pull| pull.number == number)
            // A job that is held ends with the build that started it, and with nothing else.
            && stored.value.parent.is_none()
            && matches!(stored.value.phase, Phase::Held);
        if same_pull && Some(&stored.value.commit) != but {
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
