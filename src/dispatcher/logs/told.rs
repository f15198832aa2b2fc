//! Lines as server-sent events ([HTML, 9.2](https://html.spec.whatwg.org/multipage/server-sent-events.html)).

use bytes::Bytes;
use serde::Serialize;

use super::lines::Piece;
use super::spool::Ending;
use crate::domain::ansi::Line;

/// What a reader is told first: how soon to come again.
pub(super) const RETRY: &[u8] = b"retry: 2000\n\n";
/// A comment, so that nothing between takes the connection for dead.
pub(super) const ALIVE: &[u8] = b": \n\n";
/// Stands behind the number in the id of the last event.
pub(super) const END: &str = " end";

/// `data` of `lines` and of `part`.
#[derive(Debug, Serialize)]
struct Lines<'a> {
    first: u64,
    lines: Vec<LineData<'a>>,
}

#[derive(Debug, Serialize)]
struct LineData<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    more: bool,
    text: Vec<(&'a str, &'a str)>,
}

impl<'a> LineData<'a> {
    fn of(line: &'a Line) -> Self {
        let text = line.spans.iter().map(|span| (span.classes.as_str(), span.text.as_str())).collect();
        Self { time: line.time.as_deref(), source: line.source, more: line.continued, text }
    }
}

/// `data` of `end`.
#[derive(Debug, Serialize)]
struct End<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
    sentence: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a str>,
}

/// `data` of `wait`.
#[derive(Debug, Serialize)]
struct Wait<'a> {
    sentence: &'a str,
}

/// Lines that follow each other; none of none.
pub(super) fn lines(lines: &[Line]) -> Option<Piece> {
    let (first, next) = (lines.first()?.number, lines.last()?.number + 1);
    let data = Lines { first, lines: lines.iter().map(LineData::of).collect() };
    Some(Piece { first, next, event: event(Some(&next.to_string()), "lines", &data) })
}

/// The line that has not ended. Without an id: who comes again is told of it again.
pub(super) fn part(line: &Line) -> Bytes {
    event(None, "part", &Lines { first: line.number, lines: vec![LineData::of(line)] })
}

/// Why nothing comes.
pub(super) fn wait(sentence: &str) -> Bytes {
    event(None, "wait", &Wait { sentence })
}

/// How it ended, behind the line before `next`.
pub(super) fn end(next: u64, ending: &Ending, note: Option<&str>) -> Bytes {
    let outcome = ending.outcome.as_ref().map(crate::domain::outcome::Outcome::word);
    event(Some(&format!("{next}{END}")), "end", &End { outcome, sentence: &ending.sentence, note })
}

fn event(id: Option<&str>, name: &str, data: &impl Serialize) -> Bytes {
    // A value of ours can always be written, and has no line end in it.
    let data = serde_json::to_string(data).unwrap_or_default();
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    Bytes::from(format!("{id}event: {name}\ndata: {data}\n\n"))
}
