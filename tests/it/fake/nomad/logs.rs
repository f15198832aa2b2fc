//! `GET /v1/client/fs/logs/<allocation>`: framed and plain, followed or not, with rotation.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::State;
use super::cluster::Cluster;
use crate::fake::wire::{Call, text};

/// What Nomad reads at once.
const READ: usize = 64 * 1024;
/// How often an idle framed follower gets `{}`.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// One stream of one task, in files that rotate.
#[derive(Debug, Default)]
pub(super) struct Log {
    files: Vec<(u64, Vec<u8>)>,
}

impl Log {
    /// Appends; `limits` is the most files, and the most bytes in one.
    pub(super) fn write(&mut self, mut bytes: &[u8], limits: Option<(usize, usize)>) {
        let (most, size) = limits.unwrap_or((1, usize::MAX));
        while !bytes.is_empty() {
            let next = self.files.last().map_or(0, |(number, _)| number + 1);
            if self.files.last().is_none_or(|(_, data)| data.len() >= size) {
                self.files.push((next, Vec::new()));
                let extra = self.files.len().saturating_sub(most);
                self.files.drain(..extra);
            }
            let (_, data) = self.files.last_mut().unwrap();
            let (now, rest) = bytes.split_at(bytes.len().min(size - data.len()));
            data.extend_from_slice(now);
            bytes = rest;
        }
    }

    /// Where a reader with this origin and offset begins: file and place in it.
    fn seek(&self, from_end: bool, offset: i64) -> (u64, usize) {
        let total: usize = self.files.iter().map(|(_, data)| data.len()).sum();
        let size = usize::try_from(offset.unsigned_abs()).unwrap();
        let mut left = match (from_end, offset) {
            (true, 0) => return self.files.last().map_or((0, 0), |(number, _)| (*number, 0)),
            (true, _) | (false, i64::MIN..0) => total.saturating_sub(size),
            (false, _) => size,
        };
        for (number, data) in &self.files {
            if left < data.len() {
                return (*number, left);
            }
            left -= data.len();
        }
        self.files.last().map_or((0, left), |(number, data)| (*number, data.len() + left))
    }

    /// The next bytes of a reader, who is moved on; none when there are none now.
    fn read(&self, at: &mut (u64, usize)) -> Option<(String, usize, Vec<u8>)> {
        loop {
            let file = self.files.iter().find(|(number, _)| *number == at.0);
            if let Some((number, data)) = file
                && let Some(rest) = data.get(at.1..)
                && !rest.is_empty()
            {
                let chunk = rest[..rest.len().min(READ)].to_vec();
                at.1 += chunk.len();
                return Some((number.to_string(), at.1, chunk));
            }
            // A file that was rotated away is passed over without a word, as Nomad does.
            let (next, _) = self.files.iter().find(|(number, _)| *number > at.0)?;
            *at = (*next, 0);
        }
    }
}

/// What a reader asked for.
#[derive(Debug, Clone)]
struct Asked {
    alloc: String,
    task: String,
    stream: String,
    follow: bool,
    plain: bool,
    from_end: bool,
    offset: i64,
}

fn parse(call: &Call, alloc: &str) -> Result<Asked, Response> {
    if alloc.len() != 36 {
        return Err(text(500, "alloc lookup failed: index error: UUID must be 36 characters"));
    }
    let flag = |name: &str| match call.param(name) {
        None => Ok(false),
        Some(word) => word.parse().map_err(|_| {
            text(
                400,
                format!("failed to parse {name} field to boolean: strconv.ParseBool: parsing {word:?}: invalid syntax"),
            )
        }),
    };
    let Some(task) = call.param("task").filter(|task| !task.is_empty()) else {
        return Err(text(400, "must provide task name"));
    };
    let stream = match call.param("type") {
        Some(stream @ ("stdout" | "stderr")) => stream.to_owned(),
        _ => return Err(text(400, "must provide log type (stdout/stderr)")),
    };
    let from_end = match call.param("origin") {
        None | Some("start" | "") => false,
        Some("end") => true,
        Some(_) => return Err(text(400, "origin must be start or end")),
    };
    let offset = match call.param("offset").map(str::parse) {
        None => 0,
        Some(Ok(offset)) => offset,
        Some(Err(_)) => return Err(text(400, "error parsing offset")),
    };
    let (follow, plain) = (flag("follow")?, flag("plain")?);
    Ok(Asked { alloc: alloc.to_owned(), task: task.to_owned(), stream, follow, plain, from_end, offset })
}

fn ready(cluster: &Cluster, asked: &Asked) -> Result<(u64, usize), Response> {
    let id = &asked.alloc;
    let Some(alloc) = cluster.allocs.get(id) else {
        return Err(text(404, format!("Unknown allocation {id:?}")));
    };
    if alloc.dark {
        return Err(text(404, "No path to node"));
    }
    if alloc.collected {
        return Err(text(404, format!("state for allocation {id:?} not found on client")));
    }
    let not_started = || Err(text(404, format!("task {:?} not started yet. No logs available", asked.task)));
    let state = match &alloc.stub["TaskStates"] {
        Value::Null => return not_started(),
        states => &states[&asked.task],
    };
    if state.is_null() {
        return Err(text(400, format!("unknown task name {:?}", asked.task)));
    }
    if state["StartedAt"].is_null() {
        return not_started();
    }
    let log = alloc.logs.get(&(asked.task.clone(), asked.stream.clone()));
    Ok(log.map_or((0, usize::try_from(asked.offset).unwrap_or(0)), |log| log.seek(asked.from_end, asked.offset)))
}

pub(super) fn answer(state: Arc<State>, call: &Call, alloc: &str) -> Response {
    let asked = match parse(call, alloc) {
        Ok(asked) => asked,
        Err(refused) => return refused,
    };
    let at = match state.read(|cluster| ready(cluster, &asked)) {
        Ok(at) => at,
        Err(refused) => return refused,
    };
    let kind = if asked.plain { "text/plain" } else { "application/json" };
    let (send, receive) = mpsc::channel::<Bytes>(2);
    tokio::spawn(pump(state, asked, at, send));
    let body = futures_util::stream::unfold(receive, |mut receive| async {
        receive.recv().await.map(|bytes| (Ok::<_, std::io::Error>(bytes), receive))
    });
    Response::builder().status(200).header("content-type", kind).body(Body::from_stream(body)).unwrap()
}

/// Feeds one reader until it leaves, or has all where it does not follow.
async fn pump(state: Arc<State>, asked: Asked, mut at: (u64, usize), send: mpsc::Sender<Bytes>) {
    let mut changed = state.changed.subscribe();
    loop {
        let key = (asked.task.clone(), asked.stream.clone());
        let (dark, found) = state.read(|cluster| match cluster.allocs.get(&asked.alloc) {
            Some(alloc) => (alloc.dark, alloc.logs.get(&key).and_then(|log| log.read(&mut at))),
            None => (false, None),
        });
        if let Some((file, end, chunk)) = found {
            let bytes = if asked.plain {
                Bytes::from(chunk)
            } else {
                let name = format!("alloc/logs/{}.{}.{file}", asked.task, asked.stream);
                let frame = json!({"Data": STANDARD.encode(chunk), "File": name, "Offset": end});
                Bytes::from(frame.to_string())
            };
            if send.send(bytes).await.is_err() {
                return;
            }
            continue;
        }
        if !asked.follow {
            return;
        }
        tokio::select! {
            () = send.closed() => return,
            _ = changed.changed() => {}
            // Seen: when the node dies, its followers get no heartbeats either.
            () = tokio::time::sleep(HEARTBEAT), if !dark && !asked.plain => {
                if send.send(Bytes::from_static(b"{}")).await.is_err() {
                    return;
                }
            }
        }
    }
}
