//! A small load generator: many kept connections from one thread, so that the server has the machine's other cores.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::LocalSet;

/// The longest answer that is read.
const ANSWER_MOST: usize = 1 << 20;
/// A single request's limit.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// `0`, end of line, empty line.
const LAST_CHUNK: usize = 5;

/// How much is sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Amount {
    pub(crate) connections: usize,
    /// No request begins later than that.
    pub(crate) within: Duration,
}

/// What came back.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// How many of each status.
    pub(crate) by_status: BTreeMap<u16, usize>,
    pub(crate) took: Duration,
    pub(crate) latencies: Vec<Duration>,
}

impl Answers {
    pub(crate) fn total(&self) -> usize {
        self.by_status.values().sum()
    }

    pub(crate) fn a_second(&self) -> f64 {
        self.total() as f64 / self.took.as_secs_f64().max(1e-9)
    }

    /// Fails unless every answer had this status.
    pub(crate) fn all(&self, status: u16) -> anyhow::Result<()> {
        if self.total() == 0 || self.by_status.keys().any(|other| *other != status) {
            bail!("expected {status} only, the server answered {:?}", self.by_status);
        }
        Ok(())
    }
}

/// Sends `requests` (whole HTTP/1.1 requests), each once; or again and again if `repeat`, until the time is over.
pub(crate) async fn send(
    address: SocketAddr,
    requests: Vec<Vec<u8>>,
    repeat: bool,
    amount: Amount,
) -> anyhow::Result<Answers> {
    tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(LocalSet::new().run_until(send_here(address, requests, repeat, amount)))
    })
    .await?
}

async fn send_here(
    address: SocketAddr,
    requests: Vec<Vec<u8>>,
    repeat: bool,
    amount: Amount,
) -> anyhow::Result<Answers> {
    let (requests, next) = (Arc::new(requests), Arc::new(AtomicUsize::new(0)));
    let mut connections = Vec::new();
    for _ in 0..amount.connections {
        connections.push(Connection::open(address).await?);
    }
    let began = Instant::now();
    let mut workers = Vec::new();
    for mut connection in connections {
        let (requests, next) = (Arc::clone(&requests), Arc::clone(&next));
        workers.push(tokio::task::spawn_local(async move {
            let mut answers = Answers::default();
            while began.elapsed() < amount.within {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let number = if repeat { number % requests.len() } else { number };
                let Some(request) = requests.get(number) else { break };
                let sent = Instant::now();
                let status = connection.exchange(request).await?;
                answers.latencies.push(sent.elapsed());
                *answers.by_status.entry(status).or_default() += 1;
            }
            anyhow::Ok(answers)
        }));
    }
    let mut all = Answers::default();
    for worker in workers {
        let answers = worker.await??;
        all.latencies.extend(answers.latencies);
        for (status, count) in answers.by_status {
            *all.by_status.entry(status).or_default() += count;
        }
    }
    all.took = began.elapsed();
    Ok(all)
}

/// One kept connection.
pub(crate) struct Connection {
    address: SocketAddr,
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await.context("no connection")?;
        stream.set_nodelay(true)?;
        Ok(Self { address, stream, buffer: Vec::with_capacity(4096) })
    }

    /// Sends one request and reads its whole answer, whose body stays for [`Connection::body`].
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<u16> {
        tokio::time::timeout(ANSWER_WITHIN, self.exchange_now(request)).await.context("no answer in time")?
    }

    async fn exchange_now(&mut self, request: &[u8]) -> anyhow::Result<u16> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        loop {
            if let Some(answer) = Head::of(&self.buffer)? {
                while self.buffer.len() < answer.end {
                    self.fill().await?;
                }
                if answer.closes {
                    self.stream = Self::open(self.address).await?.stream;
                }
                self.buffer.drain(..answer.body);
                return Ok(answer.status);
            }
            self.fill().await?;
        }
    }

    /// The last answer's body.
    pub(crate) fn body(&self) -> &[u8] {
        &self.buffer
    }

    async fn fill(&mut self) -> anyhow::Result<()> {
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            bail!("the connection was closed in the middle of an answer");
        }
        if self.buffer.len() > ANSWER_MOST {
            bail!("the answer is too long");
        }
        Ok(())
    }
}

struct Head {
    status: u16,
    body: usize,
    end: usize,
    closes: bool,
}

impl Head {
    fn of(bytes: &[u8]) -> anyhow::Result<Option<Self>> {
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
        let text = std::str::from_utf8(bytes.get(..end).unwrap_or_default())?;
        let status = text.get(9..12).context("no status")?.parse()?;
        let field = |name: &str| {
            let mut lines = text.lines().filter_map(|line| line.split_once(':'));
            lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
        };
        let length: usize = field("content-length").context("an answer without a length")?.parse()?;
        let closes = field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        Ok(Some(Self { status, body: end + 4, end: end + 4 + length, closes }))
    }
}

/// The status of a GET.
pub(crate) async fn get(address: SocketAddr, path: &str) -> anyhow::Result<u16> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    Connection::open(address).await?.exchange(request.as_bytes()).await
}

/// The body of a GET that asks for JSON.
pub(crate) async fn get_json(address: SocketAddr, path: &str) -> anyhow::Result<Vec<u8>> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nAccept: application/json\r\n\r\n");
    let mut connection = Connection::open(address).await?;
    let status = connection.exchange(request.as_bytes()).await?;
    if status != 200 {
        bail!("{path} is answered {status}");
    }
    Ok(connection.body().to_vec())
}

/// What a reader of a log got.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Read {
    pub(crate) status: u16,
    /// Bytes on the wire behind the head.
    pub(crate) bytes: u64,
    /// From the request to the first byte of the body.
    pub(crate) first: Duration,
    /// To the last byte of the body.
    pub(crate) last: Duration,
    /// To the end of the answer.
    pub(crate) took: Duration,
}

/// Reads an answer of any length to its end, keeping nothing of it.
pub(crate) async fn drain(address: SocketAddr, head: String) -> anyhow::Result<Read> {
    let began = Instant::now();
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes()).await?;
    let mut buffer = vec![0; 256 * 1024];
    let mut start = Vec::new();
    let (status, mut bytes) = loop {
        let count = stream.read(&mut buffer).await?;
        start.extend_from_slice(buffer.get(..count).unwrap_or_default());
        if let Some(end) = start.windows(4).position(|four| four == b"\r\n\r\n") {
            let status = std::str::from_utf8(start.get(9..12).unwrap_or_default())?.parse()?;
            break (status, start.len() - end - 4);
        }
        if count == 0 {
            bail!("the connection was closed before an answer");
        }
    };
    let mut first = (bytes > 0).then(|| began.elapsed());
    let mut last = began.elapsed();
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            break;
        }
        // The end of a chunked body is no byte of the log.
        if count > LAST_CHUNK {
            last = began.elapsed();
        }
        bytes += count;
        first.get_or_insert_with(|| began.elapsed());
    }
    let took = began.elapsed();
    Ok(Read { status, bytes: bytes as u64, first: first.unwrap_or(took), last, took })
}

/// Reads a short answer to its end; its status and its body, which must not come in chunks.
pub(crate) async fn read(address: SocketAddr, head: String) -> anyhow::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("{head}\r\n").as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").context("no answer")?;
    Ok((head.get(9..12).context("no status")?.parse()?, body.to_owned()))
}
