//! One stream on its way: read, masked, sent in chunks. What is not taken yet stays in Nomad's files.

use std::io;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use super::Over;
use super::files::{Files, Look};
use crate::api::controller::{Controller, ControllerError};
use crate::domain::log_chunk::{Chunk, Draft, End, LOG_MOST, Masker, Stream};
use crate::sidecar::{reasons, say};

/// Between two looks at a log in which there is nothing new.
const LOOK: Duration = Duration::from_millis(200);
/// What has come is sent after this, however little it is.
const SEND_AFTER: Duration = Duration::from_secs(2);
/// A log of a script that has ended is over when nothing came for so long: what Nomad still had of it is there by then.
const QUIET: Duration = Duration::from_millis(800);
/// The first pause before something is sent again, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// Why a log is not kept, or not to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeepError {
    #[error("the log cannot be read")]
    Read(#[source] io::Error),
    #[error("the log is not archived")]
    Refused(#[source] ControllerError),
}

/// A stream being kept.
#[derive(Debug)]
pub(super) struct Keeper<'a> {
    pub(super) controller: &'a Controller,
    pub(super) stream: Stream,
    pub(super) masker: Masker,
    pub(super) over: Over,
}

/// What has been read and not been sent.
#[derive(Debug, Default)]
struct Gathered {
    draft: Draft,
    /// Since when there is something.
    since: Option<Instant>,
    in_line: bool,
}

impl Keeper<'_> {
    /// Until the log is over and all of it has been taken.
    pub(super) async fn keep(mut self, files: Files) -> Result<(), KeepError> {
        let mut gathered = Gathered::default();
        let mut files = files;
        // Since when nothing came although the script has ended.
        let mut quiet: Option<Instant> = None;
        loop {
            let look;
            (files, look) = look_at(files).await?;
            match look {
                Look::Data(bytes) => {
                    self.masker.push(&bytes, now(), &mut gathered.draft);
                    quiet = None;
                }
                Look::Told(sentence) => self.tell(&mut gathered, &sentence),
                Look::Nothing => {
                    if self.over.script.is_cancelled() && quiet.get_or_insert_with(Instant::now).elapsed() >= QUIET {
                        break;
                    }
                    self.rest().await;
                }
            }
            gathered.note();
            if gathered.is_due() {
                self.send(&mut gathered).await?;
            }
            if gathered.draft.end() >= LOG_MOST {
                let sentence = format!("the archive of this log is cut here: it holds {} GiB at most", LOG_MOST >> 30);
                self.tell(&mut gathered, &sentence);
                break;
            }
        }
        self.masker.finish(&mut gathered.draft);
        self.send(&mut gathered).await?;
        if self.over.hurry.is_cancelled() {
            // The script still runs: what it prints until it is stopped is missing, and a reader is told so.
            return Ok(());
        }
        let end = End { length: gathered.draft.end() };
        self.until_taken(async || self.controller.end_log(self.stream, end).await).await
    }

    /// A sentence of ours in the log's own place, on a line of its own.
    fn tell(&mut self, gathered: &mut Gathered, sentence: &str) {
        self.masker.finish(&mut gathered.draft);
        gathered.note();
        let before = if gathered.in_line { "\n" } else { "" };
        gathered.draft.add(format!("{before}albatros: {sentence}\n").as_bytes(), now());
    }

    async fn rest(&self) {
        if self.over.script.is_cancelled() {
            return sleep(LOOK).await;
        }
        tokio::select! {
            () = self.over.script.cancelled() => {}
            () = sleep(LOOK) => {}
        }
    }

    async fn send(&self, gathered: &mut Gathered) -> Result<(), KeepError> {
        gathered.since = None;
        let Some(chunk) = gathered.draft.take() else { return Ok(()) };
        let Chunk { offset, .. } = chunk;
        let unwritten = |error| KeepError::Read(io::Error::other::<serde_json::Error>(error));
        let wire = chunk.to_wire().map_err(unwritten)?;
        self.until_taken(async || self.controller.put_log(self.stream, offset, wire.clone()).await).await
    }

    /// Sends again for as long as it may be taken later.
    async fn until_taken(&self, send: impl AsyncFn() -> Result<(), ControllerError>) -> Result<(), KeepError> {
        let (mut pause, longest) = PAUSE;
        let mut silent = false;
        loop {
            let error = match send().await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let again = match &error {
                ControllerError::Refused(problem, _) => problem.status >= 500 || matches!(problem.status, 408 | 429),
                ControllerError::NoAnswer(_) => true,
                ControllerError::Client(_) | ControllerError::Socket(_) | ControllerError::Strange(_) => false,
            };
            if !again {
                return Err(KeepError::Refused(error));
            }
            if !silent {
                say(&format!("{} waits to be archived: {}", self.stream.as_str(), reasons(&error)));
                silent = true;
            }
            sleep(pause).await;
            pause = (pause * 2).min(longest);
        }
    }
}

impl Gathered {
    fn note(&mut self) {
        if let Some(ends_line) = self.draft.ends_line() {
            self.in_line = !ends_line;
            self.since.get_or_insert_with(Instant::now);
        }
    }

    fn is_due(&self) -> bool {
        self.draft.is_full() || self.since.is_some_and(|since| since.elapsed() >= SEND_AFTER)
    }
}

/// On a thread of its own: a disk may take its time.
async fn look_at(mut files: Files) -> Result<(Files, Look), KeepError> {
    let looked = tokio::task::spawn_blocking(move || {
        let look = files.look()?;
        Ok((files, look))
    });
    looked.await.map_err(io::Error::other).flatten().map_err(KeepError::Read)
}

fn now() -> i64 {
    Timestamp::now().as_millisecond()
}
