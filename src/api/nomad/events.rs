//! The event stream: a line of JSON for each change in the namespace, and `{}` each 30 s.

use serde::Deserialize;

use super::frames::FrameError;
use super::lines::Lines;
use super::{Call, Nomad, NomadError};
use crate::domain::id::BuildId;

/// What builds go through.
const TOPICS: [(&str, &str); 3] = [("topic", "Job"), ("topic", "Allocation"), ("topic", "Evaluation")];

/// What one line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventBatch {
    /// The raft index it happened at; none for a sign of life.
    pub index: Option<u64>,
    /// The builds it is about, each once.
    pub builds: Vec<BuildId>,
}

/// The event stream of a namespace, open.
#[derive(Debug)]
pub struct EventStream {
    response: reqwest::Response,
    lines: Lines,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Line {
    #[serde(default)]
    index: Option<u64>,
    #[serde(default)]
    events: Option<Vec<Event>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Event {
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    filter_keys: Option<Vec<String>>,
}

impl Nomad {
    /// Opens the event stream at `index` (that one included); without it all that the agent remembers comes first.
    /// A missing right is no refusal here: the stream just ends, without a line.
    ///
    /// # Errors
    /// When Nomad does not answer, or refuses.
    pub async fn events(&self, index: Option<u64>) -> Result<EventStream, NomadError> {
        let index = index.map(|index| index.to_string());
        let mut query = TOPICS.to_vec();
        query.extend(index.as_deref().map(|index| ("index", index)));
        let response = self.open(Call::get("read events", &["v1", "event", "stream"], &query)).await?;
        Ok(EventStream { response, lines: Lines::default() })
    }
}

impl EventStream {
    /// The next line; none at the stream's end. Nothing is lost when the call is given up. Without a limit of time:
    /// silence for more than a minute means that the other side is gone.
    ///
    /// # Errors
    /// When the stream broke. It must not be read again.
    pub async fn next(&mut self) -> Result<Option<EventBatch>, FrameError> {
        loop {
            if let Some(line) = self.lines.next()? {
                if line.iter().all(u8::is_ascii_whitespace) {
                    continue;
                }
                return batch(&line).map(Some);
            }
            match self.response.chunk().await {
                Ok(Some(piece)) => self.lines.push(&piece),
                Ok(None) => return Ok(None),
                Err(error) => return Err(FrameError::Cut(error.without_url())),
            }
        }
    }
}

/// A build's id is the key of its job's events, and the first filter key of its allocations' and evaluations'.
fn batch(line: &[u8]) -> Result<EventBatch, FrameError> {
    let line: Line = serde_json::from_slice(line).map_err(FrameError::Json)?;
    let events = line.events.unwrap_or_default();
    let keys = events.into_iter().flat_map(|event| event.filter_keys.unwrap_or_default().into_iter().chain(event.key));
    let mut builds: Vec<BuildId> = keys.filter_map(|key| key.parse().ok()).collect();
    builds.sort();
    builds.dedup();
    Ok(EventBatch { index: line.index, builds })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn each_recorded_line_names_its_build() {
        let recorded: Value =
            serde_json::from_str(include_str!("../../../tests/fixture/nomad/events/replay-one-child.json")).unwrap();
        let lines = recorded["lines"].as_array().unwrap();
        let build: BuildId = "fx-ev/dispatch-1795266113-1891647a".parse().unwrap();
        let mut seen = 0;
        for line in lines {
            let batch = batch(line.to_string().as_bytes()).unwrap();
            if line.get("Index").is_none() {
                assert_eq!(batch, EventBatch { index: None, builds: Vec::new() });
                continue;
            }
            assert_eq!(batch.index, line["Index"].as_u64());
            assert_eq!(batch.builds, std::slice::from_ref(&build));
            seen += 1;
        }
        assert!(seen > 2);
    }

    #[test]
    fn a_job_that_is_no_build_is_nothing() {
        let line = br#"{"Index":7,"Events":[{"Topic":"Job","Key":"web","FilterKeys":null},{"Key":"b/dispatch-1-a"}]}"#;
        let batch = batch(line).unwrap();
        assert_eq!(batch, EventBatch { index: Some(7), builds: vec!["b/dispatch-1-a".parse().unwrap()] });
        assert!(super::batch(b"<html>").is_err());
    }
}
