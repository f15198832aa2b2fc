//! Guarded writes: by index, and by the follower's session where it is the follower's.

use std::time::Duration;

use super::{ConsulRegistry, Index, Lease, RegistryError, Written};
use crate::api::consul::{Consistency, ConsulError, Op, Outcome};

const TRIES: usize = 3;
const BETWEEN: Duration = Duration::from_millis(100);
/// The whole of a write with its repetitions; longer, and the lease behind it is over anyway.
const LIMIT: Duration = Duration::from_secs(8);

/// What is to be written.
pub(super) enum Intent {
    /// A new value for an open record.
    Replace { key: String, index: Index, value: Vec<u8> },
    /// The same, and a report beside it.
    Report { open: String, index: Index, value: Vec<u8>, key: String, report: Vec<u8> },
    /// From `open/` to `done/`.
    Finish { open: String, index: Index, done: String, value: Vec<u8> },
    /// A value beside the records; without an index only where there is none.
    Keep { key: String, index: Option<Index>, value: Vec<u8> },
    /// No open record any more.
    Forget { key: String, index: Index },
    /// No ended change any more, nor its report.
    Expire { key: String, report: String },
}

/// What reading again says of a write whose answer was lost.
enum Settled {
    Happened(Index),
    NotYet,
    Overtaken,
}

impl Intent {
    fn ops(&self) -> Vec<Op<'_>> {
        match self {
            Self::Replace { key, index, value } => vec![Op::Cas { key, index: index.0, value }],
            Self::Keep { key, index, value } => {
                vec![Op::Cas { key, index: index.map_or(0, |index| index.0), value }]
            }
            Self::Report { open, index, value, key, report } => {
                vec![Op::Cas { key: open, index: index.0, value }, Op::Set { key, value: report }]
            }
            Self::Finish { open, index, done, value } => {
                vec![Op::DeleteCas { key: open, index: index.0 }, Op::Set { key: done, value }]
            }
            Self::Forget { key, index } => vec![Op::DeleteCas { key, index: index.0 }],
            Self::Expire { key, report } => vec![Op::Delete { key }, Op::Delete { key: report }],
        }
    }

    /// The key whose new index the caller learns; none for removals.
    fn written(&self) -> Option<&str> {
        match self {
            Self::Replace { key, .. } | Self::Keep { key, .. } | Self::Report { open: key, .. } => Some(key),
            Self::Finish { done, .. } => Some(done),
            Self::Forget { .. } | Self::Expire { .. } => None,
        }
    }
}

pub(super) async fn write(
    at: &ConsulRegistry,
    lease: Option<&Lease>,
    intent: Intent,
) -> Result<Written, RegistryError> {
    // Index 0 would create the record anew, or remove whatever is there.
    if let Intent::Replace { index: Index(0), .. }
    | Intent::Report { index: Index(0), .. }
    | Intent::Finish { index: Index(0), .. }
    | Intent::Forget { index: Index(0), .. } = intent
    {
        return Ok(Written::Conflict);
    }
    match tokio::time::timeout(LIMIT, attempt(at, lease, &intent)).await {
        Ok(answer) => answer,
        Err(late) => Err(RegistryError::Unavailable(Box::new(late))),
    }
}

async fn attempt(at: &ConsulRegistry, lease: Option<&Lease>, intent: &Intent) -> Result<Written, RegistryError> {
    let lock = at.lock_key();
    let mut ops = intent.ops();
    if let Some(lease) = lease {
        ops.insert(0, Op::CheckSession { key: &lock, session: &lease.session });
    }
    let mut unknown: Option<ConsulError> = None;
    for _ in 0..TRIES {
        match at.consul.transaction(&ops).await {
            Ok(Outcome::Done(pairs)) => {
                let index = pairs.iter().find(|pair| Some(pair.key.as_str()) == intent.written());
                return Ok(Written::Yes(Index(index.map_or(0, |pair| pair.modify_index))));
            }
            Ok(Outcome::Failed(failures)) => {
                if lease.is_some() && failures.iter().any(|it| it.op_index == 0) {
                    return Ok(Written::LeaseLost);
                }
                // After an unknown answer our own write may be what stands in the way.
                if unknown.is_none() {
                    return Ok(Written::Conflict);
                }
            }
            Err(error @ ConsulError::Http(_)) => unknown = Some(error),
            Err(error) => return Err(error.into()),
        }
        match settle(at, intent).await {
            Ok(Settled::Happened(index)) => return Ok(Written::Yes(index)),
            Ok(Settled::Overtaken) => return Ok(Written::Conflict),
            Ok(Settled::NotYet) | Err(ConsulError::Http(_)) => tokio::time::sleep(BETWEEN).await,
            Err(error) => return Err(error.into()),
        }
    }
    match unknown {
        Some(error) => Err(error.into()),
        None => Ok(Written::Conflict),
    }
}

async fn settle(at: &ConsulRegistry, intent: &Intent) -> Result<Settled, ConsulError> {
    let read = async |key: &str| at.consul.get(key, Consistency::Consistent).await;
    Ok(match intent {
        Intent::Replace { key, index, value } => match read(key).await? {
            Some(pair) if pair.value == *value => Settled::Happened(Index(pair.modify_index)),
            Some(pair) if pair.modify_index == index.0 => Settled::NotYet,
            Some(_) | None => Settled::Overtaken,
        },
        Intent::Keep { key, index, value } => match read(key).await? {
            Some(pair) if pair.value == *value => Settled::Happened(Index(pair.modify_index)),
            Some(pair) if Some(Index(pair.modify_index)) == *index => Settled::NotYet,
            None if index.is_none() => Settled::NotYet,
            Some(_) | None => Settled::Overtaken,
        },
        // The record may be as it was before, so the report tells.
        Intent::Report { open, index, key, report, .. } => match (read(open).await?, read(key).await?) {
            (Some(record), Some(pair)) if pair.value == *report => Settled::Happened(Index(record.modify_index)),
            (Some(record), _) if record.modify_index == index.0 => Settled::NotYet,
            (Some(_) | None, _) => Settled::Overtaken,
        },
        Intent::Finish { open, index, done, value } => match (read(open).await?, read(done).await?) {
            (_, Some(pair)) if pair.value == *value => Settled::Happened(Index(pair.modify_index)),
            (Some(pair), _) if pair.modify_index == index.0 => Settled::NotYet,
            (Some(_) | None, _) => Settled::Overtaken,
        },
        Intent::Forget { key, index } => match read(key).await? {
            None => Settled::Happened(Index(0)),
            Some(pair) if pair.modify_index == index.0 => Settled::NotYet,
            Some(_) => Settled::Overtaken,
        },
        Intent::Expire { key, .. } => match read(key).await? {
            None => Settled::Happened(Index(0)),
            Some(_) => Settled::NotYet,
        },
    })
}
