//! Both streams of a build that is over, in order of time: the archive alone knows when a line came.

use axum::http::StatusCode;
use tokio::sync::mpsc;

use super::kept::{Archive, Part, Wanted, gap};
use crate::api::store::StoreError;
use crate::dispatcher::answer::Problem;
use crate::dispatcher::verdict;
use crate::domain::log_chunk::{Merger, Stream};
use crate::domain::outcome::Verdict;
use crate::engine::{EngineError, LogPiece, LogSource};

/// Pieces on their way to the spool.
const PIECES: usize = 4;
/// Lines are sent together up to so many bytes.
const TOGETHER: usize = 64 * 1024;

/// Says what is missing for it, before anything is read.
pub(super) async fn check(wanted: &Wanted) -> Result<(), Problem> {
    if wanted.app.store.is_none() {
        let sentence = "only an archive knows when a line came, and this server has none (ALBATROS_STORE): read \
                        stdout and stderr one by one";
        return Err(Problem::new(StatusCode::GONE, sentence));
    }
    match verdict::of_known(&wanted.app, &wanted.known).await? {
        Verdict::Ended(_) => {}
        Verdict::Queued { .. }
        | Verdict::Unplaceable { .. }
        | Verdict::Preparing
        | Verdict::Running
        | Verdict::Open { .. } => {
            let sentence = "both streams are put in order once the build is over: until then read stdout and stderr \
                            one by one";
            return Err(Problem::new(StatusCode::CONFLICT, sentence));
        }
    }
    let unread = |error: EngineError| {
        tracing::warn!(error = &error as &dyn std::error::Error, "the archive of a log cannot be looked for");
        Problem::unavailable("the archive of the log cannot be read now; try again")
    };
    let there = wanted.archive(Stream::Stdout).await.map_err(unread)?.is_some()
        || wanted.archive(Stream::Stderr).await.map_err(unread)?.is_some();
    if there { Ok(()) } else { Err(Problem::new(StatusCode::GONE, NOTHING)) }
}

const NOTHING: &str = "the archive has nothing of this build: read stdout and stderr one by one";

/// The archive of both; one of which nothing is there counts as empty.
pub(super) async fn source(wanted: &Wanted) -> Result<LogSource, EngineError> {
    let stdout = wanted.archive(Stream::Stdout).await?;
    let stderr = wanted.archive(Stream::Stderr).await?;
    if stdout.is_none() && stderr.is_none() {
        return Ok(LogSource::never(NOTHING));
    }
    let (to, pieces) = mpsc::channel(PIECES);
    let mut both = Both { stdout, stderr, merger: Merger::new(wanted.key.times), text: Vec::new(), to };
    tokio::spawn(async move {
        if let Err(error) = both.pour().await {
            // Without a last piece: what reads says that it broke off.
            tracing::warn!(error = &error as &dyn std::error::Error, "the archive of a log cannot be read");
        }
    });
    Ok(LogSource::new(pieces))
}

struct Both {
    stdout: Option<Archive>,
    stderr: Option<Archive>,
    merger: Merger,
    text: Vec<u8>,
    to: mpsc::Sender<LogPiece>,
}

/// Nobody reads any more.
struct Left;

impl Both {
    async fn pour(&mut self) -> Result<(), StoreError> {
        loop {
            while let Some(line) = self.merger.line() {
                self.text.extend(line);
                if self.text.len() >= TOGETHER && self.flush().await.is_err() {
                    return Ok(());
                }
            }
            let Some(stream) = self.merger.wants() else { break };
            if self.fill(stream).await?.is_err() {
                return Ok(());
            }
        }
        if self.flush().await.is_ok() {
            drop(self.to.send(LogPiece::End).await);
        }
        Ok(())
    }

    async fn fill(&mut self, stream: Stream) -> Result<Result<(), Left>, StoreError> {
        let archive = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        let part = match archive {
            Some(archive) => archive.part().await?,
            None => Part::End(0),
        };
        let missing = match part {
            Part::Text(missing, chunk) => {
                if missing > 0 {
                    self.merger.cut(stream);
                }
                if let Some(chunk) = chunk {
                    self.merger.feed(stream, chunk);
                }
                (missing > 0).then(|| gap(missing))
            }
            Part::End(missing) => {
                self.merger.end(stream);
                (missing > 0).then(|| gap(missing))
            }
            Part::Broken(why) => {
                self.merger.end(stream);
                Some(LogPiece::Gap(why.to_owned()))
            }
        };
        match missing {
            Some(gap) => Ok(self.tell(gap).await),
            None => Ok(Ok(())),
        }
    }

    /// What is missing is told where it is missing.
    async fn tell(&mut self, gap: LogPiece) -> Result<(), Left> {
        self.flush().await?;
        self.to.send(gap).await.map_err(|_closed| Left)
    }

    async fn flush(&mut self) -> Result<(), Left> {
        if self.text.is_empty() {
            return Ok(());
        }
        let text = std::mem::take(&mut self.text);
        self.to.send(LogPiece::Data(text.into())).await.map_err(|_closed| Left)
    }
}
