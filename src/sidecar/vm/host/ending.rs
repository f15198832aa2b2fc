//! What becomes of a machine for its build: the controller is told before the machine is started that its end will be told,
//! and then that end.

use super::{VmError, key};
use crate::domain::report::{TEXT_LIMIT, clipped};
use crate::domain::runner::NOT_KEPT;
use crate::domain::secret::Secret;
use crate::domain::vm::End;
use crate::sidecar::exec::{Group, GroupError, patiently};
use crate::sidecar::stops::Stops;
use crate::sidecar::{reasons, say};

/// A build whose controller waits for its end; or one without a controller.
pub(super) struct Told(Option<(Group, Secret)>);

impl Told {
    /// Tells that the build runs in a machine.
    pub(super) async fn begin(group: Option<Group>) -> Result<Self, VmError> {
        let Some(group) = group else { return Ok(Self(None)) };
        let key = key()?;
        patiently(GroupError::Machine, || group.controller().machine_runs(&key)).await?;
        Ok(Self(Some((group, key))))
    }

    /// The group around the script.
    pub(super) fn group(&self) -> Option<&Group> {
        self.0.as_ref().map(|(group, _)| group)
    }

    /// The same, to be asked more.
    pub(super) fn group_mut(&mut self) -> Option<&mut Group> {
        self.0.as_mut().map(|(group, _)| group)
    }

    /// The script has ended in it: the exit code, when all that was to be kept is kept.
    pub(super) async fn ended(self, end: End, trouble: Option<String>, stops: &mut Stops) -> u8 {
        if let Some(trouble) = &trouble {
            say(trouble);
        }
        if end.oom {
            say("the machine's memory was too small: its kernel has ended a process of the script");
        }
        let code = match (&trouble, end.code) {
            (Some(_), 0) => NOT_KEPT,
            (_, code) => code,
        };
        let Some((group, key)) = self.0 else { return code };
        let trouble = trouble.as_deref().map(|text| clipped(text, TEXT_LIMIT));
        group.finish_machine(code, (&key, trouble), stops).await
    }

    /// The machine has ended before the script.
    pub(super) async fn failed(self, why: &str) {
        let Some((group, key)) = self.0 else { return };
        if let Err(error) = group.controller().machine_failed(&key, clipped(why, TEXT_LIMIT)).await {
            say(&format!("the build's controller could not be told: {}", reasons(&error)));
        }
    }
}
