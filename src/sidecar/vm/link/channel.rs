//! One stream's bytes and credit, on one side of the link. No I/O is done here.

use std::collections::VecDeque;
use std::task::Waker;

use super::Wrong;
use super::frame::{Head, Kind, PIECE};
use super::purpose::Purpose;

/// How many bytes of a stream are kept in each direction at most; who writes more waits.
pub(super) const WINDOW: usize = 128 << 10;

/// How far one direction of a stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Open,
    /// What is kept is to be given out, and then it is at its end.
    Ending,
    /// At its end.
    Ended,
}

#[derive(Debug)]
pub(super) struct Channel {
    /// Not told to the other side yet.
    opening: Option<Purpose>,
    out: VecDeque<u8>,
    /// What the other side takes.
    credit: usize,
    writing: Way,
    come: VecDeque<u8>,
    /// What the other side may send.
    allowance: usize,
    /// What was read since the last credit was given.
    owed: usize,
    reading: Way,
    /// The other side is to be told that the stream is dead.
    resetting: bool,
    /// It is dead.
    dead: bool,
    /// Nobody reads or writes it here.
    dropped: bool,
    pub(super) reader: Option<Waker>,
    pub(super) writer: Option<Waker>,
}

impl Channel {
    pub(super) fn new(opening: Option<Purpose>) -> Self {
        Self {
            opening,
            out: VecDeque::new(),
            credit: WINDOW,
            writing: Way::Open,
            come: VecDeque::new(),
            allowance: WINDOW,
            owed: 0,
            reading: Way::Open,
            resetting: false,
            dead: false,
            dropped: false,
            reader: None,
            writer: None,
        }
    }

    /// The next frame of this stream, written behind what `wire` holds; false if there is none now.
    pub(super) fn next(&mut self, id: u32, wire: &mut Vec<u8>) -> bool {
        let mut put = |kind, size: usize| {
            let size = u32::try_from(size).unwrap_or(u32::MAX);
            wire.extend_from_slice(&Head { kind, id, size }.bytes());
        };
        if let Some(purpose) = self.opening.take() {
            let text = purpose.text();
            put(Kind::Open, text.len());
            wire.extend_from_slice(text.as_bytes());
            return true;
        }
        if self.resetting {
            self.resetting = false;
            put(Kind::Reset, 0);
            return true;
        }
        if self.dead {
            return false;
        }
        if self.owed >= WINDOW / 2 {
            put(Kind::Credit, self.owed);
            self.allowance += std::mem::take(&mut self.owed);
            return true;
        }
        let size = self.out.len().min(self.credit).min(PIECE);
        if size > 0 {
            put(Kind::Data, size);
            drain(&mut self.out, size, |part| wire.extend_from_slice(part));
            self.credit -= size;
            self.wake_writer();
            return true;
        }
        if self.writing == Way::Ending && self.out.is_empty() {
            self.writing = Way::Ended;
            put(Kind::End, 0);
            self.wake_writer();
            // Who left takes nothing more either: the other side need not wait for that.
            self.resetting = self.dropped && self.reading == Way::Open;
            self.dead = self.dead || self.resetting;
            return true;
        }
        false
    }

    /// Whether nothing of it is left to do on this side.
    pub(super) fn is_over(&self) -> bool {
        let told = self.opening.is_none() && !self.resetting;
        self.dropped && told && (self.dead || self.writing == Way::Ended)
    }

    pub(super) fn take_data(&mut self, data: &[u8]) -> Result<(), Wrong> {
        if self.reading != Way::Open {
            return Err(Wrong("bytes after the end of a stream"));
        }
        self.allowance = self.allowance.checked_sub(data.len()).ok_or(Wrong("more bytes than were asked for"))?;
        if !self.dropped && !self.dead {
            self.come.extend(data);
            self.wake_reader();
        }
        Ok(())
    }

    pub(super) fn take_credit(&mut self, more: u32) -> Result<(), Wrong> {
        let credit = self.credit.saturating_add(more as usize);
        if credit > WINDOW {
            return Err(Wrong("more credit than there were bytes"));
        }
        self.credit = credit;
        Ok(())
    }

    pub(super) fn take_end(&mut self) {
        if self.reading == Way::Open {
            self.reading = Way::Ending;
            self.wake_reader();
        }
    }

    /// The other side, or the link itself, has given it up.
    pub(super) fn take_reset(&mut self) {
        self.dead = true;
        self.out = VecDeque::new();
        self.wake_reader();
        self.wake_writer();
    }

    /// What has come, as much as `room` takes; none: there may be more later.
    pub(super) fn read(&mut self, room: &mut tokio::io::ReadBuf<'_>) -> Option<std::io::Result<()>> {
        if self.come.is_empty() {
            return match (self.reading, self.dead) {
                (Way::Ending | Way::Ended, _) => {
                    self.reading = Way::Ended;
                    Some(Ok(()))
                }
                (Way::Open, true) => Some(Err(std::io::ErrorKind::ConnectionReset.into())),
                (Way::Open, false) => None,
            };
        }
        let size = self.come.len().min(room.remaining());
        drain(&mut self.come, size, |part| room.put_slice(part));
        self.owed += size;
        Some(Ok(()))
    }

    /// Takes what there is room for; none: there is none now.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Option<std::io::Result<usize>> {
        if self.dead || self.writing != Way::Open {
            return Some(Err(std::io::ErrorKind::BrokenPipe.into()));
        }
        let taken = bytes.len().min(WINDOW.saturating_sub(self.out.len()));
        self.out.extend(bytes.get(..taken).unwrap_or_default());
        (taken > 0 || bytes.is_empty()).then_some(Ok(taken))
    }

    /// Whether all that was written is on its way; none: not yet.
    pub(super) fn flushed(&self) -> Option<std::io::Result<()>> {
        match (self.dead && self.writing == Way::Open, self.out.is_empty()) {
            (true, _) => Some(Err(std::io::ErrorKind::BrokenPipe.into())),
            (false, true) => Some(Ok(())),
            (false, false) => None,
        }
    }

    /// No more is written; none: what was is not yet all on its way.
    pub(super) fn end(&mut self) -> Option<std::io::Result<()>> {
        if self.writing == Way::Open {
            self.writing = Way::Ending;
        }
        match (self.writing, self.dead) {
            (Way::Ended, _) => Some(Ok(())),
            (Way::Open | Way::Ending, true) => Some(Err(std::io::ErrorKind::BrokenPipe.into())),
            (Way::Open | Way::Ending, false) => None,
        }
    }

    /// Nobody here reads or writes it any more: what was written before an end still goes out.
    pub(super) fn leave(&mut self) {
        self.dropped = true;
        self.come = VecDeque::new();
        let unfinished = self.writing == Way::Open || (self.writing == Way::Ended && self.reading == Way::Open);
        if unfinished && !self.dead {
            self.resetting = true;
            self.dead = true;
            self.out = VecDeque::new();
        }
    }

    fn wake_reader(&mut self) {
        if let Some(waker) = self.reader.take() {
            waker.wake();
        }
    }

    fn wake_writer(&mut self) {
        if let Some(waker) = self.writer.take() {
            waker.wake();
        }
    }
}

/// Takes `size` bytes from the front, in whole parts: byte by byte it would be most of the work.
fn drain(from: &mut VecDeque<u8>, size: usize, mut each: impl FnMut(&[u8])) {
    let (first, second) = from.as_slices();
    let near = size.min(first.len());
    each(first.get(..near).unwrap_or_default());
    each(second.get(..size - near).unwrap_or_default());
    from.drain(..size);
}
