//! Between a thread that packs or unpacks and the task that sends or receives: pieces of bytes, a bounded number.

use std::io::{self, Read, Write};

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::sync::mpsc::{Receiver, Sender};

/// A piece's size, bytes.
pub(super) const PIECE: usize = 256 * 1024;
/// Pieces on their way.
pub(super) const AHEAD: usize = 4;

/// Gathers what is written into pieces.
#[derive(Debug)]
pub(super) struct PieceWriter {
    sender: Sender<Bytes>,
    now: BytesMut,
}

impl PieceWriter {
    pub(super) fn new(sender: Sender<Bytes>) -> Self {
        Self { sender, now: BytesMut::new() }
    }

    fn send(&mut self) -> io::Result<()> {
        let piece = self.now.split().freeze();
        if piece.is_empty() {
            return Ok(());
        }
        self.sender.blocking_send(piece).map_err(|_gone| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for PieceWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = PIECE.saturating_sub(self.now.len());
        let taken = bytes.get(..room.min(bytes.len())).unwrap_or_default();
        self.now.reserve(PIECE - self.now.len());
        self.now.extend_from_slice(taken);
        if self.now.len() >= PIECE {
            self.send()?;
        }
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send()
    }
}

/// Reads pieces as they come, until the sender is gone.
#[derive(Debug)]
pub(super) struct PieceReader {
    receiver: Receiver<Bytes>,
    now: Bytes,
}

impl PieceReader {
    pub(super) fn new(receiver: Receiver<Bytes>) -> Self {
        Self { receiver, now: Bytes::new() }
    }
}

impl Read for PieceReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.now.is_empty() {
            match self.receiver.blocking_recv() {
                Some(piece) => self.now = piece,
                None => return Ok(0),
            }
        }
        let count = self.now.len().min(buffer.len());
        if let Some(room) = buffer.get_mut(..count) {
            self.now.copy_to_slice(room);
        }
        Ok(count)
    }
}
