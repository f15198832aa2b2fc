//! What a builder (a parameterized Nomad job) takes, read from `GET /v1/job/<name>`.

/// Whether a builder takes a payload; Nomad's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PayloadMode {
    /// May be given.
    #[default]
    Optional,
    /// Must be given.
    Required,
    /// Must not be given.
    Forbidden,
}

/// The part of a builder that planning a dispatch needs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BuilderShape {
    /// `ParameterizedJob.MetaRequired`.
    pub meta_required: Vec<String>,
    /// `ParameterizedJob.MetaOptional`.
    pub meta_optional: Vec<String>,
    /// `ParameterizedJob.Payload`.
    pub payload: PayloadMode,
    /// Group `runner` has a task `controller` with an identity `albatros`: secrets go through the exchange, never as payload.
    pub has_controller: bool,
    /// The job's `JobModifyIndex`.
    pub modify_index: u64,
}
