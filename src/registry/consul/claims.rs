//! Taking a claim: exactly one of all that try has it, and an unknown answer is settled by reading again.

use std::time::Duration;

use super::{Claimed, ConsulRegistry, Index, RegistryError, encode};
use crate::api::consul::{ConsulError, Op, Outcome};
use crate::domain::id::ClaimId;
use crate::domain::record::Record;

/// Forges wait 5 s for the whole answer.
const LIMIT: Duration = Duration::from_secs(4);
/// One try, and one more where the first said nothing.
const TRIES: usize = 3;
const BETWEEN: Duration = Duration::from_millis(50);

/// Every try ended without an answer, or the record came and went meanwhile.
#[derive(Debug, thiserror::Error)]
#[error("it could not be found out who holds the claim")]
struct Unsettled(#[source] Option<ConsulError>);

pub(super) async fn claim(at: &ConsulRegistry, id: &ClaimId, record: &Record) -> Result<Claimed, RegistryError> {
    match tokio::time::timeout(LIMIT, attempt(at, id, record)).await {
        Ok(answer) => answer,
        Err(late) => Err(RegistryError::Unavailable(Box::new(late))),
    }
}

async fn attempt(at: &ConsulRegistry, id: &ClaimId, record: &Record) -> Result<Claimed, RegistryError> {
    let (open, done, value) = (at.open_key(id), at.done_key(id), encode(record)?);
    let ops = [Op::CheckNotExists { key: &done }, Op::Cas { key: &open, index: 0, value: &value }];
    let mut last = None;
    for _ in 0..TRIES {
        match at.consul.transaction(&ops).await {
            Ok(Outcome::Done(pairs)) => {
                if let Some(pair) = pairs.iter().find(|pair| pair.key == open) {
                    return Ok(Claimed::Won(Index(pair.modify_index)));
                }
            }
            Ok(Outcome::Failed(_)) => {}
            Err(error @ ConsulError::Http(_)) => last = Some(error),
            Err(error) => return Err(error.into()),
        }
        match holder(at, id, &record.nonce).await {
            Ok(Some(claimed)) => return Ok(claimed),
            Ok(None) => {}
            Err(refused @ RegistryError::Refused(_)) => return Err(refused),
            Err(unavailable @ RegistryError::Unavailable(_)) if last.is_none() => return Err(unavailable),
            Err(RegistryError::Unavailable(_)) => {}
        }
        tokio::time::sleep(BETWEEN).await;
    }
    Err(RegistryError::Unavailable(Box::new(Unsettled(last))))
}

/// Who has the claim now. `open/` is read first: a change moves from there to `done/` in one step, so it cannot slip by.
async fn holder(at: &ConsulRegistry, id: &ClaimId, nonce: &str) -> Result<Option<Claimed>, RegistryError> {
    match at.open(id).await? {
        Some(stored) if stored.value.nonce == nonce => return Ok(Some(Claimed::Won(stored.index))),
        Some(stored) => return Ok(Some(Claimed::Open(Box::new(stored)))),
        None => {}
    }
    Ok(at.ended(id).await?.map(|done| Claimed::Done(Box::new(done.value))))
}
