//! Why Nomad gave no usable answer.

use reqwest::StatusCode;

use super::super::http::HttpError;
use super::frames::FrameError;

/// Why Nomad gave no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum NomadError {
    /// It could not be asked, or its answer could not be read.
    #[error("could not {what}")]
    Http {
        /// What was attempted.
        what: &'static str,
        /// The cause.
        #[source]
        source: HttpError,
    },
    /// A stream did not begin in time.
    #[error("could not {what}: no answer in time")]
    Slow {
        /// What was attempted.
        what: &'static str,
    },
    /// It said no, in its own words.
    #[error("could not {what}: Nomad says {status}: {words}")]
    Status {
        /// What was attempted.
        what: &'static str,
        /// The status.
        status: StatusCode,
        /// The words, shortened.
        words: String,
    },
    /// A stream broke off, or holds something else than it should.
    #[error("a stream of Nomad's broke off")]
    Broken(#[source] FrameError),
}

impl NomadError {
    /// There is no such thing.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Status { status: StatusCode::NOT_FOUND, .. })
    }

    /// A right is missing, or the agent has just started and does not know any token yet. An agent that has to ask
    /// another one says 500.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        match self {
            Self::Status { status, words, .. } => {
                *status == StatusCode::FORBIDDEN
                    || (*status == StatusCode::INTERNAL_SERVER_ERROR && words.ends_with("Permission denied"))
            }
            Self::Http { .. } | Self::Slow { .. } | Self::Broken(_) => false,
        }
    }

    /// Nomad's own words; empty where it said nothing.
    #[must_use]
    pub fn words(&self) -> &str {
        match self {
            Self::Status { words, .. } => words,
            Self::Http { .. } | Self::Slow { .. } | Self::Broken(_) => "",
        }
    }
}
