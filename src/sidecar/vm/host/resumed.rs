//! A machine from a snapshot, which is taken where there is none yet.

use std::fs::File;

use tokio::time::{Duration, Instant};

use super::attempts::given_up;
use super::cut::{Cut, unless_cut};
use super::engine::Start;
use super::qemu::{self, Accel, Begin, Parts};
use super::session::{Ending, LIVED, Plan};
use super::snapshot::{SnapshotError, Snapshots};
use crate::domain::vm::Course;
use crate::sidecar::say;
use crate::sidecar::stops::Stops;
use crate::sidecar::vm::image::Store;
use crate::sidecar::vm::pause::GO;

/// Until the machine is there: a node with much to do takes its time.
const RESUMED_WITHIN: Duration = Duration::from_secs(60);

/// What it begins from.
enum From {
    Snapshot {
        state: File,
        /// By this run.
        made: bool,
    },
    Boot,
    /// Nothing: it is over before.
    Over(Ending),
}

impl Start<'_> {
    /// Drives a machine from a snapshot until it is over; none where it is to boot.
    pub(super) async fn resumed(
        &self,
        (parts, store): (&Parts, &Store),
        plan: &mut Plan,
        end: Instant,
        stops: &mut Stops,
    ) -> Result<Option<Ending>, SnapshotError> {
        let snapshots = Snapshots::of(parts, store)?;
        let (state, made) = match self.from(&snapshots, parts, end, stops).await? {
            From::Snapshot { state, made } => (state, made),
            From::Boot => return Ok(None),
            From::Over(ending) => return Ok(Some(ending)),
        };
        let mut machine = qemu::start(parts, self.run, Accel::Tcg, Begin::Snapshot(&state.into()))?;
        // One that does not take it is about to end.
        let _ = machine.say(GO).await;
        let ending = self.drive(&mut machine, plan, (RESUMED_WITHIN, end), stops).await;
        if machine.was_killed() {
            return Ok(Some(ending));
        }
        match given_up(ending, end <= Instant::now()) {
            Err(ending) => Ok(Some(ending)),
            Ok((why, _)) => {
                // One that another run has made may have been spoiled since; the next run makes another one.
                if made {
                    snapshots.fail()
                } else {
                    snapshots.remove()
                }
                say(&format!("its snapshot has not become a machine ({why}): it boots"));
                Ok(None)
            }
        }
    }

    async fn from(
        &self,
        snapshots: &Snapshots<'_>,
        parts: &Parts,
        end: Instant,
        stops: &mut Stops,
    ) -> Result<From, SnapshotError> {
        if snapshots.have_failed() {
            return Ok(From::Boot);
        }
        if let Some(state) = snapshots.find()? {
            return Ok(From::Snapshot { state, made: false });
        }
        let made = match unless_cut(stops, end, snapshots.make(parts, self.run)).await {
            Err(Cut::Stopped(signal)) => return Ok(From::Over(Ending::Stopped(signal))),
            Err(Cut::Over) => return Ok(From::Over(Ending::Lost(Course::Booting, LIVED.to_owned()))),
            Ok(made) => made,
        };
        match made {
            Ok(state) => Ok(From::Snapshot { state, made: true }),
            Err(SnapshotError::Killed(how)) => Ok(From::Over(Ending::Lost(Course::Booting, how))),
            Err(error) => {
                if error.is_lasting() {
                    snapshots.fail();
                }
                Err(error)
            }
        }
    }
}
