//! What a request for a log asks for: the words of its query, and its `Range`.

use axum::http::HeaderMap;
use axum::http::header::{IF_RANGE, RANGE};
use serde::Deserialize;
use utoipa::IntoParams;

use super::hub::LogKey;
use crate::dispatcher::answer::Problem;
use crate::domain::id::BuildId;
use crate::domain::secret::Secret;
use crate::engine::LogStream;

/// The query as it was typed. `token` is read elsewhere, and `key` too; here it only is for links to stay with.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
pub(crate) struct LogQuery {
    /// The build's id, where it is not part of the address.
    pub(super) job: Option<String>,
    /// `stdout`, `stderr` or `both`, in order of time; `stdout`.
    log: Option<String>,
    /// `executor`; of builders with a controller also `prepare` and `sidecar`.
    task: Option<String>,
    /// `1`: without Albatros's own last line.
    raw: Option<String>,
    /// `false`: what there is now, and not until the build has ended.
    follow: Option<String>,
    /// `1`: each line behind the time at which it came.
    times: Option<String>,
    #[param(ignore)]
    pub(super) key: Option<Secret>,
    /// The number of the first line, of a page or of events.
    from: Option<String>,
    /// `1`: events of who falls far behind go on near the end.
    skip: Option<String>,
}

/// Lines of a log in place of its bytes: for pages and events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct LinesAsk {
    /// The number of the first.
    pub(super) from: Option<u64>,
    /// Who falls far behind goes on near the end.
    pub(super) skip: bool,
}

impl LinesAsk {
    pub(super) fn of(query: &LogQuery) -> Result<Self, Problem> {
        let from = query.from.as_deref().filter(|from| !from.is_empty());
        let from = from.map(|from| number(from).ok_or_else(|| Problem::bad_request("from must be a line's number")));
        Ok(Self { from: from.transpose()?, skip: word("skip", query.skip.as_deref(), false)? })
    }
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ask {
    /// One of [`TASKS`].
    pub(super) task: &'static str,
    /// Standard output unless `log=stderr`.
    pub(super) stream: LogStream,
    /// Both streams in order of time.
    pub(super) both: bool,
    /// Without what Albatros says itself, but for what is missing.
    pub(super) raw: bool,
    /// Until the build has ended, not only what there is now.
    pub(super) follow: bool,
    /// Each line behind the time at which it came, by the archive.
    pub(super) times: bool,
    /// Bytes of the log, in place of all of it.
    pub(super) range: Option<ByteRange>,
}

/// The tasks whose logs hold nothing secret; all but the first only of builders with a controller.
pub(super) const TASKS: [&str; 3] = ["executor", "prepare", "sidecar"];

impl Ask {
    pub(super) fn of(query: &LogQuery, headers: &HeaderMap) -> Result<Self, Problem> {
        let stream = match query.log.as_deref() {
            None | Some("stdout" | "both") => LogStream::Stdout,
            Some("stderr") => LogStream::Stderr,
            Some(_) => return Err(Problem::bad_request("log must be stdout, stderr or both")),
        };
        let task = query.task.as_deref().unwrap_or("executor");
        let task = TASKS.into_iter().find(|known| *known == task).ok_or_else(Problem::not_found)?;
        let raw = word("raw", query.raw.as_deref(), false)?;
        let follow = word("follow", query.follow.as_deref(), true)?;
        let times = word("times", query.times.as_deref(), false)?;
        let both = query.log.as_deref() == Some("both");
        if (times || both) && TASKS.first() != Some(&task) {
            return Err(Problem::bad_request("times are known of the executor's log alone"));
        }
        Ok(Self { task, stream, both, raw, follow, times, range: ByteRange::of(headers) })
    }

    /// Which log of a build that is.
    pub(super) fn key(&self, build: &BuildId) -> LogKey {
        let Self { task, stream, both, times, .. } = *self;
        LogKey { build: build.clone(), task, stream, both, times }
    }
}

fn word(name: &str, value: Option<&str>, absent: bool) -> Result<bool, Problem> {
    match value {
        None => Ok(absent),
        Some("1" | "true" | "yes" | "") => Ok(true),
        Some("0" | "false" | "no") => Ok(false),
        Some(_) => Err(Problem::bad_request(format!("{name} must be 1 or 0, true or false"))),
    }
}

/// One range of `Range: bytes=…` ([RFC 9110, 14.1.2](https://www.rfc-editor.org/rfc/rfc9110#section-14.1.2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ByteRange {
    /// From the first to the last, which is part of it, or to the end.
    From(u64, Option<u64>),
    /// So many from the end.
    Last(u64),
}

impl ByteRange {
    /// None for what the standard lets a server pass over: another unit, several ranges, nonsense, and `If-Range`, as we
    /// give no validators.
    fn of(headers: &HeaderMap) -> Option<Self> {
        if headers.contains_key(IF_RANGE) {
            return None;
        }
        Self::parse(headers.get(RANGE)?.to_str().ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        let (unit, range) = text.trim().split_once('=')?;
        let (first, last) = range.trim().split_once('-')?;
        if !unit.eq_ignore_ascii_case("bytes") {
            return None;
        }
        let last = if last.is_empty() { None } else { Some(number(last)?) };
        if first.is_empty() {
            return last.map(Self::Last);
        }
        let first = number(first)?;
        if last.is_some_and(|last| last < first) {
            return None;
        }
        Some(Self::From(first, last))
    }

    /// The first byte and the one behind the last, of `len` bytes; none when there is no such byte.
    pub(super) fn within(self, len: u64) -> Option<(u64, u64)> {
        let (from, to) = match self {
            Self::From(first, last) => (first, last.map_or(len, |last| last.saturating_add(1).min(len))),
            Self::Last(count) => (len.saturating_sub(count), len),
        };
        (from < to).then_some((from, to))
    }
}

fn number(text: &str) -> Option<u64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn query(text: &str) -> LogQuery {
        let uri = format!("http://localhost/build?{text}").parse().unwrap();
        axum::extract::Query::try_from_uri(&uri).unwrap().0
    }

    fn ask(text: &str) -> Result<Ask, Problem> {
        Ask::of(&query(text), &HeaderMap::new())
    }

    #[test]
    fn without_a_word_it_is_standard_output_of_the_script_to_its_end() {
        let stream = LogStream::Stdout;
        let usual = Ask { task: "executor", stream, both: false, raw: false, follow: true, times: false, range: None };
        assert_eq!(ask("job=x"), Ok(usual));
        assert_eq!(ask("log=stderr").unwrap().stream, LogStream::Stderr);
        assert!(!ask("follow=false").unwrap().follow);
        assert!(ask("raw=1").unwrap().raw);
    }

    #[test]
    fn other_tasks_do_not_exist_and_other_words_are_refused() {
        for text in ["task=controller", "task=", "task=..", "task=Executor"] {
            assert_eq!(ask(text), Err(Problem::not_found()), "{text}");
        }
        assert!(ask("times=1").unwrap().times);
        assert!(ask("log=both").unwrap().both);
        for text in ["times=1&task=prepare", "log=both&task=prepare", "log=", "log=all", "raw=2", "follow=maybe"] {
            assert_eq!(ask(text).unwrap_err().status, axum::http::StatusCode::BAD_REQUEST, "{text}");
        }
    }

    #[test]
    fn lines_are_asked_for_by_number() {
        let lines = |text| LinesAsk::of(&query(text));
        assert_eq!(lines("from="), Ok(LinesAsk { from: None, skip: false }));
        assert_eq!(lines("from=12&skip=1"), Ok(LinesAsk { from: Some(12), skip: true }));
        for text in ["from=-1", "from=x", "from=1.5", "skip=maybe"] {
            assert_eq!(lines(text).unwrap_err().status, axum::http::StatusCode::BAD_REQUEST, "{text}");
        }
    }

    #[test]
    fn ranges_are_read_as_the_standard_says() {
        for (text, within_ten) in [
            ("bytes=0-0", Some((0, 1))),
            ("bytes=2-4", Some((2, 5))),
            ("bytes=2-", Some((2, 10))),
            ("bytes=2-99999", Some((2, 10))),
            ("bytes=-3", Some((7, 10))),
            ("bytes=-99", Some((0, 10))),
            ("bytes=-0", None),
            ("bytes=10-", None),
            ("bytes=0-18446744073709551615", Some((0, 10))),
        ] {
            assert_eq!(ByteRange::parse(text).map(|range| range.within(10)), Some(within_ten), "{text}");
        }
        for text in ["bytes=4-2", "bytes=", "bytes=-", "bytes=0-1,3-4", "lines=1-2", "bytes=+1-2", "bytes=a-"] {
            assert_eq!(ByteRange::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_range_never_leaves_the_log(text in "bytes=[0-9]{0,4}-[0-9]{0,4}", len in 0..2_000_u64) {
            if let Some((from, to)) = ByteRange::parse(&text).and_then(|range| range.within(len)) {
                prop_assert!(from < to && to <= len);
            }
        }
    }
}
