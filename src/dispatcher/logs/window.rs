//! Some lines of a log, for a page.

use std::time::Duration;

use tokio::time::Instant;

use super::ask::{Ask, LinesAsk};
use super::hub::LogKey;
use super::lines::Wanted;
use super::spool::{Progress, Seat, Stage};
use super::tail;
use crate::dispatcher::SharedApp;
use crate::dispatcher::answer::Problem;
use crate::dispatcher::known::{Known, Tracked};
use crate::domain::ansi::Line;
use crate::domain::record::Phase;
use crate::engine::LogStream;

/// How long a log's own page waits: all of a large log that has ended has to come from its node first.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a page waits that shows more than the log.
const BESIDE: Duration = Duration::from_millis(1_200);
/// The most of it for the first word, and as much for an end without a word.
const FIRST_SIGN: Duration = Duration::from_secs(1);
/// What of a running log comes within so short a time belongs to the page; what comes later is followed.
const QUIET: Duration = Duration::from_millis(60);
/// How long a running log may go on coming before it is shown as far as it is.
const SETTLED_WITHIN: Duration = Duration::from_secs(1);
/// What has come is converted for at least so long.
const CONVERTED_WITHIN: Duration = Duration::from_millis(500);
/// The most lines of a page.
pub(super) const LINES_MOST: usize = 5000;
/// About the most bytes of a page.
const COST_MOST: usize = 2 * 1024 * 1024;

/// Which lines of which log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WindowAsk {
    task: &'static str,
    stream: LogStream,
    both: bool,
    times: bool,
    /// The number of the first line; none for the end of the log.
    from: Option<u64>,
    count: usize,
    is_aside: bool,
    patience: Duration,
}

impl WindowAsk {
    /// The last lines of what the script has printed.
    pub(crate) fn tail(count: usize) -> Self {
        let count = count.min(LINES_MOST);
        Self {
            task: "executor",
            stream: LogStream::Stdout,
            both: false,
            times: false,
            from: None,
            count,
            is_aside: false,
            patience: BESIDE,
        }
    }

    /// The last lines of how the build was prepared, for one that failed there; beside another log, so without anchors.
    pub(crate) fn preparation(count: usize) -> Self {
        Self { task: "prepare", stream: LogStream::Stderr, is_aside: true, ..Self::tail(count) }
    }

    pub(super) fn of(ask: &Ask, lines: LinesAsk, count: usize) -> Self {
        let Ask { task, stream, both, times, .. } = *ask;
        let (from, count) = (lines.from, count.min(LINES_MOST));
        Self { task, stream, both, times, from, count, is_aside: false, patience: PATIENCE }
    }

    fn key(&self, known: &Known) -> LogKey {
        let Self { task, stream, both, times, .. } = *self;
        LogKey { build: known.build.clone(), task, stream, both, times }
    }
}

/// Some lines of a log, and where they are in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LogWindow {
    /// The lines, in order. The last may be one that has not ended.
    pub(crate) lines: Vec<Line>,
    /// The number of the first.
    pub(crate) first: u64,
    /// The number of the line behind the last that has ended: where a follower goes on.
    pub(crate) next: u64,
    /// The number of the line behind the last that has come of the whole log.
    pub(crate) reach: u64,
    /// How many lines the log has, once that is known.
    pub(crate) total: Option<u64>,
    /// More may come.
    pub(crate) is_open: bool,
    /// Why there is nothing, or not all of it.
    pub(crate) note: Option<String>,
    /// How the build ended, in words.
    pub(crate) end: Option<String>,
    /// It stands beside another log, and its lines have no anchors.
    pub(crate) is_aside: bool,
}

impl LogWindow {
    /// No line, and why.
    pub(crate) fn nothing(why: impl Into<String>) -> Self {
        Self { first: 1, next: 1, reach: 1, note: Some(why.into()), ..Self::default() }
    }

    /// No line now, and why: as long as the build is not over, its log is followed from the first line on.
    pub(crate) fn not_now(known: &Known, why: impl Into<String>) -> Self {
        Self { is_open: !is_over(known), ..Self::nothing(why) }
    }
}

/// The lines that are asked for, as far as they are there: within about a second of a running build.
pub(crate) async fn window(app: &SharedApp, known: &Known, ask: &WindowAsk) -> Result<LogWindow, Problem> {
    tail::has_task(app, &known.build, ask.task).await?;
    let key = ask.key(known);
    let until = Instant::now() + ask.patience;
    let seat = tail::seat(app, known, &key, FIRST_SIGN.min(ask.patience / 3)).await?;
    let now = come(&seat, known, until).await;
    let until = until.max(Instant::now() + CONVERTED_WITHIN);
    read(&seat, &key, (&now, until), ask).await.map_err(|error| {
        tracing::error!(%error, "a spooled log could not be read");
        Problem::unavailable("the log cannot be read now: the disk that it is spooled on does not give it; try again")
    })
}

/// What there is now; of a build that is over, all of it if it comes soon enough.
async fn come(seat: &Seat, known: &Known, until: Instant) -> Progress {
    let left = || until.saturating_duration_since(Instant::now());
    if !is_over(known) {
        return tail::settled(seat, QUIET, SETTLED_WITHIN.min(left())).await;
    }
    let mut progress = seat.watch();
    tail::wait(&mut progress, left(), |now| matches!(now.stage, Stage::Ended(_) | Stage::Failed(_))).await;
    progress.borrow().clone()
}

fn is_over(known: &Known) -> bool {
    match &known.tracked {
        Tracked::Done(_) => true,
        Tracked::Open(stored) => matches!(stored.value.phase, Phase::Ended { .. }),
        Tracked::Not => false,
    }
}

async fn read(
    seat: &Seat,
    key: &LogKey,
    (now, until): (&Progress, Instant),
    ask: &WindowAsk,
) -> std::io::Result<LogWindow> {
    let index = seat.lines(key.layout());
    let reach = index.grow(seat, now, until).await?;
    let at_most = reach.next;
    let wanted = |from| Wanted { from, before: at_most, count: ask.count, cost: COST_MOST };
    let mut lines = match ask.from {
        Some(from) => index.from(seat, wanted(from.clamp(1, at_most))).await?,
        None => index.last(seat, wanted(at_most.saturating_sub(ask.count as u64).max(1))).await?,
    };
    let first = lines.first().map_or_else(|| ask.from.unwrap_or(at_most).clamp(1, at_most), |line| line.number);
    let next = lines.last().map_or(first, |line| line.number + 1);
    if next == reach.next && reach.is_caught_up && !reach.is_all {
        lines.extend(index.unfinished(next).await);
    }
    Ok(LogWindow {
        first,
        next,
        reach: reach.next,
        total: reach.is_all.then(|| reach.next - 1),
        is_open: !reach.is_caught_up || !now.stage.is_final(),
        note: note(now, lines.is_empty()),
        end: match &now.stage {
            Stage::Ended(ending) if reach.is_all => Some(ending.sentence.clone()),
            Stage::Ended(_) | Stage::Open | Stage::Sealed | Stage::Failed(_) => None,
        },
        is_aside: ask.is_aside,
        lines,
    })
}

fn note(now: &Progress, is_empty: bool) -> Option<String> {
    let told = now.notice.as_ref().or(now.waiting.as_ref()).map(ToString::to_string);
    match &now.stage {
        Stage::Failed(error) => Some(error.to_string()),
        Stage::Ended(_) | Stage::Sealed => told.or_else(|| is_empty.then(|| "nothing was printed here".to_owned())),
        Stage::Open => told.or_else(|| is_empty.then(|| "nothing has been printed here yet".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::LogWindow;
    use crate::dispatcher::known::{Known, Tracked};

    #[test]
    fn a_running_build_whose_log_cannot_be_read_now_is_followed_all_the_same() {
        let build = "builder/dispatch-1766000000-0123abcd".parse().unwrap();
        let known = Known { build, claim: None, tracked: Tracked::Not, repo: None, private: true, kept: None };
        let log = LogWindow::not_now(&known, "busy");
        assert_eq!((log.is_open, log.next, log.note.as_deref()), (true, 1, Some("busy")));
        assert!(!LogWindow::nothing("expired").is_open);
    }
}
