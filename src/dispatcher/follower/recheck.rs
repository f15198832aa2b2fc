//! A final status that an older post may still overtake: looked at again, and put right.
//!
//! A post that got no answer, or that a stopped process sends when it goes on, can arrive after the final one. Forges
//! show the newest, so a build that is over would look as if it still ran.

use std::time::Duration;

use super::course::Shared;
use super::post::{self, Post, Sent};
use crate::domain::id::ClaimId;
use crate::domain::record::Record;
use crate::domain::status::Status;

/// When it is looked at, each after the one before: most late posts come within seconds, a stopped process may
/// take longer.
const LOOKS: [Duration; 6] = [
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(30),
    Duration::from_secs(120),
    Duration::from_secs(900),
];

/// What is to be looked at.
#[derive(Debug)]
pub(super) struct Recheck(Post);

impl Recheck {
    pub(super) fn new(shared: Shared, claim: ClaimId, record: Record, status: Status) -> Self {
        Self(Post { shared, claim, record, status, look_first: true })
    }

    /// Looks, and posts the final status once more where it is no longer the newest of its build.
    pub(super) async fn keep_looking(self) {
        for wait in LOOKS {
            tokio::time::sleep(wait).await;
            match post::send(self.0.clone()).await {
                Sent::Confirmed | Sent::Passing(_) | Sent::LockOld => {}
                Sent::Refused(_) | Sent::NoForge => return,
            }
        }
    }
}
