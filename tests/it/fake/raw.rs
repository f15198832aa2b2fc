//! Requests as bytes, for what no client would send.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::http::Reply;
use super::wire::PATIENCE;

/// Sends these bytes, waits `pause`, closes its side where `close` says so, and reads the answer to its end.
pub(crate) async fn send(base: &str, bytes: &[u8], close: bool) -> Reply {
    let mut stream = TcpStream::connect(base.strip_prefix("http://").unwrap()).await.unwrap();
    // The other side may have answered and closed before it has read everything.
    let _ = stream.write_all(bytes).await;
    if close {
        let _ = stream.shutdown().await;
    }
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "no end to the answer: {}", String::from_utf8_lossy(&answer));
    parse(&answer)
}

/// Sends the head at once and then a byte of the body now and then, until the other side answers or closes.
pub(crate) async fn dribble(base: &str, head: &[u8], every: Duration) -> Reply {
    let stream = TcpStream::connect(base.strip_prefix("http://").unwrap()).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    write.write_all(head).await.unwrap();
    let dribbling = tokio::spawn(async move {
        while write.write_all(b" ").await.is_ok() {
            tokio::time::sleep(every).await;
        }
    });
    let mut answer = Vec::new();
    let ended = tokio::time::timeout(PATIENCE, read.read_to_end(&mut answer)).await;
    dribbling.abort();
    assert!(ended.is_ok(), "a slow body is read for ever");
    parse(&answer)
}

fn parse(answer: &[u8]) -> Reply {
    let text = String::from_utf8_lossy(answer).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    Reply { status, headers: reqwest::header::HeaderMap::new(), text: body.to_owned() }
}
