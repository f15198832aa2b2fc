//! The first stream of a machine: messages, a line each.

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, ReadHalf, WriteHalf};
use tokio::sync::mpsc;

use super::super::super::link::Stream;
use crate::domain::vm::{LINE_MOST, ToGuest};

/// Hands lines on; none when there are no more, or one is longer than any.
pub(super) async fn hear(from: ReadHalf<Stream>, lines: mpsc::Sender<Option<Vec<u8>>>) {
    let mut from = BufReader::new(from);
    loop {
        let mut line = Vec::new();
        let most = LINE_MOST as u64 + 2;
        let read = (&mut from).take(most).read_until(b'\n', &mut line).await;
        let whole = read.is_ok() && line.pop() == Some(b'\n');
        let last = !whole;
        if lines.send((!last).then_some(line)).await.is_err() || last {
            return;
        }
    }
}

/// Says words, a line each.
pub(super) async fn speak(mut to: WriteHalf<Stream>, mut words: mpsc::Receiver<ToGuest>) {
    while let Some(word) = words.recv().await {
        let Ok(mut line) = serde_json::to_vec(&word) else { return };
        line.push(b'\n');
        if to.write_all(&line).await.is_err() || to.flush().await.is_err() {
            return;
        }
    }
}
