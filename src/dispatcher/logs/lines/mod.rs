//! The lines of a spooled log: where they are in it, and the newest of them, ready to be sent.
//!
//! Bytes are converted when a browser asks, once for all of them. Marks are kept so far apart that a window anywhere in
//! the log is found without reading what is before it.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;

use bytes::Bytes;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::spool::{Progress, Spool, Stage};
use super::told;
use crate::domain::ansi::{Converter, Layout, Line, Mark};

/// Between two marks at first, bytes; twice that with each thinning.
const APART: u64 = 64 * 1024;
/// The most marks of one log: 128 KiB.
const MARKS: usize = 4096;
/// So much of what comes at once is kept ready; of more, what is before.
const READY_WITHIN: u64 = 256 * 1024;
/// The most bytes that are kept ready for those who follow.
const READY_MOST: usize = 1024 * 1024;
/// The most text of one piece that is sent, about.
pub(super) const PIECE: usize = 64 * 1024;

/// The lines of one log.
#[derive(Debug)]
pub(super) struct Lines {
    layout: Layout,
    index: Mutex<Index>,
}

/// How far the lines are.
#[derive(Debug, Clone)]
pub(super) struct Reach {
    /// The number of the line behind the last that has ended.
    pub(super) next: u64,
    /// All that has come has been converted.
    pub(super) is_caught_up: bool,
    /// Nothing more will come, and all has been converted.
    pub(super) is_all: bool,
}

/// Which lines are wanted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    /// The number of the first.
    pub(super) from: u64,
    /// The number behind the last: others may convert more of a log meanwhile than its reader knows of.
    pub(super) before: u64,
    /// The most lines.
    pub(super) count: usize,
    /// About the most bytes on a page.
    pub(super) cost: usize,
}

/// Lines that are sent together.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    /// The number of the first.
    pub(super) first: u64,
    /// The number of the line behind the last.
    pub(super) next: u64,
    /// The whole event.
    pub(super) event: Bytes,
}

#[derive(Debug)]
struct Index {
    converter: Converter,
    marks: Vec<Mark>,
    apart: u64,
    is_finished: bool,
    ready: VecDeque<Piece>,
    ready_bytes: usize,
    /// The line that has not ended, as it was after so many bytes.
    partial: Option<(u64, Bytes)>,
}

impl Lines {
    pub(super) fn new(layout: Layout) -> Self {
        let index = Index {
            converter: Converter::new(layout, Mark::START),
            marks: vec![Mark::START],
            apart: APART,
            is_finished: false,
            ready: VecDeque::new(),
            ready_bytes: 0,
            partial: None,
        };
        Self { layout, index: Mutex::new(index) }
    }

    /// Converts what has come, as far as that can be done until then: the next one goes on, also where this one was
    /// given up.
    pub(super) async fn grow(&self, spool: &Spool, now: &Progress, until: Instant) -> io::Result<Reach> {
        let mut index = self.index.lock().await;
        while index.converter.at() < now.len && Instant::now() < until {
            let bytes = spool.read(index.converter.at(), now.len).await?;
            index.take(&bytes, now.len);
            // Many blocks come without waiting for the disk.
            tokio::task::yield_now().await;
        }
        let is_caught_up = index.converter.at() >= now.len;
        if !matches!(now.stage, Stage::Open) && !index.is_finished && is_caught_up {
            index.finish();
        }
        Ok(Reach { next: index.next(), is_caught_up, is_all: index.is_finished })
    }

    /// The piece that begins with this line, if it is kept ready.
    pub(super) async fn ready(&self, first: u64) -> Option<Piece> {
        let index = self.index.lock().await;
        let at = index.ready.partition_point(|piece| piece.first < first);
        index.ready.get(at).filter(|piece| piece.first == first).cloned()
    }

    /// The line that has not ended, as an event, and how many bytes had come.
    pub(super) async fn partial(&self) -> Option<(u64, Bytes)> {
        let mut index = self.index.lock().await;
        let at = index.converter.at();
        if index.partial.as_ref().is_none_or(|(then, _)| *then != at) {
            index.partial = index.converter.partial().map(|line| (at, told::part(&line)));
        }
        index.partial.clone()
    }

    /// The same as it is, if it has this number.
    pub(super) async fn unfinished(&self, number: u64) -> Option<Line> {
        let index = self.index.lock().await;
        index.converter.partial().filter(|line| line.number == number && !index.is_finished)
    }

    /// The first lines that are wanted, as far as they have been converted.
    pub(super) async fn from(&self, spool: &Spool, wanted: Wanted) -> io::Result<Vec<Line>> {
        let mut lines = Vec::new();
        let mut cost = 0;
        self.read(spool, wanted, |line| {
            cost += line.cost();
            let fits = lines.len() < wanted.count && (cost <= wanted.cost || lines.is_empty());
            if fits {
                lines.push(line);
            }
            fits && lines.len() < wanted.count
        })
        .await?;
        Ok(lines)
    }

    /// The last lines that are wanted: where they cost too much, the first of them are left out.
    pub(super) async fn last(&self, spool: &Spool, wanted: Wanted) -> io::Result<Vec<Line>> {
        let mut lines = VecDeque::new();
        let mut cost = 0;
        self.read(spool, wanted, |line| {
            cost += line.cost();
            lines.push_back(line);
            while lines.len() > wanted.count.max(1) || (cost > wanted.cost && lines.len() > 1) {
                let Some(gone) = lines.pop_front() else { break };
                cost -= gone.cost();
            }
            true
        })
        .await?;
        Ok(lines.into())
    }

    /// Converts again from the mark before the first line, and gives the lines from it on as long as `take` wants more.
    async fn read(&self, spool: &Spool, wanted: Wanted, mut take: impl FnMut(Line) -> bool) -> io::Result<()> {
        let Wanted { from, before, .. } = wanted;
        let (mark, end, is_finished) = {
            let index = self.index.lock().await;
            (index.before(from), index.converter.at(), index.is_finished)
        };
        let mut converter = Converter::new(self.layout, mark);
        let mut goes_on = true;
        while converter.at() < end && goes_on {
            let bytes = spool.read(converter.at(), end).await?;
            converter.feed(&bytes, &mut |ready| {
                goes_on &= ready.mark.number < before;
                if goes_on && ready.mark.number >= from {
                    goes_on = take(ready.line());
                }
            });
            tokio::task::yield_now().await;
        }
        if is_finished && goes_on {
            converter.finish(&mut |ready| {
                if (from..before).contains(&ready.mark.number) {
                    take(ready.line());
                }
            });
        }
        Ok(())
    }
}

impl Index {
    fn next(&self) -> u64 {
        self.converter.mark().number
    }

    fn before(&self, line: u64) -> Mark {
        let behind = self.marks.partition_point(|mark| mark.number <= line);
        behind.checked_sub(1).and_then(|at| self.marks.get(at)).copied().unwrap_or(Mark::START)
    }

    fn take(&mut self, bytes: &[u8], len: u64) {
        let Self { converter, marks, apart, .. } = self;
        let is_near_end = len - converter.at() <= READY_WITHIN;
        let mut pieces = Pieces::default();
        converter.feed(bytes, &mut |ready| {
            if marks.last().is_none_or(|last| ready.mark.offset - last.offset >= *apart) {
                marks.push(ready.mark);
            }
            if is_near_end {
                pieces.push(ready.line());
            }
        });
        if marks.len() > MARKS {
            self.thin();
        }
        self.keep_ready(pieces);
    }

    /// Lets every second mark go; the first stays.
    fn thin(&mut self) {
        let mut nth = 0_usize;
        self.marks.retain(|_mark| {
            nth += 1;
            nth % 2 == 1
        });
        self.apart *= 2;
    }

    fn finish(&mut self) {
        let mut pieces = Pieces::default();
        self.converter.finish(&mut |ready| pieces.push(ready.line()));
        self.is_finished = true;
        self.keep_ready(pieces);
    }

    fn keep_ready(&mut self, pieces: Pieces) {
        for piece in pieces.done() {
            self.ready_bytes += piece.event.len();
            self.ready.push_back(piece);
        }
        while self.ready_bytes > READY_MOST {
            let Some(gone) = self.ready.pop_front() else { break };
            self.ready_bytes -= gone.event.len();
        }
    }
}

/// Lines, put together as they are sent.
#[derive(Debug, Default)]
struct Pieces {
    done: Vec<Piece>,
    lines: Vec<Line>,
    cost: usize,
}

impl Pieces {
    fn push(&mut self, line: Line) {
        self.cost += line.cost();
        self.lines.push(line);
        if self.cost >= PIECE {
            self.close();
        }
    }

    fn close(&mut self) {
        self.cost = 0;
        self.done.extend(told::lines(&std::mem::take(&mut self.lines)));
    }

    fn done(mut self) -> Vec<Piece> {
        self.close();
        self.done
    }
}
