//! Some lines of a log, for a page.

use crate::dispatcher::SharedApp;
use crate::dispatcher::answer::Problem;
use crate::dispatcher::known::Known;
use crate::domain::ansi::Line;
use crate::engine::LogStream;

/// Which lines of which log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WindowAsk {
    /// One of the tasks whose logs may be read.
    pub(super) task: &'static str,
    /// Which stream.
    pub(super) stream: LogStream,
    /// Both streams in order of time.
    pub(super) both: bool,
    /// With the time of each line.
    pub(super) times: bool,
    /// The number of the first line; none for the end of the log.
    pub(super) from: Option<u64>,
    /// The most lines.
    pub(super) count: usize,
}

impl WindowAsk {
    /// The last lines of what the script has printed.
    pub(crate) fn tail(count: usize) -> Self {
        Self { task: "executor", stream: LogStream::Stdout, both: false, times: false, from: None, count }
    }

    /// The last lines of what went before the script.
    pub(crate) fn preparation(count: usize) -> Self {
        Self { task: "prepare", ..Self::tail(count) }
    }
}

/// Some lines of a log, and where they are in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LogWindow {
    /// The lines, in order.
    pub(crate) lines: Vec<Line>,
    /// The number of the first.
    pub(crate) first: u64,
    /// The number of the line behind the last: where a follower goes on.
    pub(crate) next: u64,
    /// How many lines the log has, once that is known.
    pub(crate) total: Option<u64>,
    /// More may come.
    pub(crate) is_open: bool,
    /// Why there is nothing, or not all of it.
    pub(crate) note: Option<String>,
}

/// The lines that are asked for, as far as they are there within about a second.
pub(crate) async fn window(_app: &SharedApp, _known: &Known, _ask: &WindowAsk) -> Result<LogWindow, Problem> {
    Ok(LogWindow { first: 1, next: 1, is_open: true, ..LogWindow::default() })
}
