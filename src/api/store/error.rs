//! Why a store did not do what it was asked.

use std::error::Error;
use std::io;

use crate::api::meter::Fault;

/// Each is a thing that callers do differently; the cause names keys, never a credential.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The settings cannot be used.
    #[error("the store cannot be used as it is configured")]
    Settings(#[source] Box<dyn Error + Send + Sync>),
    /// It takes no more.
    #[error("the store is full")]
    Full(#[source] Box<dyn Error + Send + Sync>),
    /// It does not let us.
    #[error("the store refuses Albatros's credentials, or does not allow this")]
    Denied(#[source] Box<dyn Error + Send + Sync>),
    /// The folder, its disk or the bucket is gone.
    #[error("the store cannot be reached")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// No answer in time.
    #[error("the store does not answer in time")]
    Late,
    /// It said something that makes no sense here.
    #[error("the store has answered something strange")]
    Strange(#[source] Box<dyn Error + Send + Sync>),
    /// It does not know the operation.
    #[error("the store does not know how to do this")]
    Unknown(#[source] Box<dyn Error + Send + Sync>),
    /// A small object that is none.
    #[error("an object of {size} bytes where at most {most} were expected")]
    Large {
        /// Bytes there are.
        size: u64,
        /// Bytes there may be.
        most: u64,
    },
    /// Not there.
    #[error("the object is not there")]
    Missing,
    /// There already.
    #[error("the object is there already")]
    There,
}

impl StoreError {
    /// What that says of the store; nothing where it did its work.
    pub(super) fn fault(&self) -> Option<Fault> {
        match self {
            Self::Settings(_) => Some(Fault::Refused),
            Self::Denied(_) => Some(Fault::Denied),
            Self::Full(_) => Some(Fault::Failed),
            Self::Unavailable(_) => Some(Fault::Unreachable),
            Self::Late => Some(Fault::Timeout),
            Self::Strange(_) => Some(Fault::Broken),
            Self::Unknown(_) | Self::Large { .. } | Self::Missing | Self::There => None,
        }
    }
}

impl From<object_store::Error> for StoreError {
    fn from(error: object_store::Error) -> Self {
        use object_store::Error as Its;
        match error {
            Its::NotFound { .. } => Self::Missing,
            Its::AlreadyExists { .. } | Its::Precondition { .. } | Its::NotModified { .. } => Self::There,
            Its::NotImplemented { .. } | Its::NotSupported { .. } => Self::Unknown(Box::new(error)),
            Its::PermissionDenied { .. } | Its::Unauthenticated { .. } => Self::Denied(Box::new(error)),
            Its::InvalidPath { .. } => Self::Strange(Box::new(error)),
            error => match io_kind(&error) {
                Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge) => {
                    Self::Full(Box::new(error))
                }
                Some(io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem) => {
                    Self::Denied(Box::new(error))
                }
                _ if says(&error, "501 Not Implemented") => Self::Unknown(Box::new(error)),
                _ => Self::Unavailable(Box::new(error)),
            },
        }
    }
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Self::Denied(Box::new(error)),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full(Box::new(error)),
            _ => Self::Unavailable(Box::new(error)),
        }
    }
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

fn io_kind(error: &(dyn Error + 'static)) -> Option<io::ErrorKind> {
    chain(error).find_map(|error| error.downcast_ref::<io::Error>()).map(io::Error::kind)
}

/// The library has no variant for it.
fn says(error: &(dyn Error + 'static), words: &str) -> bool {
    chain(error).any(|error| error.to_string().contains(words))
}
