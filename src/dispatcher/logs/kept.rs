//! Where a log comes from: the engine, and the archive where the engine has none any more.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::both;
use super::hub::LogKey;
use crate::api::store::{Store, StoreError};
use crate::dispatcher::SharedApp;
use crate::dispatcher::history::home_of_known;
use crate::dispatcher::known::{self, Known, Tracked};
use crate::dispatcher::verdict;
use crate::domain::history::Home;
use crate::domain::log_chunk::{CHUNK_MOST, Chunk, End, Joiner, Stamper, Stream};
use crate::domain::outcome::Verdict;
use crate::domain::place::{BuildPlace, Key, Place};
use crate::engine::{EngineError, LogPiece, LogSource, LogStream};

/// Pieces on their way to the spool.
const PIECES: usize = 4;
/// The task whose log is archived.
const ARCHIVED: &str = "executor";
/// Between two looks for what has been archived meanwhile.
const LOOK: Duration = Duration::from_secs(1);
/// So many looks after the end of a build its log is over, though nothing says that it is whole.
const LAST_LOOKS: u32 = 30;

/// Whose log, and what is known of the build.
pub(super) struct Wanted {
    pub(super) app: SharedApp,
    pub(super) key: LogKey,
    pub(super) known: Known,
}

/// The engine's log; the archive's where the engine does not know it any more, and where the times are asked for.
pub(super) async fn source(wanted: Wanted) -> Result<LogSource, EngineError> {
    let LogKey { build, task, stream, both, times } = &wanted.key;
    if *both {
        return both::source(&wanted).await;
    }
    if *times {
        let archive = wanted.own().await?;
        let none = || EngineError::Unknown(format!("the archive of the log of {build}"));
        return archive.map(Archive::into_source).ok_or_else(none);
    }
    match wanted.app.engine.log(build, task, *stream).await {
        Err(EngineError::Unknown(what)) => {
            let archive = wanted.own().await?;
            archive.map(Archive::into_source).ok_or(EngineError::Unknown(what))
        }
        Ok(source) if *task == ARCHIVED && wanted.app.store.is_some() => Ok(with_archive(source, wanted)),
        other @ (Ok(_) | Err(_)) => other,
    }
}

/// The engine's pieces, and the archive's where it says that it will never have any.
fn with_archive(mut source: LogSource, wanted: Wanted) -> LogSource {
    let (to, pieces) = mpsc::channel(PIECES);
    tokio::spawn(async move {
        let mut any = false;
        while let Some(piece) = source.next().await {
            any |= matches!(piece, LogPiece::Data(_) | LogPiece::Gap(_));
            if !any && matches!(piece, LogPiece::Never(_)) {
                match wanted.own().await {
                    Ok(Some(archive)) => return archive.pour(&to).await,
                    Ok(None) => {}
                    Err(error) => {
                        tracing::warn!(error = &error as &dyn std::error::Error, "the archive of a log cannot be read");
                        return;
                    }
                }
            }
            if to.send(piece).await.is_err() {
                return;
            }
        }
    });
    LogSource::new(pieces)
}

impl Wanted {
    /// The archive of the one stream that is wanted.
    async fn own(&self) -> Result<Option<Archive>, EngineError> {
        let stream = match self.key.stream {
            LogStream::Stdout => Stream::Stdout,
            LogStream::Stderr => Stream::Stderr,
        };
        self.archive(stream).await
    }

    /// None where nothing of it is archived.
    pub(super) async fn archive(&self, stream: Stream) -> Result<Option<Archive>, EngineError> {
        let Some(store) = self.app.store.clone().filter(|_| self.key.task == ARCHIVED) else { return Ok(None) };
        let unavailable = |error: Box<dyn std::error::Error + Send + Sync>| EngineError::Unavailable(error);
        let home = self.home().await.map_err(|error| unavailable(Box::new(error)))?;
        let Some(home) = home else { return Ok(None) };
        let (place, joiner) = (home.place(), Joiner::default());
        let stamper = (self.key.times && !self.key.both).then(Stamper::default);
        let (app, known) = (SharedApp::clone(&self.app), self.known.clone());
        let archive = Archive { app, known, store, place, own: home.own, stream, joiner, stamper };
        let there = archive.there().await.map_err(|error| unavailable(Box::new(error)))?;
        // Of a build that runs, something will come.
        Ok((there || (self.key.times && !self.key.both && !matches!(self.known.tracked, Tracked::Done(_))))
            .then_some(archive))
    }

    async fn home(&self) -> Result<Option<Home>, crate::registry::RegistryError> {
        home_of_known(&self.app, &self.known).await
    }
}

/// The archive of one stream, being read.
pub(super) struct Archive {
    app: SharedApp,
    known: Known,
    store: Store,
    place: BuildPlace,
    own: crate::domain::id::ClaimId,
    stream: Stream,
    joiner: Joiner,
    stamper: Option<Stamper>,
}

/// What is read of an archive.
pub(super) enum Part {
    /// So many bytes are missing, and then comes this.
    Text(u64, Option<Chunk>),
    /// All has been read, and so many bytes are missing at the end.
    End(u64),
    /// Nothing more will come, though nothing says that this is all.
    Broken(&'static str),
}

/// What comes next of an archive.
enum Found {
    Chunk(Chunk),
    /// All of it has been read, and so many bytes of it are missing at its end.
    Whole(u64),
    /// Nothing more is there now.
    Nothing,
}

impl Archive {
    fn into_source(self) -> LogSource {
        let (to, pieces) = mpsc::channel(PIECES);
        tokio::spawn(async move { self.pour(&to).await });
        LogSource::new(pieces)
    }

    /// Whether there is anything of it.
    async fn there(&self) -> Result<bool, StoreError> {
        let folder = self.place.log(&self.own, self.stream);
        Ok(!self.store.list(&folder, None, 1).await?.is_empty())
    }

    /// All of it, and what is still being archived.
    async fn pour(mut self, to: &mpsc::Sender<LogPiece>) {
        loop {
            let pieces = match self.part().await {
                Ok(Part::Text(missing, chunk)) => self.pieces(missing, chunk),
                Ok(Part::End(0)) => vec![LogPiece::End],
                Ok(Part::End(missing)) => vec![gap(missing), LogPiece::End],
                Ok(Part::Broken(why)) => vec![LogPiece::Never(why.to_owned())],
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "the archive of a log cannot be read");
                    // Without a word: what reads says that it broke off.
                    return;
                }
            };
            for piece in pieces {
                let last = matches!(piece, LogPiece::End | LogPiece::Never(_));
                if to.send(piece).await.is_err() || last {
                    return;
                }
            }
        }
    }

    /// What comes next, once it is there.
    pub(super) async fn part(&mut self) -> Result<Part, StoreError> {
        let mut looks = 0;
        loop {
            match self.next().await? {
                Found::Chunk(chunk) => {
                    let joined = self.joiner.take(chunk);
                    return Ok(Part::Text(joined.missing, joined.chunk));
                }
                Found::Whole(missing) => return Ok(Part::End(missing)),
                Found::Nothing if looks < LAST_LOOKS && !self.is_long_over() => {
                    tokio::time::sleep(LOOK).await;
                    looks += u32::from(self.is_over().await);
                }
                Found::Nothing => {
                    let why = "the archive of the log breaks off here: the build ended without saying that it is whole";
                    return Ok(Part::Broken(why));
                }
            }
        }
    }

    fn pieces(&mut self, missing: u64, chunk: Option<Chunk>) -> Vec<LogPiece> {
        let missing = (missing > 0).then(|| gap(missing));
        let text = chunk.map(|chunk| match &mut self.stamper {
            Some(stamper) => LogPiece::Data(Bytes::from(stamper.stamp(&chunk))),
            None => LogPiece::Data(chunk.text),
        });
        missing.into_iter().chain(text).collect()
    }

    async fn next(&self) -> Result<Found, StoreError> {
        let here = self.place.log_chunk(&self.own, self.stream, self.joiner.at());
        if let Some(chunk) = self.chunk(&here).await? {
            return Ok(Found::Chunk(chunk));
        }
        if let Some(end) = self.end().await? {
            let missing = self.joiner.missing_to(end.length);
            if missing == 0 {
                return Ok(Found::Whole(0));
            }
            return Ok(match self.later(&here).await? {
                Some(chunk) => Found::Chunk(chunk),
                None => Found::Whole(missing),
            });
        }
        // Chunks come in order: one that is behind another is there before it.
        Ok(self.later(&here).await?.map_or(Found::Nothing, Found::Chunk))
    }

    /// The next chunk that is there behind `key`.
    async fn later(&self, key: &Key) -> Result<Option<Chunk>, StoreError> {
        let folder = self.place.log(&self.own, self.stream);
        for listed in self.store.list(&folder, Some(key), 2).await? {
            if let Some((key, Place::Build(..))) = Key::read(&listed.key)
                && key != self.place.log_end(&self.own, self.stream)
                && let Some(chunk) = self.chunk(&key).await?
            {
                return Ok(Some(chunk));
            }
        }
        Ok(None)
    }

    async fn chunk(&self, key: &Key) -> Result<Option<Chunk>, StoreError> {
        let Some(wire) = self.store.read(key, CHUNK_MOST as u64).await? else { return Ok(None) };
        let chunk = Chunk::from_wire(&wire);
        let chunk = chunk.inspect_err(|error| tracing::warn!(key = key.as_str(), %error, "a chunk of a log is none"));
        // Nothing but a chunk that goes on from here is one: else this would never end.
        Ok(chunk.ok().filter(|chunk| chunk.end() > self.joiner.at()))
    }

    async fn end(&self) -> Result<Option<End>, StoreError> {
        let read = self.store.read(&self.place.log_end(&self.own, self.stream), 1024).await?;
        Ok(read.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// Whether the build was over before anybody asked, and for so long that nothing can come.
    fn is_long_over(&self) -> bool {
        match &self.known.tracked {
            Tracked::Done(done) => {
                jiff::Timestamp::now().duration_since(done.finished) > jiff::SignedDuration::from_mins(10)
            }
            Tracked::Open(_) | Tracked::Not => false,
        }
    }

    async fn is_over(&self) -> bool {
        let known = match known::find_shared(&self.app, &self.known.build).await {
            Ok(Some(known)) => known,
            Ok(None) => return true,
            Err(_passes) => return false,
        };
        matches!(verdict::of_known(&self.app, &known).await, Ok(Verdict::Ended(_)))
    }
}

pub(super) fn gap(missing: u64) -> LogPiece {
    LogPiece::Gap(format!("{missing} bytes of the log are missing here: they did not arrive in the archive"))
}
