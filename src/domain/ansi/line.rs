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
    /// `out` or `err`, where a log is of both.
    pub source: Option<&'static str>,
    /// It goes on from the line before: the log has no line end between them.
    pub continued: bool,
    /// The text.
    pub spans: Vec<Span>,
}

/// What a span costs beside its text: its element on a page.
const SPAN: usize = 32;
/// What a line costs beside its spans.
const LINE: usize = 64;

impl Line {
    /// About how many bytes it is on a page.
    #[must_use]
    pub fn cost(&self) -> usize {
        LINE + self.spans.iter().map(|span| SPAN + span.text.len()).sum::<usize>()
    }

    /// The text without its styles.
    #[must_use]
    pub fn text(&self) -> String {
        self.spans.iter().map(|span| span.text.as_str()).collect()
    }
}
