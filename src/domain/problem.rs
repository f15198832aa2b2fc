//! Refusals as JSON: problem details, RFC 9457 (<https://www.rfc-editor.org/rfc/rfc9457>).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The content type of a problem.
pub const CONTENT_TYPE: &str = "application/problem+json";
/// The type of a problem that its status says all of.
pub const BLANK: &str = "about:blank";
/// The commit is no longer on its ref.
pub const COMMIT_GONE: &str = "urn:albatros:commit-gone";
/// serve gave no answer for so long that the build is given up.
pub const NO_ANSWER: &str = "urn:albatros:no-answer";
/// The forge cannot be asked now.
pub const FORGE: &str = "urn:albatros:forge";
/// It is not decided yet: ask again.
pub const WAITING: &str = "urn:albatros:waiting";
/// The server keeps nothing: it has no store.
pub const NO_STORE: &str = "urn:albatros:no-store";

/// A refusal, for programs by its type and for people by its detail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// What kind: `about:blank`, or `urn:albatros:…` where a program is to tell it from others.
    #[serde(rename = "type", default = "blank")]
    pub kind: String,
    /// The status in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// The HTTP status.
    #[serde(default)]
    pub status: u16,
    /// A sentence for who asked.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

fn blank() -> String {
    BLANK.to_owned()
}

impl Problem {
    /// The longest sentence that is taken from another process, characters.
    const SENTENCE: usize = 500;

    /// What a refusal says: its problem, or the text that stands in its place, on one line and bounded.
    #[must_use]
    pub fn of(status: u16, body: &[u8]) -> Self {
        let mut problem = serde_json::from_slice(body).unwrap_or_else(|_none| Self {
            kind: blank(),
            title: String::new(),
            status,
            detail: String::from_utf8_lossy(body).into_owned(),
        });
        problem.status = status;
        if problem.detail.is_empty() {
            problem.detail = if problem.title.is_empty() { format!("status {status}") } else { problem.title.clone() };
        }
        let line = problem.detail.split_whitespace().collect::<Vec<_>>().join(" ");
        problem.detail = line.chars().filter(|c| !c.is_control()).take(Self::SENTENCE).collect();
        problem
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_read_and_text_in_its_place_too() {
        let read = Problem::of(422, br#"{"type":"urn:albatros:commit-gone","detail":"gone\nfor good"}"#);
        assert_eq!((read.kind.as_str(), read.status, read.detail.as_str()), (COMMIT_GONE, 422, "gone for good"));
        let read = Problem::of(502, b"<h1>bad\ngateway");
        assert_eq!((read.kind.as_str(), read.detail.as_str()), (BLANK, "<h1>bad gateway"));
        assert_eq!(Problem::of(500, b"").detail, "status 500");
        assert!(Problem::of(500, &[b'x'; 100_000]).detail.len() <= Problem::SENTENCE);
    }
}
