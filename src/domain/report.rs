//! What a script says of itself beside its exit code: a summary in Markdown, and the results of tests.

use serde::{Deserialize, Serialize};

/// The longest summary, bytes.
pub const SUMMARY_LIMIT: usize = 32 * 1024;
/// Failed tests that are named; more are only counted.
pub const NAMED_FAILURES: usize = 50;
/// The longest name or message of a test, bytes.
pub const TEXT_LIMIT: usize = 300;

/// The longest report as JSON, bytes; serve refuses a longer one.
pub const REPORT_LIMIT: usize = 64 * 1024;

/// The beginning of a text: at most so many bytes, and no character cut in two.
#[must_use]
pub fn clipped(text: &str, most: usize) -> &str {
    let ends = text.char_indices().map(|(at, c)| at + c.len_utf8());
    let end = ends.take_while(|end| *end <= most).last().unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

/// A build's report, as its controller sends it to serve: whole, and again after each change.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Markdown; untrusted text, at most [`SUMMARY_LIMIT`].
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub summary: String,
    /// Test results; none where no tests were reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tests: Option<Tests>,
}

/// Results of tests, over all files that were reported.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Tests {
    /// How many.
    #[serde(flatten)]
    pub counts: TestCounts,
    /// The first failed ones, at most [`NAMED_FAILURES`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<FailedTest>,
}

/// How many tests there were; the record of a build keeps these.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestCounts {
    /// All of them.
    pub total: u64,
    /// Failed, or ended in an error.
    pub failed: u64,
    /// Not run.
    pub skipped: u64,
}

/// A failed test; all of it is the script's text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FailedTest {
    /// `classname` and `name`.
    pub name: String,
    /// The first line of its message.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}
