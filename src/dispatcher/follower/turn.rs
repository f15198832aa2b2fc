//! A change that waits for its turn: let through by the follower, and by nobody else.

use super::course::{Course, Halt, Next};
use crate::domain::outcome::Outcome;
use crate::domain::record::{Phase, Record};
use crate::domain::times::Times;

impl Course {
    /// Lets it through once nothing stands in its way.
    pub(super) async fn waiting(&mut self) -> Result<Next, Halt> {
        let record = &self.stored.value;
        if record.stop.is_some() {
            return self.end(Outcome::of_stop(record.stop.as_ref()), Times::default()).await;
        }
        let record = Record { phase: Phase::Claimed, ..record.clone() };
        self.write(record).await?;
        Ok(Next::Again)
    }
}
