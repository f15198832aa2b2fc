//! A build's log out of Nomad: whole, in order, with an end, and with a sentence where something is missing.

use albatros::domain::id::BuildId;
use albatros::engine::{Engine, EngineError, LogPiece, LogSource, LogStream};

use crate::fake::fault::{Fault, Times};
use crate::fake::nomad::Nomad;
use crate::fake::wire::PATIENCE;
use crate::nomad_builds::{BUILDER, cluster, order};

async fn build(engine: &Engine) -> BuildId {
    engine.dispatch(&order()).await.unwrap()
}

async fn open(engine: &Engine, build: &BuildId) -> LogSource {
    engine.log(build, "executor", LogStream::Stdout).await.unwrap()
}

/// What came of a log: its bytes, the sentences in between, and the last piece.
#[derive(Debug, Default)]
struct Heard {
    bytes: Vec<u8>,
    gaps: Vec<String>,
    waits: Vec<String>,
    last: Option<LogPiece>,
}

impl Heard {
    async fn one(&mut self, log: &mut LogSource) -> bool {
        let piece = tokio::time::timeout(PATIENCE, log.next()).await.expect("the log goes on");
        match piece {
            Some(LogPiece::Data(bytes)) => self.bytes.extend_from_slice(&bytes),
            Some(LogPiece::Gap(what)) => self.gaps.push(what),
            Some(LogPiece::Waiting(what)) => self.waits.push(what),
            last @ (Some(LogPiece::End | LogPiece::Never(_)) | None) => {
                self.last = last;
                return false;
            }
        }
        true
    }

    async fn until(&mut self, log: &mut LogSource, bytes: usize) {
        while self.bytes.len() < bytes {
            assert!(self.one(log).await, "it ended early: {self:?}");
        }
    }

    async fn all(mut self, log: &mut LogSource) -> Self {
        while self.one(log).await {}
        self
    }
}

fn never(heard: &Heard) -> &str {
    match &heard.last {
        Some(LogPiece::Never(why)) => why,
        other => panic!("{other:?} is not Never"),
    }
}

fn spill(nomad: &Nomad, build: &BuildId, bytes: &[u8]) {
    nomad.write(build.as_str(), "executor", "stdout", bytes);
}

#[tokio::test]
async fn a_log_is_read_from_before_its_start_to_its_end() {
    let (nomad, engine) = cluster().await;
    let build = build(&engine).await;
    let (mut log, mut heard) = (open(&engine, &build).await, Heard::default());
    assert!(heard.one(&mut log).await);
    assert!(heard.waits[0].starts_with("waiting for"), "{heard:?}");
    nomad.run(build.as_str());
    nomad.say(build.as_str(), "one");
    heard.until(&mut log, 4).await;
    spill(&nomad, &build, b"\xff\0no newline");
    nomad.exit(build.as_str(), 3);
    let heard = heard.all(&mut log).await;
    assert_eq!(heard.bytes, b"one\n\xff\0no newline");
    assert_eq!((heard.last, heard.gaps.len()), (Some(LogPiece::End), 0));
}

#[tokio::test]
async fn a_connection_that_breaks_repeats_and_loses_nothing() {
    let (nomad, engine) = cluster().await;
    let build = build(&engine).await;
    nomad.run(build.as_str());
    let whole: Vec<u8> = (0..30_000_u32).flat_map(|line| format!("{line}\n").into_bytes()).collect();
    let (mut log, mut heard) = (open(&engine, &build).await, Heard::default());
    for part in whole.chunks(whole.len() / 4 + 1) {
        spill(&nomad, &build, part);
        let sofar = heard.bytes.len() + part.len();
        heard.until(&mut log, sofar).await;
        nomad.wire().cut_all();
    }
    nomad.exit(build.as_str(), 0);
    let heard = heard.all(&mut log).await;
    assert!(heard.bytes == whole, "{} of {} bytes", heard.bytes.len(), whole.len());
    assert_eq!((heard.last, heard.gaps.len()), (Some(LogPiece::End), 0));
}

#[tokio::test]
async fn what_was_rotated_away_is_told_and_not_hidden() {
    let (nomad, engine) = cluster().await;
    nomad.rotate_logs(2, 1_000);
    let build = build(&engine).await;
    nomad.run(build.as_str());
    spill(&nomad, &build, &[b'x'; 5_000]);
    nomad.exit(build.as_str(), 0);
    let heard = Heard::default().all(&mut open(&engine, &build).await).await;
    assert_eq!((heard.bytes.len(), heard.last), (2_000, Some(LogPiece::End)));
    assert!(heard.gaps.len() == 1 && heard.gaps[0].contains("3 log files"), "{:?}", heard.gaps);
}

#[tokio::test]
async fn a_log_that_will_never_come_says_why() {
    let (nomad, engine) = cluster().await;
    let failed = build(&engine).await;
    nomad.fail_prestart(failed.as_str());
    let stopped = build(&engine).await;
    engine.stop(&stopped).await.unwrap();
    let purged = build(&engine).await;
    let mut waiting = open(&engine, &purged).await;
    let mut heard = Heard::default();
    heard.one(&mut waiting).await;
    nomad.purge(purged.as_str());
    let collected = build(&engine).await;
    nomad.run(collected.as_str());
    nomad.exit(collected.as_str(), 0);
    nomad.collect_logs(collected.as_str());
    assert!(never(&heard.all(&mut waiting).await).contains("no longer knows"));
    for (build, why) in
        [(&failed, "never started"), (&stopped, "was stopped before"), (&collected, "has removed the log")]
    {
        let heard = Heard::default().all(&mut open(&engine, build).await).await;
        assert!(never(&heard).contains(why), "{heard:?}");
    }
    let gone = engine.log(&purged, "executor", LogStream::Stdout).await.unwrap_err();
    assert!(matches!(gone, EngineError::Unknown(_)));
}

#[tokio::test]
async fn the_log_of_a_dead_node_ends_with_a_sentence() {
    let (nomad, engine) = cluster().await;
    let build = build(&engine).await;
    nomad.run(build.as_str());
    nomad.say(build.as_str(), "one");
    let (mut log, mut heard) = (open(&engine, &build).await, Heard::default());
    heard.until(&mut log, 4).await;
    nomad.disconnect(build.as_str());
    engine.stop(&build).await.unwrap();
    let heard = heard.all(&mut log).await;
    assert_eq!((heard.bytes.as_slice(), &heard.last), (b"one\n".as_slice(), &Some(LogPiece::End)));
    assert!(heard.gaps.len() == 1 && heard.gaps[0].contains("out of reach"), "{:?}", heard.gaps);
}

#[tokio::test]
async fn a_nomad_in_trouble_only_delays_a_log() {
    let (nomad, engine) = cluster().await;
    let build = build(&engine).await;
    nomad.run(build.as_str());
    nomad.say(build.as_str(), "one");
    for fault in [Fault::TooMany, Fault::Html(502), Fault::Text(403, "Permission denied"), Fault::CutBefore] {
        nomad.faults().arm("GET", "/v1/client/fs/logs", Times::Next(1), fault);
        nomad.faults().arm("GET", "/allocations", Times::Next(1), fault);
    }
    let (mut log, mut heard) = (open(&engine, &build).await, Heard::default());
    heard.until(&mut log, 4).await;
    nomad.exit(build.as_str(), 0);
    let heard = heard.all(&mut log).await;
    assert_eq!((heard.bytes.as_slice(), heard.last), (b"one\n".as_slice(), Some(LogPiece::End)));
}

#[tokio::test]
async fn a_reader_that_leaves_leaves_nothing_open() {
    let (nomad, engine) = cluster().await;
    let build = build(&engine).await;
    nomad.run(build.as_str());
    nomad.say(build.as_str(), "one");
    let mut log = open(&engine, &build).await;
    Heard::default().until(&mut log, 4).await;
    let reading = nomad.wire().open_connections();
    drop(log);
    let left = async {
        while nomad.wire().open_connections() >= reading {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, left).await.is_ok(), "the stream of {BUILDER}'s build stays open");
}
