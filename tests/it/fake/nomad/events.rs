//! `GET /v1/event/stream`.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use serde_json::json;
use tokio::sync::mpsc;

use super::State;
use super::cluster::{Cluster, Event};
use crate::fake::wire::{Call, text};

const HEARTBEAT: Duration = Duration::from_secs(30);

#[derive(Debug, Clone)]
struct Asked {
    namespace: String,
    topics: Vec<(String, String)>,
}

impl Asked {
    fn wants(&self, event: &Event) -> bool {
        let topic = |(topic, key): &(String, String)| {
            (topic == "*" || topic == event.topic) && (key == "*" || event.keys.contains(key))
        };
        (self.namespace == "*" || self.namespace == event.namespace)
            && (self.topics.is_empty() || self.topics.iter().any(topic))
    }
}

/// `allowed`: seen, without a right there are 200 headers, no line at all, and the end.
pub(super) fn answer(state: Arc<State>, call: &Call, allowed: bool) -> Response {
    let Ok(index) = call.param("index").unwrap_or("0").parse::<u64>() else {
        return text(400, "Unable to parse index: strconv.ParseUint");
    };
    let topic = |words: &str| match words.split_once(':') {
        Some((topic, key)) => (topic.to_owned(), key.to_owned()),
        None => (words.to_owned(), "*".to_owned()),
    };
    let asked = Asked {
        namespace: call.param("namespace").unwrap_or("default").to_owned(),
        topics: call.query.iter().filter(|(key, _)| key == "topic").map(|(_, words)| topic(words)).collect(),
    };
    let (send, receive) = mpsc::channel::<Bytes>(16);
    if allowed {
        tokio::spawn(pump(state, asked, index, send));
    }
    let body = futures_util::stream::unfold(receive, |mut receive| async {
        receive.recv().await.map(|bytes| (Ok::<_, std::io::Error>(bytes), receive))
    });
    Response::builder()
        .status(200)
        .header("content-type", "application/json")
        .header("cache-control", "no-cache")
        .header("connection", "close")
        .body(Body::from_stream(body))
        .unwrap()
}

/// The first event to send: from `index` on; beyond the last, the newest once more.
fn first(cluster: &Cluster, index: u64) -> usize {
    let at = cluster.events.partition_point(|event| event.index < index);
    if at == cluster.events.len() && index > cluster.index + 1 { at.saturating_sub(1) } else { at }
}

async fn pump(state: Arc<State>, asked: Asked, index: u64, send: mpsc::Sender<Bytes>) {
    let mut changed = state.changed.subscribe();
    let mut at = state.read(|cluster| first(cluster, index));
    if send.send(Bytes::from_static(b"{}\n")).await.is_err() {
        return;
    }
    loop {
        let fresh: Vec<Event> = state.read(|cluster| cluster.events[at..].to_vec());
        at += fresh.len();
        for event in fresh.iter().filter(|event| asked.wants(event)) {
            let line = format!("{}\n", json!({"Events": [event.body], "Index": event.index}));
            if send.send(Bytes::from(line)).await.is_err() {
                return;
            }
        }
        tokio::select! {
            () = send.closed() => return,
            _ = changed.changed() => {}
            () = tokio::time::sleep(HEARTBEAT) => {
                if send.send(Bytes::from_static(b"{}\n")).await.is_err() {
                    return;
                }
            }
        }
    }
}
