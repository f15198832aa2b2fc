//! A script that means harm: memory stays flat, and the trusted tasks are answered.

use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::process::Process;
use super::{Running, given, open, start};
use crate::fake::wire::PATIENCE;

/// What a controller may grow by, whatever is thrown at it.
const GROWTH: u64 = 24 << 20;

pub(super) fn head(line: &str, token: &str, more: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n{more}\r\n")
}

/// Sends this head and then pieces without end; the answer's status.
async fn pour(socket: &Path, head: &str, piece: &[u8]) -> u16 {
    let (mut read, mut write) = UnixStream::connect(socket).await.unwrap().into_split();
    write.write_all(head.as_bytes()).await.unwrap();
    let piece = piece.to_vec();
    let pouring = tokio::spawn(async move { while write.write_all(&piece).await.is_ok() {} });
    let mut answer = Vec::new();
    // Cut off is fine, as long as the answer came first.
    let ended = timeout(PATIENCE, read.read_to_end(&mut answer)).await;
    pouring.abort();
    assert!(ended.is_ok(), "a body without end is read for ever");
    String::from_utf8_lossy(&answer).split(' ').nth(1).unwrap_or("0").parse().unwrap()
}

#[tokio::test]
async fn a_body_without_end_is_refused_and_leaves_nothing_behind() {
    let process = Process::start(&[]).await;
    let token = process.token("albatros.token");
    process.as_trusted().build().await.unwrap();
    let before = process.memory();
    let chunk = [b"10000\r\n".as_slice(), &[b' '; 0x10000], b"\r\n"].concat();
    for (line, kind) in [
        ("POST /v1/events", "application/json"),
        ("POST /v1/report", "text/markdown"),
        ("POST /v1/report", "application/xml"),
    ] {
        let chunked = head(line, &token, &format!("Content-Type: {kind}\r\nTransfer-Encoding: chunked\r\n"));
        assert_eq!(pour(&process.socket(), &chunked, &chunk).await, 413, "{line} {kind}");
        let announced = head(line, &token, &format!("Content-Type: {kind}\r\nContent-Length: 99999999999\r\n"));
        assert_eq!(pour(&process.socket(), &announced, &chunk).await, 413, "{line} {kind}");
    }
    let endless = format!("GET /v1/build HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(1000));
    assert_eq!(pour(&process.socket(), &endless, &[b'x'; 4096]).await, 431);
    let grown = process.memory().saturating_sub(before);
    assert!(grown < GROWTH, "{grown} bytes more");
    process.as_trusted().build().await.unwrap();
}

#[tokio::test]
async fn a_flood_of_requests_in_one_connection_is_answered_and_keeps_nothing() {
    const REQUESTS: usize = 100_000;
    let process = Process::start(&[]).await;
    let token = process.token("albatros.token");
    let (mut read, mut write) = UnixStream::connect(process.socket()).await.unwrap().into_split();
    let one = head("GET /v1/params/SECRET1", &token, "");
    let flooding = tokio::spawn(async move {
        let hundred = one.repeat(100);
        for _ in 0..REQUESTS / 100 {
            write.write_all(hundred.as_bytes()).await.unwrap();
        }
        write
    });
    let (mut answers, mut bytes, mut buffer) = (0, 0_usize, vec![0; 64 * 1024]);
    let mut before = None;
    while answers < REQUESTS {
        let count = timeout(PATIENCE, read.read(&mut buffer)).await.expect("an answer").unwrap();
        assert!(count > 0, "cut off after {answers}");
        // Each answer's body is the same two bytes behind its head.
        bytes += count;
        answers += buffer[..count].windows(2).filter(|it| it == b"xx").count();
        if answers > REQUESTS / 10 {
            before.get_or_insert_with(|| process.memory());
        }
    }
    assert!(bytes > 0 && answers <= REQUESTS + REQUESTS / 100, "{answers}");
    flooding.await.unwrap();
    let grown = process.memory().saturating_sub(before.unwrap());
    assert!(grown < GROWTH / 4, "{grown} bytes more");
}

#[tokio::test]
async fn a_flood_of_connections_does_not_keep_the_trusted_tasks_out() {
    let process = Process::start(&[]).await;
    let token = process.token("albatros.token");
    let mut held = Vec::new();
    for number in 0..300 {
        // A full queue refuses: as good as a connection.
        let Ok(Ok(mut stream)) = timeout(Duration::from_millis(200), UnixStream::connect(process.socket())).await
        else {
            break;
        };
        if number % 2 == 0 {
            let _ = stream.write_all(head("GET /v1/build", &token, "").trim_end().as_bytes()).await;
        }
        held.push(stream);
    }
    assert!(held.len() >= 128, "only {} connections", held.len());
    let trusted = process.as_trusted();
    trusted.attach().await.unwrap();
    trusted.workspace().await.unwrap();
    trusted.prepared().await.unwrap();
    drop(held);
    assert_eq!(process.as_script().build().await.unwrap().id, "builder/dispatch-1-a");
}

async fn listen(running: &Running) -> reqwest::Response {
    open(&running.socket(), Some(&running.script), "GET /v1/events", "").await
}

#[tokio::test]
async fn readers_that_never_read_are_few_and_hold_nobody_up() {
    let process = Process::start(&[]).await;
    let token = process.token("albatros.token");
    let mut deaf = Vec::new();
    for _ in 0..16 {
        let mut stream = UnixStream::connect(process.socket()).await.unwrap();
        stream.write_all(head("GET /v1/events", &token, "").as_bytes()).await.unwrap();
        let mut first = [0; 15];
        stream.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 200 OK");
        deaf.push(stream);
    }
    let refused = process.as_script().events(None).await.unwrap_err();
    assert_eq!(refused.status().unwrap(), 429);
    let before = process.memory();
    let data = serde_json::Value::from("x".repeat(4000));
    let script = process.as_script();
    for _ in 0..2000 {
        script.event("flood", &data).await.unwrap();
    }
    let grown = process.memory().saturating_sub(before);
    assert!(grown < GROWTH, "{grown} bytes more");
    process.as_trusted().events(Some(1)).await.unwrap();
}

#[tokio::test]
async fn a_reader_that_leaves_makes_room() {
    let running = start(given(true)).await;
    let mut readers = Vec::new();
    for _ in 0..16 {
        readers.push(listen(&running).await);
    }
    let full = listen(&running).await;
    assert_eq!((full.status().as_u16(), full.headers()["retry-after"].to_str().unwrap()), (429, "1"));
    readers.clear();
    let again = async { while listen(&running).await.status() != 200 {} };
    assert!(timeout(PATIENCE, again).await.is_ok());
}

#[tokio::test]
async fn test_results_that_are_a_bomb_are_refused_or_counted_but_never_kept() {
    let process = Process::start(&[]).await;
    let script = process.as_script();
    script.tests("", "<testsuite/>").await.unwrap();
    let before = process.memory();
    let laughs: String =
        (1..10).map(|n| format!("<!ENTITY l{n} \"{}\">", format!("&l{};", n - 1).repeat(10))).collect();
    let laughs = format!("<!DOCTYPE t [<!ENTITY l0 \"lol\">{laughs}]><testsuite name=\"&l9;\"/>");
    let outside = "<!DOCTYPE t [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><testsuite>&x;</testsuite>".to_owned();
    let deep = "<testsuite>".repeat(700_000);
    let large = format!("<testsuite>{}</testsuite>", " ".repeat(8 << 20));
    for (xml, status) in [(laughs, 422), (outside, 422), (deep, 422), (large, 413)] {
        let refused = script.tests("bomb", xml).await.unwrap_err();
        assert_eq!(refused.status().map(|status| status.as_u16()), Some(status), "{refused:?}");
    }
    let names: String = (0..400_000).map(|n| format!(" a{n}=''")).collect();
    let cases = "<testcase name='x'><failure message='m'/></testcase>".repeat(100_000);
    let long = format!("<testsuite><testcase name='{}'/></testsuite>", "&amp;".repeat(1_500_000));
    for xml in [format!("<testsuite{names}/>"), format!("<testsuite>{cases}</testsuite>"), long] {
        script.tests("bomb", xml).await.unwrap();
    }
    let grown = process.memory().saturating_sub(before);
    assert!(grown < 2 * GROWTH, "{grown} bytes more");
    process.as_trusted().build().await.unwrap();
}
