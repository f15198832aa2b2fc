//! Connections that can be cut from outside, counted and limited.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::connect_info::Connected;
use axum::response::Response;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// What all connections of a fake share.
#[derive(Debug)]
pub(super) struct Lines {
    pub(super) refuse: AtomicBool,
    pub(super) open: AtomicUsize,
    pub(super) most: AtomicUsize,
    pub(super) all: Mutex<CancellationToken>,
}

impl Lines {
    pub(super) fn new() -> Self {
        Self {
            refuse: AtomicBool::new(false),
            open: AtomicUsize::new(0),
            most: AtomicUsize::new(usize::MAX),
            all: Mutex::default(),
        }
    }
}

const TOO_MANY: &str = "HTTP/1.1 429 Too Many Requests\r\nContent-Type: text/plain\r\nContent-Length: 81\r\nConnection: close\r\n\r\nYour IP is issuing too many concurrent connections, please rate limit your calls\n";

/// Where connections come in.
#[derive(Debug)]
pub(super) struct Gate {
    pub(super) listener: TcpListener,
    pub(super) lines: Arc<Lines>,
}

/// One connection.
#[derive(Debug, Clone)]
pub(super) struct Line(CancellationToken);

impl Line {
    /// Cuts the connection; the answer is never sent.
    pub(super) fn cut(&self) -> Response {
        self.0.cancel();
        Response::new(Body::empty())
    }
}

impl Connected<IncomingStream<'_, Gate>> for Line {
    fn connect_info(stream: IncomingStream<'_, Gate>) -> Self {
        stream.remote_addr().clone()
    }
}

impl Listener for Gate {
    type Io = Cuttable;
    type Addr = Line;

    async fn accept(&mut self) -> (Cuttable, Line) {
        loop {
            let Ok((mut stream, _)) = self.listener.accept().await else {
                tokio::task::yield_now().await;
                continue;
            };
            if self.lines.refuse.load(Ordering::SeqCst) {
                continue;
            }
            if self.lines.open.load(Ordering::SeqCst) >= self.lines.most.load(Ordering::SeqCst) {
                tokio::spawn(async move {
                    let _ = stream.read(&mut [0; 4096]).await;
                    let _ = stream.write_all(TOO_MANY.as_bytes()).await;
                });
                continue;
            }
            self.lines.open.fetch_add(1, Ordering::SeqCst);
            let token = self.lines.all.lock().unwrap().child_token();
            let cut = Box::pin(token.clone().cancelled_owned());
            let line = Line(token.clone());
            return (Cuttable { stream, token, cut, lines: self.lines.clone() }, line);
        }
    }

    fn local_addr(&self) -> io::Result<Line> {
        Ok(Line(CancellationToken::new()))
    }
}

/// A connection that can be cut from outside.
#[derive(Debug)]
pub(super) struct Cuttable {
    stream: TcpStream,
    token: CancellationToken,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    lines: Arc<Lines>,
}

impl Drop for Cuttable {
    fn drop(&mut self) {
        self.lines.open.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Cuttable {
    fn poll_cut(&mut self, cx: &mut Context<'_>) -> Result<(), io::Error> {
        if self.token.is_cancelled() || self.cut.as_mut().poll(cx).is_ready() {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(())
    }
}

impl AsyncRead for Cuttable {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.poll_cut(cx)?;
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Cuttable {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_cut(cx)?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_cut(cx)?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
