//! A Nomad job file (HCL), read without Nomad: which line says what, and the job itself as far as it can be told.
//!
//! ```text
//! text ─▶ source (variables, locals) ─▶ expand (blocks, `dynamic` ones too) ─▶ table (Nomad's JSON, lines, doubts)
//!                 eval, functions ──────────▲
//! ```
//!
//! Nomad's own reading counts where it can be had (`POST /v1/jobs/parse`). What cannot be known here, because a variable
//! has no value or a function is not worked out, is a [`Doubt`], never a guess.

mod eval;
mod expand;
mod functions;
mod line;
mod source;
mod table;
mod variable;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde_json::Value;

pub use source::JobFile;
pub use variable::{Given, GivenError};

/// The largest job file that is read: the longest of ours has 20 KiB.
pub const LARGEST: usize = 1 << 20;

/// What a job file says, as far as it can be told without Nomad.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sketch {
    /// The job as Nomad's JSON has it: only what checks look at. None where the file has no job.
    pub job: Option<Value>,
    /// By place (`group runner/task executor/config/privileged`): its line.
    pub lines: BTreeMap<String, u32>,
    /// What is not known.
    pub doubts: Vec<Doubt>,
}

/// A place whose value cannot be known here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    /// The place.
    pub place: String,
    /// Its line.
    pub line: u32,
    /// Why.
    pub why: String,
}

/// Why a text is no job file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JobFileError {
    /// Larger than [`LARGEST`].
    #[error("it is larger than 1 MiB, which no job is")]
    TooLarge,
    /// It is no HCL.
    #[error("{why}")]
    Syntax {
        /// Where, from 1.
        line: u32,
        /// What was expected.
        why: String,
    },
}

impl Sketch {
    /// The line of a place, or of the nearest thing around it.
    #[must_use]
    pub fn line(&self, place: &str) -> Option<u32> {
        let mut place = place;
        loop {
            if let Some(line) = self.lines.get(place) {
                return Some(*line);
            }
            match place.rsplit_once('/') {
                Some((around, _)) => place = around,
                None => return self.lines.get("").copied(),
            }
        }
    }

    /// Whether what is said of a place rests on something that is not known.
    #[must_use]
    pub fn doubts(&self, place: &str) -> bool {
        self.doubts.iter().any(|doubt| {
            let within = place.strip_prefix(doubt.place.as_str());
            within.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }
}
