//! A line of a log: text in pieces of one style each. Text is never HTML: whoever writes a page escapes it.

/// Text of one style.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Names of classes of ours with a space between, or nothing.
    pub classes: String,
    /// What stands there; no control character but a tab.
    pub text: String,
}

/// A line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Counted from 1.
    pub number: u64,
    /// When it came, `12:00:01.500` in UTC, where that is known.
    pub time: Option<String>,
    /// It goes on from the line before: the log has no line end between them.
    pub continued: bool,
    /// The text.
    pub spans: Vec<Span>,
}
