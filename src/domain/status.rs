//! Commit statuses: what the forge is told of a build.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The words both Gitea and GitHub know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Not over.
    Pending,
    /// Green.
    Success,
    /// The build's own doing.
    Failure,
    /// Not the build's doing.
    Error,
}

/// One status: state and sentence. Context and link follow from the record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The word.
    pub state: State,
    /// One line for people, at most 140 characters.
    pub description: String,
    /// Whether it is the last one.
    #[serde(rename = "final")]
    pub last: bool,
}

/// What was intended and what arrived, in that order: after the final intent nothing else is posted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posted {
    /// Written before the post is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intended: Option<Status>,
    /// The last that the forge confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed: Option<Status>,
    /// When it was given up, and why; the build itself is not touched by that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_up: Option<GivenUp>,
}

/// A status that the forge refused for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenUp {
    /// When.
    pub at: Timestamp,
    /// The sentence, without anything secret.
    pub why: String,
}
