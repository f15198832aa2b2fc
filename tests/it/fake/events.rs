//! A reader of server-sent events.

use serde_json::Value;
use tokio::time::timeout;

use super::http::client;
use super::serve::Serve;
use super::wire::PATIENCE;

/// One event, as an `EventSource` would hand it out.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) data: Value,
}

impl Event {
    /// A field of its data, as text.
    pub(crate) fn text(&self, field: &str) -> String {
        self.data[field].as_str().unwrap_or_default().to_owned()
    }
}

/// Reads as a browser does, but does not come back by itself.
#[derive(Debug)]
pub(crate) struct Reader {
    answer: reqwest::Response,
    buffer: String,
    /// The last id, which the next connection would send.
    pub(crate) last: Option<String>,
}

impl Reader {
    /// Asks for the events of an address.
    pub(crate) async fn ask(serve: &Serve, path: &str, bearer: Option<&str>, last: Option<&str>) -> reqwest::Response {
        let mut request = client().get(format!("{}{path}", serve.url)).header("accept", "text/event-stream");
        if let Some(bearer) = bearer {
            request = request.header("authorization", format!("Bearer {bearer}"));
        }
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        timeout(PATIENCE, request.send()).await.expect("an answer").unwrap()
    }

    /// Begins to read.
    pub(crate) async fn open(serve: &Serve, path: &str, bearer: Option<&str>, last: Option<&str>) -> Self {
        let answer = Self::ask(serve, path, bearer, last).await;
        assert_eq!(answer.status(), 200, "{path}");
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Self { answer, buffer: String::new(), last: last.map(ToOwned::to_owned) }
    }

    /// The next event; none where the stream has ended, or was cut. Comments that keep it open are none.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        timeout(PATIENCE, self.read()).await.expect("an event or an end")
    }

    async fn read(&mut self) -> Option<Event> {
        loop {
            while let Some(at) = self.buffer.find("\n\n") {
                let block: String = self.buffer.drain(..at + 2).collect();
                if let Some(event) = self.take(&block) {
                    return Some(event);
                }
            }
            let more = self.answer.chunk().await.ok().flatten()?;
            self.buffer.push_str(std::str::from_utf8(&more).unwrap());
        }
    }

    fn take(&mut self, block: &str) -> Option<Event> {
        let (mut name, mut data) = ("message".to_owned(), String::new());
        for line in block.lines() {
            match line.split_once(':').map(|(field, value)| (field, value.strip_prefix(' ').unwrap_or(value))) {
                Some(("id", id)) => self.last = Some(id.to_owned()),
                Some(("event", told)) => told.clone_into(&mut name),
                Some(("data", told)) => data.push_str(told),
                Some(("retry", told)) => assert_eq!(told, "2000"),
                Some((_, _)) | None => {}
            }
        }
        (!data.is_empty()).then(|| Event { name, data: serde_json::from_str(&data).unwrap() })
    }

    /// The next event that fits; what comes before it is passed over.
    pub(crate) async fn until(&mut self, what: &str, fits: impl Fn(&Event) -> bool) -> Event {
        loop {
            let event = self.next().await.unwrap_or_else(|| panic!("the stream ended before {what}"));
            if fits(&event) {
                return event;
            }
        }
    }

    /// Until the build's state is this.
    pub(crate) async fn until_state(&mut self, state: &str) -> Event {
        self.until(state, |event| event.data["state"] == state).await
    }
}
