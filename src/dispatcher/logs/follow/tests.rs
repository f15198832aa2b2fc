//! What a page that follows is told, and when it is sent away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::super::spool::{Room, Seat, Spool, Stage};
use super::{Follower, told};
use crate::domain::ansi::Layout;
use crate::engine::EngineError;

struct Log {
    spool: Arc<Spool>,
    may_read: Arc<AtomicBool>,
    _folder: tempfile::TempDir,
}

impl Log {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::create(folder.path(), Room::new(1 << 20)).unwrap();
        Self { spool, may_read: Arc::new(AtomicBool::new(true)), _folder: folder }
    }

    fn follower(&self) -> Follower {
        let place = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let may_read = Arc::clone(&self.may_read);
        let right = Box::new(move || {
            let may_read = may_read.load(Ordering::Relaxed);
            Box::pin(std::future::ready(may_read)) as futures_util::future::BoxFuture<'static, bool>
        });
        let seat = Seat::take(Arc::clone(&self.spool), place);
        Follower::new(seat, Layout::default(), CancellationToken::new(), right)
    }

    async fn say(&self, text: &'static str) {
        self.spool.append(Bytes::from(text)).await.unwrap();
    }

    /// The names of all that a follower is told until his stream ends.
    async fn told(&self) -> Vec<String> {
        let mut follower = self.follower();
        let mut names = Vec::new();
        while let Some(event) = follower.next().await {
            names.push(name(&event.unwrap()));
        }
        names
    }
}

fn name(event: &[u8]) -> String {
    let text = String::from_utf8_lossy(event);
    let name = text.lines().find_map(|line| line.strip_prefix("event: "));
    name.unwrap_or_else(|| text.trim()).to_owned()
}

#[tokio::test]
async fn an_engine_that_is_out_of_reach_is_no_end() {
    let log = Log::new();
    log.say("one\n").await;
    log.spool.advance(Stage::Failed(Arc::new(EngineError::Unavailable("no route".into()))));
    assert_eq!(log.told().await, ["retry: 2000", "lines"]);
    log.spool.advance(Stage::Failed(Arc::new(EngineError::Refused("no right".to_owned()))));
    assert_eq!(log.told().await, ["retry: 2000", "lines", "end"]);
}

#[tokio::test(start_paused = true)]
async fn a_right_that_is_taken_away_ends_what_was_begun_with_it() {
    let log = Log::new();
    let mut follower = log.follower();
    log.say("one\n").await;
    let mut next = async || follower.next().await.map(|event| name(&event.unwrap()));
    assert_eq!(next().await.as_deref(), Some("retry: 2000"));
    assert_eq!(next().await.as_deref(), Some("lines"));
    assert_eq!(next().await.unwrap().as_bytes(), told::ALIVE.trim_ascii());
    assert_eq!(next().await.unwrap().as_bytes(), told::ALIVE.trim_ascii(), "who may read stays");
    log.may_read.store(false, Ordering::Relaxed);
    log.say("two\n").await;
    assert_eq!(next().await, None, "not even what came before he was asked");
}
