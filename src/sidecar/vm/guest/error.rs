//! Why a machine's init could not go on.

use std::io;
use std::time::Duration;

use crate::sidecar::pack::PackError;
use crate::sidecar::vm::link::LinkError;

/// Why a machine's init could not go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum GuestError {
    #[error("{doing} failed in the machine")]
    System {
        doing: String,
        #[source]
        source: io::Error,
    },
    #[error("the machine has no {what} within {} s", within.as_secs())]
    Missing { what: &'static str, within: Duration },
    #[error("{what} took longer than {} s in the machine", within.as_secs())]
    Late { what: &'static str, within: Duration },
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error("{0} is not what a machine can be told")]
    Setup(&'static str),
    #[error("the folder {0} could not be brought into the machine")]
    In(String, #[source] PackError),
    #[error("the network could not be set up in the machine ({doing})")]
    Network {
        doing: &'static str,
        #[source]
        source: rtnetlink::Error,
    },
    #[error("the process that ran the script was ended by signal {0}")]
    Killed(i32),
}

/// What was tried when the system said no.
pub(super) fn doing<E: Into<io::Error>>(what: impl Into<String>) -> impl FnOnce(E) -> GuestError {
    move |error| GuestError::System { doing: what.into(), source: error.into() }
}
