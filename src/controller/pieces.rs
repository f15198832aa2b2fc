//! A body that comes piece by piece, for a parser that reads on a thread of its own.

use std::io::{BufRead, Read, Result};

use bytes::{Buf as _, Bytes};
use tokio::sync::mpsc::Receiver;

/// Ends when the sender is gone.
#[derive(Debug)]
pub(super) struct Pieces {
    receiver: Receiver<Bytes>,
    now: Bytes,
}

impl Pieces {
    pub(super) fn new(receiver: Receiver<Bytes>) -> Self {
        Self { receiver, now: Bytes::new() }
    }
}

impl BufRead for Pieces {
    fn fill_buf(&mut self) -> Result<&[u8]> {
        while self.now.is_empty() {
            match self.receiver.blocking_recv() {
                Some(piece) => self.now = piece,
                None => break,
            }
        }
        Ok(&self.now)
    }

    fn consume(&mut self, amount: usize) {
        self.now.advance(amount);
    }
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}
