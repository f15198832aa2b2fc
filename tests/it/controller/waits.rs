//! Every wait has an end.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::hostile::head;
use super::{given, start};

#[tokio::test(start_paused = true)]
async fn prepared_waits_for_the_sidecar_and_until_then_the_files_stay() {
    let running = start(given(true)).await;
    let trusted = running.as_trusted();
    let early = trusted.prepared().await.unwrap_err();
    assert!(early.waiting(), "{early}");
    assert!(running.trusted_socket().exists() && running.dir.join("albatros-trusted.token").exists());

    let sidecar = running.as_trusted();
    let (prepared, attached) = tokio::join!(trusted.prepared(), sidecar.attach());
    prepared.unwrap();
    attached.unwrap();
    assert!(!running.trusted_socket().exists() && !running.dir.join("albatros-trusted.token").exists());
    assert!(running.socket().exists() && running.dir.join("albatros.token").exists());
}

#[tokio::test(start_paused = true)]
async fn a_quiet_stream_says_now_and_then_that_it_is_alive() {
    let running = start(given(true)).await;
    let mut stream = running.as_trusted().events(None).await.unwrap();
    assert_eq!(stream.chunk().await.unwrap().unwrap(), ":\n\n");
}

#[tokio::test(start_paused = true)]
async fn a_body_and_a_head_that_never_come_are_not_waited_for() {
    let running = start(given(true)).await;
    for (text, status) in [
        (head("POST /v1/events", &running.script, "Content-Type: application/json\r\nContent-Length: 9\r\n"), "408"),
        (head("POST /v1/report", &running.script, "Content-Type: text/markdown\r\nContent-Length: 9\r\n"), "408"),
        ("GET /v1/build HTTP/1.1\r\nHo".to_owned(), ""),
        (String::new(), ""),
    ] {
        let mut stream = UnixStream::connect(running.socket()).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let ended = timeout(Duration::from_secs(60), stream.read_to_string(&mut answer)).await;
        assert!(ended.is_ok(), "{text:?} is waited for");
        assert_eq!(answer.split(' ').nth(1).unwrap_or_default(), status, "{text:?}: {answer}");
    }
}
