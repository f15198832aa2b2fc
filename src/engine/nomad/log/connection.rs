//! One connection of a log: from its first frame to its end, its silence, or its break.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::attempt;
use super::position::Position;
use super::{Follower, Gone, LOOK, news_of};
use crate::api::nomad::{Frame, FrameError, Frames};
use crate::engine::LogPiece;

/// Nomad gives a sign of life each second; when a node dies, its followers neither end nor get any.
const SILENCE: Duration = Duration::from_secs(10);

/// Signs of life without data after which a dead task's log is at its end.
const EMPTY: u32 = 2;

/// A sign of life that follows sooner than this was sent earlier and lay in a buffer while the reader was slow: the
/// log's last bytes may lie behind it.
const BUFFERED: Duration = Duration::from_millis(400);

/// How a connection ended.
pub(super) enum Poured {
    /// With the log.
    All,
    /// Before it.
    Broken,
}

/// A log stream that is being passed on.
pub(super) struct Connection<'a> {
    pub(super) follower: &'a mut Follower,
    pub(super) allocation: &'a str,
    pub(super) position: &'a mut Position,
    /// Without it the stream ends by itself.
    pub(super) follow: bool,
    /// The task is known to have ended.
    pub(super) dead: bool,
}

/// What comes first.
enum Event {
    Frame(Result<Option<Frame>, FrameError>),
    Silence,
    News,
}

impl Connection<'_> {
    pub(super) async fn pour(&mut self, mut frames: Frames) -> Result<Poured, Gone> {
        let mut dead = self.dead;
        let mut empty = 0;
        let mut looked = Instant::now();
        let mut heard = Instant::now();
        loop {
            let event = self.next(&mut frames, heard + SILENCE).await?;
            let frame = match event {
                Event::Silence => return Ok(Poured::Broken),
                Event::News => {
                    (dead, looked) = (dead || self.is_dead().await?, Instant::now());
                    continue;
                }
                Event::Frame(Ok(Some(frame))) => frame,
                Event::Frame(Ok(None)) => return Ok(if self.follow { Poured::Broken } else { Poured::All }),
                Event::Frame(Err(error)) => {
                    tracing::debug!(error = &error as &dyn std::error::Error, "a log stream broke");
                    return Ok(Poured::Broken);
                }
            };
            match frame {
                Frame::Heartbeat if dead && heard.elapsed() < BUFFERED => {}
                Frame::Heartbeat if dead && empty + 1 >= EMPTY => return Ok(Poured::All),
                Frame::Heartbeat if dead => empty += 1,
                Frame::Heartbeat if looked.elapsed() > LOOK => {
                    (dead, looked) = (self.is_dead().await?, Instant::now());
                }
                Frame::Heartbeat => {}
                Frame::Data { file, bytes } => {
                    empty = 0;
                    let piece = self.position.take(file, bytes);
                    if let Some(gap) = piece.gap {
                        self.follower.tell(LogPiece::Gap(gap)).await?;
                    }
                    if !piece.bytes.is_empty() {
                        self.follower.tell(LogPiece::Data(piece.bytes)).await?;
                    }
                }
                Frame::Event { file, what } => {
                    self.position.restart(file);
                    self.follower.tell(LogPiece::Gap(format!("output may be missing here: Nomad says {what}"))).await?;
                }
            }
            // Not when the frame came: a slow reader is not the other side's silence.
            heard = Instant::now();
        }
    }

    async fn next(&mut self, frames: &mut Frames, until: Instant) -> Result<Event, Gone> {
        let Follower { news, log, out, .. } = &mut *self.follower;
        tokio::select! {
            frame = timeout_at(until, frames.next()) => Ok(frame.map_or(Event::Silence, Event::Frame)),
            () = news_of(news, &log.build), if self.follow => Ok(Event::News),
            () = out.closed() => Err(Gone),
        }
    }

    /// An answer that does not come leaves the task alive: the next look will tell.
    async fn is_dead(&mut self) -> Result<bool, Gone> {
        let Follower { nomad, log, out, .. } = &mut *self.follower;
        tokio::select! {
            allocations = nomad.allocations(log.build.as_str()) => {
                Ok(allocations.is_ok_and(|list| attempt::is_dead(&list, self.allocation, &log.task)))
            }
            () = out.closed() => Err(Gone),
        }
    }
}
