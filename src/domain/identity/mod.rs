//! Who a token says that its bearer is, and whether that is the controller of a record's own build.

mod keys;
#[cfg(test)]
mod tests;

use super::nomad::{Allocation, Job};
use super::outcome::GROUP;
use super::record::Record;
use super::runner::{CONTROLLER, IDENTITY};

pub use keys::{IdentityError, Keys};

/// The claims of a workload identity whose signature, audience and times were checked; [`Keys::verify`] is the one way
/// to make it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    subject: String,
    namespace: String,
    job: String,
    allocation: String,
    task: String,
}

/// Why an identity, though it is a real one, is not that of a record's build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Stranger {
    /// Another task, group, builder, namespace or region.
    #[error("the identity is not of task `controller` of the change's builder")]
    Subject,
    /// Its own claims do not agree with each other.
    #[error("the identity's claims contradict its subject")]
    Contradiction,
    /// The record has another child, or none.
    #[error("the change is built by another child")]
    Claim,
    /// There is no such allocation, or it is one of another job, group or namespace.
    #[error("the allocation is not one of the change's child")]
    Allocation,
    /// It has ended, or is told to.
    #[error("the allocation has ended, or is being stopped")]
    Over,
    /// The child was not dispatched from the change's builder.
    #[error("the child was not dispatched from the change's builder")]
    Child,
}

impl Identity {
    /// The allocation that it was made for.
    #[must_use]
    pub fn allocation(&self) -> &str {
        &self.allocation
    }

    /// `region:namespace:parent:group:task:name`, for the log.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Whether it is the identity of the controller in the builder that the record plans for.
    ///
    /// # Errors
    /// [`Stranger::Subject`], [`Stranger::Contradiction`].
    pub fn is_of_builder(&self, record: &Record, region: &str) -> Result<(), Stranger> {
        let (namespace, builder) = (&record.namespace, record.builder.as_str());
        if self.subject != format!("{region}:{namespace}:{builder}:{GROUP}:{CONTROLLER}:{IDENTITY}") {
            return Err(Stranger::Subject);
        }
        let agrees = self.namespace == *namespace && self.job == builder && self.task == CONTROLLER;
        if agrees { Ok(()) } else { Err(Stranger::Contradiction) }
    }

    /// Whether it is the identity of the very child that the record names, by its allocation and the child's job as
    /// Nomad knows them now.
    ///
    /// # Errors
    /// [`Stranger::Claim`], [`Stranger::Allocation`], [`Stranger::Over`], [`Stranger::Child`].
    pub fn is_of_build(&self, record: &Record, allocation: &Allocation, child: &Job) -> Result<(), Stranger> {
        let Some(build) = &record.build else { return Err(Stranger::Claim) };
        if allocation.id != self.allocation
            || allocation.namespace != record.namespace
            || allocation.task_group != GROUP
        {
            return Err(Stranger::Allocation);
        }
        if allocation.job_id != build.as_str() {
            return Err(Stranger::Claim);
        }
        let alive = matches!(allocation.client_status.as_str(), "pending" | "running");
        if !alive || allocation.desired_status != "run" || child.stop {
            return Err(Stranger::Over);
        }
        let is_child = child.id == build.as_str()
            && child.namespace == record.namespace
            && child.dispatched
            && child.parent_id == record.builder.as_str();
        if is_child { Ok(()) } else { Err(Stranger::Child) }
    }
}
