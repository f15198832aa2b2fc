//! A local build's log, from its first byte to its end.

use std::fs::File;
use std::io::{self, Read as _};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};

use super::supervise::{Ending, Why};
use super::{Build, End, State, rooms};
use crate::engine::{LogPiece, LogSource, LogStream};

/// The largest piece, in bytes.
const PIECE: usize = 64 * 1024;
/// Pieces that may wait for the reader.
const PIECES: usize = 8;
/// Between two looks at a file that does not grow.
const SHORTEST: Duration = Duration::from_millis(10);
/// The longest of those, reached by doubling.
const LONGEST: Duration = Duration::from_millis(160);

/// Reads one stream on a task of its own, until it ends or the reader leaves.
pub(super) fn log(build: &Arc<Build>, task: &str, stream: LogStream) -> LogSource {
    let (sender, receiver) = mpsc::channel(PIECES);
    let stream = match stream {
        LogStream::Stdout => "stdout",
        LogStream::Stderr => "stderr",
    };
    let path = build.dir.join(rooms::log_file(task, stream));
    let state = build.watch();
    let build = build.clone();
    tokio::spawn(async move {
        let mut follower = Follower { path, state, sender };
        if let Some(last) = follower.run().await {
            // A reader that has left needs no last word.
            let _ = follower.sender.send(last).await;
        }
        drop(build);
    });
    LogSource::new(receiver)
}

struct Follower {
    path: std::path::PathBuf,
    state: watch::Receiver<State>,
    sender: mpsc::Sender<LogPiece>,
}

impl Follower {
    /// The last piece; none when the reader has left.
    async fn run(&mut self) -> Option<LogPiece> {
        if self.queued() {
            self.send(LogPiece::Waiting("waiting for other builds on this machine to end".to_owned())).await?;
            self.changed(|state| state.started.is_some() || state.end.is_some()).await?;
        }
        let file = match self.open().await? {
            Ok(file) => file,
            Err(why) => return Some(LogPiece::Never(why)),
        };
        self.copy(file).await
    }

    fn queued(&self) -> bool {
        let state = self.state.borrow();
        state.started.is_none() && state.end.is_none()
    }

    /// The file, once it is there; why it never will be.
    async fn open(&mut self) -> Option<Result<File, String>> {
        loop {
            let over = self.state.borrow().end.clone();
            match File::open(&self.path) {
                Ok(file) => return Some(Ok(file)),
                Err(error) if error.kind() == io::ErrorKind::NotFound && over.is_none() => self.pause(SHORTEST).await?,
                Err(error) => return Some(Err(without_file(over.as_ref(), &error))),
            }
        }
    }

    async fn copy(&mut self, mut file: File) -> Option<LogPiece> {
        let mut pause = SHORTEST;
        loop {
            // Looked at before the read: once it is over, an empty read is the end.
            let over = self.state.borrow().end.is_some();
            let mut piece = Vec::with_capacity(PIECE);
            // Regular files on this machine: a read takes microseconds, and a thread for each would take more.
            match file.by_ref().take(PIECE as u64).read_to_end(&mut piece) {
                Ok(0) if over => return Some(LogPiece::End),
                Ok(0) => {
                    self.pause(pause).await?;
                    pause = (pause * 2).min(LONGEST);
                }
                Ok(_) => {
                    pause = SHORTEST;
                    self.send(LogPiece::Data(Bytes::from(piece))).await?;
                }
                Err(error) => return Some(LogPiece::Gap(format!("the log could not be read on: {error}"))),
            }
        }
    }

    /// A moment, or less when the build's state changes or the reader leaves.
    async fn pause(&mut self, most: Duration) -> Option<()> {
        tokio::select! {
            () = self.sender.closed() => None,
            changed = self.state.changed() => {
                if changed.is_err() {
                    tokio::time::sleep(most).await;
                }
                Some(())
            }
            () = tokio::time::sleep(most) => Some(()),
        }
    }

    async fn changed(&mut self, until: impl FnMut(&State) -> bool) -> Option<()> {
        tokio::select! {
            () = self.sender.closed() => None,
            found = self.state.wait_for(until) => found.ok().map(drop),
        }
    }

    async fn send(&self, piece: LogPiece) -> Option<()> {
        self.sender.send(piece).await.ok()
    }
}

fn without_file(over: Option<&End>, error: &io::Error) -> String {
    match over {
        Some(End::NeverStarted) => "the build was stopped before it was started".to_owned(),
        Some(End::Lost) => "the build was lost before it was started".to_owned(),
        Some(End::Failed(why)) => format!("the build could not be started: {why}"),
        Some(End::Told(Ending { why: Why::Exited, .. })) | None => format!("there is no log: {error}"),
        Some(End::Told(_)) => "the build ended before its script was started".to_owned(),
    }
}
