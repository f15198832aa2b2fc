//! How far a build is, now: by its record where that is enough, else by what the engine says.

use super::App;
use super::known::{Known, LookupError, Tracked};
use crate::domain::id::{BuildId, ClaimId};
use crate::domain::nomad::Snapshot;
use crate::domain::outcome::{Machine, Verdict, judge};
use crate::domain::record::{Phase, Record};
use crate::domain::runners::Runner;

/// Of a build that was looked up.
pub(crate) async fn of_known(app: &App, known: &Known) -> Result<Verdict, LookupError> {
    match (&known.tracked, &known.claim) {
        (Tracked::Done(done), _) => Ok(Verdict::Ended(done.outcome.clone())),
        (Tracked::Open(stored), Some(claim)) => match &stored.value.phase {
            Phase::Ended { outcome } => Ok(Verdict::Ended(outcome.clone())),
            Phase::Held | Phase::Waiting | Phase::Claimed | Phase::Dispatched => {
                of_open(app, claim, &known.build, &stored.value).await
            }
        },
        (Tracked::Not | Tracked::Open(_), _) => Ok(judge(&app.engine.observe(&known.build).await?, None)),
    }
}

/// Of a build whose record is open, with the record as it was read.
pub(crate) async fn of_open(
    app: &App,
    claim: &ClaimId,
    build: &BuildId,
    record: &Record,
) -> Result<Verdict, LookupError> {
    let snapshot = app.engine.observe(build).await?;
    let verdict = by_record(&snapshot, record);
    if record.stop.is_some() || !matches!(verdict, Verdict::Ended(_)) {
        return Ok(verdict);
    }
    // The reason of a stop is written before the engine is told, and a machine's end before its executor ends: after what the engine says it is there to be read.
    if let Some(newer) = app.registry.open(claim).await? {
        return Ok(match newer.value.phase {
            Phase::Ended { outcome } => Verdict::Ended(outcome),
            Phase::Held | Phase::Waiting | Phase::Claimed | Phase::Dispatched => by_record(&snapshot, &newer.value),
        });
    }
    Ok(app.registry.done(claim).await?.map_or(verdict, |done| Verdict::Ended(done.outcome)))
}

fn by_record(snapshot: &Snapshot, record: &Record) -> Verdict {
    let verdict = Machine::judge(record.machine.as_ref(), record.stop.is_some(), judge(snapshot, record.stop.as_ref()));
    Runner::judge(record.runner.as_deref(), verdict)
}
