//! Windows of a spool whose lines are known.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::super::spool::{Room, Spool, Stage};
use super::{APART, Index, Lines, MARKS, READY_MOST, Wanted};
use crate::domain::ansi::{Converter, Layout, Line, Mark};

struct Log {
    spool: Arc<Spool>,
    _folder: tempfile::TempDir,
}

impl Log {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { spool: Spool::create(folder.path(), Room::new(1 << 30)).unwrap(), _folder: folder }
    }

    fn lines(&self) -> &Lines {
        self.spool.lines(Layout::default())
    }

    async fn say(&self, text: String) -> u64 {
        self.spool.append(Bytes::from(text)).await.unwrap();
        self.grow().await
    }

    async fn grow(&self) -> u64 {
        let now = self.spool.watch().borrow().clone();
        let reach = self.lines().grow(&self.spool, &now, Instant::now() + Duration::from_secs(60)).await.unwrap();
        assert!(reach.is_caught_up);
        reach.next
    }
}

fn wanted(from: u64, count: usize) -> Wanted {
    Wanted { from, before: u64::MAX, count, cost: usize::MAX }
}

fn texts(lines: &[Line]) -> Vec<String> {
    lines.iter().map(|line| format!("{} {}", line.number, line.text())).collect()
}

#[tokio::test]
async fn a_window_anywhere_in_a_log_has_its_lines_and_their_colours() {
    let log = Log::new();
    let line = |n: u64| format!("\x1b[3{}mline {n} {}\n", n % 8, "x".repeat(60));
    let mut next = 1;
    for block in 0..40 {
        let text = (1..=1000).map(|n| line(block * 1000 + n)).collect();
        next = log.say(text).await;
    }
    assert_eq!(next, 40_001);
    for from in [1, 2, 999, 1_000, 23_456, 39_999, 40_000] {
        let lines = log.lines().from(&log.spool, wanted(from, 2)).await.unwrap();
        assert_eq!((lines[0].number, lines.len()), (from, if from == 40_000 { 1 } else { 2 }));
        assert!(lines[0].text().starts_with(&format!("line {from} ")));
        assert_eq!(lines[0].spans[0].classes, format!("f{}", from % 8));
    }
    let last = log.lines().last(&log.spool, wanted(39_998, 3)).await.unwrap();
    assert_eq!(last.iter().map(|line| line.number).collect::<Vec<_>>(), [39_998, 39_999, 40_000]);
    assert!(log.lines().from(&log.spool, wanted(40_001, 9)).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_costs_too_much_is_left_out_at_the_far_end() {
    let log = Log::new();
    log.say("0123456789".repeat(10) + "\n" + &"short\n".repeat(10)).await;
    let cheap = Wanted { cost: 500, ..wanted(1, 100) };
    let first = log.lines().from(&log.spool, cheap).await.unwrap();
    let last = log.lines().last(&log.spool, cheap).await.unwrap();
    assert!((2..6).contains(&first.len()) && first[0].number == 1, "{first:?}");
    assert!((2..6).contains(&last.len()) && last.last().unwrap().number == 11, "{last:?}");
    let nothing = Wanted { cost: 0, ..cheap };
    assert_eq!(log.lines().from(&log.spool, nothing).await.unwrap().len(), 1, "one at least, so that readers go on");
}

#[tokio::test]
async fn what_comes_while_a_window_is_read_takes_no_line_out_of_it() {
    let log = Log::new();
    let lines = |range: std::ops::Range<u64>| range.map(|n| format!("line {n}\n")).collect::<String>();
    let reach = log.say(lines(1..601)).await;
    log.say(lines(601..2_000) + "the last").await;
    log.spool.advance(Stage::Sealed);
    log.grow().await;
    let asked = Wanted { before: reach, ..wanted(101, 500) };
    let numbers = |lines: Vec<Line>| lines.iter().map(|line| line.number).collect::<Vec<_>>();
    let expected: Vec<u64> = (101..601).collect();
    assert_eq!(numbers(log.lines().last(&log.spool, asked).await.unwrap()), expected);
    assert_eq!(numbers(log.lines().from(&log.spool, asked).await.unwrap()), expected);
    let but_one = Wanted { before: 2_000, ..wanted(1_999, 5) };
    assert_eq!(numbers(log.lines().last(&log.spool, but_one).await.unwrap()), [1_999], "nor one that ended last");
}

#[tokio::test]
async fn the_last_line_is_one_once_nothing_more_comes() {
    let log = Log::new();
    assert_eq!(log.say("one\ntwo".to_owned()).await, 2);
    assert_eq!(texts(&log.lines().unfinished(2).await.into_iter().collect::<Vec<_>>()), ["2 two"]);
    assert_eq!(texts(&log.lines().from(&log.spool, wanted(1, 9)).await.unwrap()), ["1 one"]);
    log.spool.advance(Stage::Sealed);
    assert_eq!(log.grow().await, 3);
    assert_eq!(log.lines().unfinished(2).await, None);
    assert_eq!(texts(&log.lines().from(&log.spool, wanted(1, 9)).await.unwrap()), ["1 one", "2 two"]);
}

#[tokio::test]
async fn who_follows_the_end_shares_what_was_made_for_another() {
    let log = Log::new();
    log.say("one\n".to_owned()).await;
    let second = log.say("two\nthree\n".to_owned()).await;
    let piece = log.lines().ready(2).await.unwrap();
    assert_eq!((piece.first, piece.next, second), (2, 4, 4));
    let event = String::from_utf8(piece.event.to_vec()).unwrap();
    assert!(event.starts_with("id: 4\nevent: lines\ndata: {\"first\":2,"), "{event}");
    assert_eq!(log.lines().ready(2).await.unwrap().event.as_ptr(), piece.event.as_ptr(), "the same bytes");
    assert!(log.lines().ready(3).await.is_none());
}

#[tokio::test]
async fn who_cannot_wait_gets_what_there_is_and_the_next_one_goes_on() {
    let log = Log::new();
    log.spool.append(Bytes::from("one\ntwo\n")).await.unwrap();
    log.spool.advance(Stage::Sealed);
    let now = log.spool.watch().borrow().clone();
    let reach = log.lines().grow(&log.spool, &now, Instant::now()).await.unwrap();
    assert!((reach.next, reach.is_caught_up, reach.is_all) == (1, false, false), "{reach:?}");
    assert_eq!(log.grow().await, 3);
}

#[test]
fn marks_and_what_is_ready_are_bounded() {
    let mut index = Index {
        converter: Converter::new(Layout::default(), Mark::START),
        marks: vec![Mark::START],
        apart: 1,
        is_finished: false,
        ready: std::collections::VecDeque::new(),
        ready_bytes: 0,
        partial: None,
    };
    let text = "a line of some length that is sent\n".repeat(100);
    for _ in 0..1_000 {
        let len = index.converter.at() + text.len() as u64;
        index.take(text.as_bytes(), len);
    }
    assert!(index.marks.len() <= MARKS && index.marks.len() > MARKS / 4 && index.apart < APART, "{}", index.apart);
    assert_eq!(index.marks[0], Mark::START);
    assert!(index.ready_bytes <= READY_MOST);
    assert_eq!(index.ready_bytes, index.ready.iter().map(|piece| piece.event.len()).sum::<usize>());
    for line in [1, 50_000, 100_000] {
        let mark = index.before(line);
        assert!(mark.number <= line && line - mark.number < 100, "{line}: {mark:?}");
    }
}
