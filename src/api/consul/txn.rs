//! Transactions: all or nothing.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::{Method, StatusCode};
use serde::{Deserialize, Serialize};

use super::kv::RawPair;
use super::{Consul, ConsulError, MANY, Pair, VALUE_LIMIT};

/// One operation of a transaction; all happen or none.
#[derive(Debug, Clone, Copy)]
pub enum Op<'a> {
    /// The key must not be there.
    CheckNotExists {
        /// The key.
        key: &'a str,
    },
    /// The key must be locked by this session.
    CheckSession {
        /// The key.
        key: &'a str,
        /// The session.
        session: &'a str,
    },
    /// Write, if the key is at this index; 0: if there is none.
    Cas {
        /// The key.
        key: &'a str,
        /// The index.
        index: u64,
        /// The new value.
        value: &'a [u8],
    },
    /// Write.
    Set {
        /// The key.
        key: &'a str,
        /// The new value.
        value: &'a [u8],
    },
    /// Remove, if the key is at this index, or gone.
    DeleteCas {
        /// The key.
        key: &'a str,
        /// The index.
        index: u64,
    },
    /// Remove.
    Delete {
        /// The key.
        key: &'a str,
    },
    /// Read all keys that begin so.
    GetTree {
        /// The beginning.
        prefix: &'a str,
    },
}

/// What became of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// All of it happened. Pairs that were checked, written (without their value) or read, in order; removals give none.
    Done(Vec<Pair>),
    /// None of it happened.
    Failed(Vec<Failure>),
}

/// An operation that stood in the way.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Failure {
    /// Which one, from 0.
    pub op_index: usize,
    /// Consul's words.
    pub what: String,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Kv<'a> {
    verb: &'static str,
    key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<&'a str>,
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(rename = "KV")]
    kv: Kv<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answered {
    #[serde(default)]
    results: Option<Vec<Result1>>,
    #[serde(default)]
    errors: Option<Vec<Failure>>,
}

/// One result; other kinds than KV are not asked for.
#[derive(Deserialize)]
struct Result1 {
    #[serde(rename = "KV")]
    kv: Option<RawPair>,
}

impl<'a> Op<'a> {
    fn kv(self) -> Kv<'a> {
        match self {
            Op::CheckNotExists { key } => Kv { verb: "check-not-exists", key, ..Kv::default() },
            Op::CheckSession { key, session } => {
                Kv { verb: "check-session", key, session: Some(session), ..Kv::default() }
            }
            Op::Cas { key, index, value } => {
                let value = Some(BASE64_STANDARD.encode(value));
                Kv { verb: "cas", key, index: Some(index), value, ..Kv::default() }
            }
            Op::Set { key, value } => {
                Kv { verb: "set", key, value: Some(BASE64_STANDARD.encode(value)), ..Kv::default() }
            }
            Op::DeleteCas { key, index } => Kv { verb: "delete-cas", key, index: Some(index), ..Kv::default() },
            Op::Delete { key } => Kv { verb: "delete", key, ..Kv::default() },
            Op::GetTree { prefix } => Kv { verb: "get-tree", key: prefix, ..Kv::default() },
        }
    }

    fn size(self) -> usize {
        match self {
            Op::Cas { value, .. } | Op::Set { value, .. } => value.len(),
            Op::CheckNotExists { .. }
            | Op::CheckSession { .. }
            | Op::DeleteCas { .. }
            | Op::Delete { .. }
            | Op::GetTree { .. } => 0,
        }
    }
}

impl Consul {
    /// Runs a transaction of at most 64 operations.
    ///
    /// # Errors
    /// See [`ConsulError`]; [`ConsulError::surely_undone`] says whether it may have happened all the same.
    pub async fn transaction(&self, ops: &[Op<'_>]) -> Result<Outcome, ConsulError> {
        if let Some(size) = ops.iter().map(|op| op.size()).find(|size| *size > VALUE_LIMIT) {
            return Err(ConsulError::TooLarge(size));
        }
        let lines: Vec<Line<'_>> = ops.iter().map(|op| Line { kv: op.kv() }).collect();
        let answer =
            self.call("run a transaction", self.request(Method::PUT, &["v1", "txn"])?.json(&lines), MANY).await?;
        match answer.status {
            StatusCode::CONFLICT => {
                let failures = answer.json::<Answered>()?.errors.unwrap_or_default();
                // A missing right comes as a failed operation, not as 403.
                match failures.iter().find(|it| is_denied(&it.what)) {
                    Some(denied) => Err(ConsulError::Denied(denied.what.clone())),
                    None => Ok(Outcome::Failed(failures)),
                }
            }
            StatusCode::PAYLOAD_TOO_LARGE => Err(ConsulError::TooLarge(ops.iter().map(|op| op.size()).sum())),
            _ => {
                let results = answer.success()?.json::<Answered>()?.results.unwrap_or_default();
                let pairs = results.into_iter().filter_map(|it| it.kv).map(RawPair::decode);
                pairs.collect::<Result<_, _>>().map(Outcome::Done)
            }
        }
    }
}

fn is_denied(what: &str) -> bool {
    what.contains("Permission denied") || what.contains("ACL not found")
}
