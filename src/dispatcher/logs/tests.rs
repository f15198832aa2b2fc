//! A hub over an engine that says what the test tells it to.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::hub::{JoinError, Limits, LogHub, LogKey, Upstream};
use super::reader::{Lines, Reader, Until, Wish};
use super::spool::{Ending, Seat};
use crate::domain::outcome::Outcome;
use crate::engine::{EngineError, LogPiece, LogSource, LogStream};

const OVER: &str = "albatros: it is over\n";

struct Stage {
    hub: LogHub,
    shutdown: CancellationToken,
    opened: Arc<AtomicUsize>,
    _folder: tempfile::TempDir,
}

impl Stage {
    fn new(limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let shutdown = CancellationToken::new();
        let hub = LogHub::with_limits(folder.path().to_owned(), shutdown.clone(), limits);
        Self { hub, shutdown, opened: Arc::default(), _folder: folder }
    }

    /// A place at the log of build `number`; the sender is the engine's end if this reader is the first.
    fn join(&self, number: u32) -> (Result<Seat, JoinError>, mpsc::Sender<LogPiece>) {
        let (pieces, source) = mpsc::channel(4);
        let opened = Arc::clone(&self.opened);
        let upstream = Upstream {
            source: Box::pin(async move {
                opened.fetch_add(1, Ordering::Relaxed);
                Ok(LogSource::new(source))
            }),
            ending: ending(),
        };
        (self.hub.join(&key(number), upstream), pieces)
    }

    fn reader(&self, seat: Seat, wish: Wish) -> Reader {
        Reader::new(seat, wish, self.shutdown.clone())
    }

    async fn read(&self, seat: Seat, wish: Wish) -> Vec<u8> {
        all(self.reader(seat, wish)).await
    }
}

fn ending() -> futures_util::future::BoxFuture<'static, Ending> {
    Box::pin(async { Ending { sentence: "it is over".to_owned(), outcome: Some(Outcome::Success) } })
}

fn key(number: u32) -> LogKey {
    let build = format!("builder/dispatch-1766000000-{number:08x}").parse().unwrap();
    LogKey { build, task: "executor", stream: LogStream::Stdout, both: false, times: false }
}

fn wish(lines: Lines) -> Wish {
    Wish { from: 0, until: Until::End, lines }
}

async fn all(mut reader: Reader) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(piece) = reader.next().await {
        bytes.extend_from_slice(&piece.unwrap());
    }
    bytes
}

async fn text(stage: &Stage, pieces: Vec<LogPiece>, lines: Lines) -> String {
    let (seat, engine) = stage.join(1);
    tokio::spawn(async move {
        for piece in pieces {
            engine.send(piece).await.unwrap();
        }
    });
    String::from_utf8_lossy(&stage.read(seat.unwrap(), wish(lines)).await).into_owned()
}

fn data(text: &'static [u8]) -> LogPiece {
    LogPiece::Data(Bytes::from_static(text))
}

/// Bytes whose place can be told: a lost, doubled or swapped piece changes all that follow.
struct Pattern(Vec<u8>);

impl Pattern {
    fn new() -> Self {
        let mut state = 0x2545_f491_u32;
        let bytes = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state.to_le_bytes()[0]
        });
        Self(bytes.take(1_000_003).collect())
    }

    fn piece(&self, offset: u64, size: usize) -> Bytes {
        let at = usize::try_from(offset % self.0.len() as u64).unwrap();
        Bytes::copy_from_slice(&self.0[at..self.0.len().min(at + size)])
    }

    fn check(&self, offset: u64, mut bytes: &[u8]) {
        let mut offset = offset;
        while !bytes.is_empty() {
            let expected = self.piece(offset, bytes.len());
            let (now, rest) = bytes.split_at(expected.len());
            assert!(now == expected, "the bytes at {offset} are not those that were sent");
            offset += now.len() as u64;
            bytes = rest;
        }
    }
}

#[tokio::test]
async fn five_hundred_readers_get_the_same_bytes_of_one_upstream() {
    let stage = Arc::new(Stage::new(Limits::default()));
    let (first, engine) = stage.join(1);
    let mut readers = tokio::task::JoinSet::new();
    for seat in std::iter::once(first).chain((1..500).map(|_| stage.join(1).0)) {
        let stage = Arc::clone(&stage);
        readers.spawn(async move { stage.read(seat.unwrap(), wish(Lines::All)).await });
    }
    let mut expected = Vec::new();
    for number in 0..200 {
        let line = format!("line {number} of the log\n");
        expected.extend_from_slice(line.as_bytes());
        engine.send(LogPiece::Data(Bytes::from(line))).await.unwrap();
    }
    engine.send(LogPiece::End).await.unwrap();
    expected.extend_from_slice(OVER.as_bytes());
    let mut count = 0;
    while let Some(read) = readers.join_next().await {
        assert!(read.unwrap() == expected, "a reader got other bytes");
        count += 1;
    }
    assert_eq!(count, 500);
    assert_eq!(stage.opened.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_hundred_megabytes_arrive_byte_for_byte_live_and_late() {
    const SIZE: u64 = 100 << 20;
    let stage = Arc::new(Stage::new(Limits::default()));
    let pattern = Arc::new(Pattern::new());
    let (seat, engine) = stage.join(1);
    let (late, other) = (stage.join(1).0.unwrap(), stage.join(1).0.unwrap());
    let reader = stage.reader(seat.unwrap(), wish(Lines::Missing));
    let live = tokio::spawn(checked(reader, Arc::clone(&pattern), 0));
    let sent = Arc::clone(&pattern);
    tokio::spawn(async move {
        let mut offset = 0;
        while offset < SIZE {
            let size = if offset % 3 == 0 { 70_001 } else { 777 };
            let piece = sent.piece(offset, size.min(usize::try_from(SIZE - offset).unwrap()));
            offset += piece.len() as u64;
            engine.send(LogPiece::Data(piece)).await.unwrap();
        }
        engine.send(LogPiece::End).await.unwrap();
    });
    assert_eq!(live.await.unwrap(), SIZE);
    let late = stage.reader(late, wish(Lines::Missing));
    let middle = Wish { from: 77_777_777, until: Until::Byte(99_999_999, None), lines: Lines::None };
    let (late, middle) = tokio::join!(
        checked(late, Arc::clone(&pattern), 0),
        checked(stage.reader(other, middle), Arc::clone(&pattern), 77_777_777)
    );
    assert_eq!((late, middle), (SIZE, 99_999_999));
}

/// Reads to the end, comparing; gives the place behind the last byte.
async fn checked(mut reader: Reader, pattern: Arc<Pattern>, from: u64) -> u64 {
    let mut offset = from;
    while let Some(piece) = reader.next().await {
        let piece = piece.unwrap();
        assert!(piece.len() <= 80_000, "a reader holds {} bytes at once", piece.len());
        pattern.check(offset, &piece);
        offset += piece.len() as u64;
    }
    offset
}

#[tokio::test]
async fn a_slow_reader_delays_nobody_and_loses_nothing() {
    let stage = Stage::new(Limits::default());
    let (seat, engine) = stage.join(1);
    let mut slow = stage.reader(stage.join(1).0.unwrap(), wish(Lines::Missing));
    let fast = stage.reader(seat.unwrap(), wish(Lines::Missing));
    engine.send(data(b"first ")).await.unwrap();
    let begun = slow.next().await.unwrap().unwrap();
    let fast = tokio::spawn(all(fast));
    for _ in 0..2_000 {
        engine.send(LogPiece::Data(Bytes::from(vec![b'x'; 1_000]))).await.unwrap();
    }
    engine.send(LogPiece::End).await.unwrap();
    let whole = fast.await.unwrap();
    assert_eq!(whole.len(), 2_000_006);
    let rest = all(slow).await;
    assert!([&begun[..], &rest[..]].concat() == whole);
}

#[tokio::test]
async fn a_log_that_nobody_reads_any_more_is_closed_upstream_and_begins_anew() {
    let stage = Stage::new(Limits { idle: Duration::ZERO, ..Limits::default() });
    let (seat, engine) = stage.join(1);
    let mut reader = stage.reader(seat.unwrap(), wish(Lines::All));
    engine.send(data(b"x")).await.unwrap();
    assert_eq!(reader.next().await.unwrap().unwrap(), "x");
    drop(reader);
    engine.closed().await;
    let again = text(&stage, vec![data(b"x\n"), LogPiece::End], Lines::All).await;
    assert_eq!(again, format!("x\n{OVER}"));
    assert_eq!(stage.opened.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn an_ended_log_serves_late_readers_without_asking_again() {
    let stage = Stage::new(Limits::default());
    let first = text(&stage, vec![data(b"all of it\n"), LogPiece::End], Lines::All).await;
    let late = stage.read(stage.join(1).0.unwrap(), wish(Lines::All)).await;
    assert_eq!(first.as_bytes(), late);
    assert_eq!(stage.opened.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn what_is_missing_is_told_in_its_place_also_raw() {
    for lines in [Lines::All, Lines::Missing] {
        let stage = Stage::new(Limits::default());
        let gap = LogPiece::Gap("12 MB were rotated away".to_owned());
        let read = text(&stage, vec![data(b"half a li"), gap, data(b"ne\n"), LogPiece::End], lines).await;
        let expected = "half a li\nalbatros: 12 MB were rotated away\nne\n";
        assert_eq!(read.trim_end_matches(OVER), expected, "{lines:?}");
    }
}

#[tokio::test]
async fn a_log_without_final_newline_keeps_its_last_line_apart_from_ours() {
    let stage = Stage::new(Limits::default());
    let read = text(&stage, vec![data(b"\0\xff no newline"), LogPiece::End], Lines::All).await;
    assert_eq!(read, format!("\0\u{fffd} no newline\n{OVER}"));
    let raw = stage.read(stage.join(1).0.unwrap(), wish(Lines::Missing)).await;
    assert_eq!(raw, b"\0\xff no newline");
}

#[tokio::test]
async fn a_build_that_waits_says_so_and_goes_on() {
    let stage = Stage::new(Limits::default());
    let (seat, engine) = stage.join(1);
    let mut reader = stage.reader(seat.unwrap(), wish(Lines::All));
    engine.send(LogPiece::Waiting("waiting for a node".to_owned())).await.unwrap();
    assert_eq!(reader.next().await.unwrap().unwrap(), "albatros: waiting for a node\n");
    let raw = stage.reader(stage.join(1).0.unwrap(), wish(Lines::Missing));
    engine.send(data(b"at last\n")).await.unwrap();
    engine.send(LogPiece::End).await.unwrap();
    assert_eq!(all(reader).await, format!("at last\n{OVER}").as_bytes());
    assert_eq!(all(raw).await, b"at last\n");
}

#[tokio::test]
async fn a_log_that_will_never_be_ends_with_the_reason() {
    let stage = Stage::new(Limits::default());
    let never = LogPiece::Never("it was cancelled before it was placed".to_owned());
    let read = text(&stage, vec![never], Lines::All).await;
    assert_eq!(read, format!("albatros: it was cancelled before it was placed\n{OVER}"));
}

#[tokio::test]
async fn an_engine_that_gives_up_is_told_and_not_taken_for_the_end() {
    let stage = Stage::new(Limits::default());
    let read = text(&stage, vec![data(b"so far\n")], Lines::Missing).await;
    assert_eq!(read, "so far\nalbatros: the log broke off here and could not be read further\n");
}

#[tokio::test]
async fn a_refused_log_is_asked_for_again_by_the_next_reader() {
    let stage = Stage::new(Limits::default());
    let refused =
        Upstream { source: Box::pin(async { Err(EngineError::Refused("no right".to_owned())) }), ending: ending() };
    let seat = stage.hub.join(&key(1), refused).unwrap();
    let read = stage.read(seat, wish(Lines::All)).await;
    assert_eq!(read, b"albatros: the engine refused: no right\n");
    while stage.hub.has(&key(1)) {
        tokio::task::yield_now().await;
    }
    assert_eq!(text(&stage, vec![LogPiece::End], Lines::All).await, OVER);
}

#[tokio::test]
async fn when_all_upstreams_are_taken_one_without_readers_gives_way_first() {
    let stage = Stage::new(Limits { upstreams: 2, ..Limits::default() });
    let (first, first_engine) = stage.join(1);
    let (second, _second_engine) = stage.join(2);
    assert!(matches!(stage.join(3).0, Err(JoinError::Busy(2))));
    drop(first);
    let (third, _third_engine) = stage.join(3);
    assert!(third.is_ok());
    first_engine.closed().await;
    assert!(matches!(stage.join(4).0, Err(JoinError::Busy(2))));
    assert!(stage.join(2).0.is_ok(), "a log that is being read already takes any number of readers");
    drop(second);
}

#[tokio::test]
async fn readers_are_bounded_all_together() {
    let stage = Stage::new(Limits { readers: 2, ..Limits::default() });
    let (first, _first_engine) = stage.join(1);
    let (second, _second_engine) = stage.join(2);
    assert!(matches!(stage.join(1).0, Err(JoinError::Crowded(2))), "also at a log that is being read already");
    assert!(matches!(stage.join(3).0, Err(JoinError::Crowded(2))));
    drop(first);
    assert!(stage.join(2).0.is_ok(), "who leaves makes room");
    drop(second);
}

#[tokio::test]
async fn a_log_that_outgrows_all_room_is_cut_and_says_so() {
    let stage = Stage::new(Limits { bytes: 10, ..Limits::default() });
    let read = text(&stage, vec![data(b"12345678\n"), data(b"too much\n"), LogPiece::End], Lines::Missing).await;
    let cut = "the log is cut here: the logs being read take all the room they may have together";
    let whole = format!("12345678\nalbatros: {cut}\n");
    assert!(read == whole || read == format!("albatros: {cut}\n"), "{read}");
}

#[tokio::test]
async fn room_is_made_by_logs_that_nobody_reads() {
    let stage = Stage::new(Limits { bytes: 10, ..Limits::default() });
    assert_eq!(text(&stage, vec![data(b"12345678\n"), LogPiece::End], Lines::Missing).await, "12345678\n");
    let (seat, engine) = stage.join(2);
    engine.send(data(b"abcdefgh\n")).await.unwrap();
    engine.send(LogPiece::End).await.unwrap();
    assert_eq!(stage.read(seat.unwrap(), wish(Lines::Missing)).await, b"abcdefgh\n");
}

#[tokio::test]
async fn a_reader_of_what_there_is_now_ends_there() {
    let stage = Stage::new(Limits::default());
    let (seat, engine) = stage.join(1);
    let seat = seat.unwrap();
    let mut progress = seat.watch();
    engine.send(data(b"some of it\n")).await.unwrap();
    progress.wait_for(|now| now.len == 11).await.unwrap();
    let until = Until::Byte(11, Some("running".to_owned()));
    let read = stage.read(seat, Wish { from: 5, until, lines: Lines::All }).await;
    assert_eq!(read, b"of it\nalbatros: running\n");
}

#[tokio::test]
async fn a_stopping_server_breaks_the_log_off_instead_of_ending_it() {
    let stage = Stage::new(Limits::default());
    let (seat, _engine) = stage.join(1);
    let mut reader = stage.reader(seat.unwrap(), wish(Lines::All));
    stage.shutdown.cancel();
    assert!(reader.next().await.unwrap().is_err());
    assert!(reader.next().await.is_none());
}
