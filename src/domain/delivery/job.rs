//! A job of a workflow, as deliveries and lists have it; Gitea took GitHub's words over.

use serde::Deserialize;

use super::DeliveryError;
use crate::domain::event::Event;
use crate::domain::id::CommitSha;
use crate::domain::json::shown;
use crate::domain::runners::{ByRunner, JobAt, SeenJob, SeenState};

/// The most labels of a job that are looked at: with more it is for no pool.
const MOST_LABELS: usize = 64;
/// The longest address that a page links to.
const LONGEST_URL: usize = 2048;

#[derive(Deserialize)]
struct Delivery {
    #[serde(default)]
    action: String,
    workflow_job: ListedJob,
    #[serde(default)]
    repository: Option<Repository>,
    #[serde(default)]
    sender: Option<Account>,
}

#[derive(Deserialize)]
struct Repository {
    #[serde(default)]
    private: Option<bool>,
}

#[derive(Deserialize)]
struct Account {
    #[serde(default)]
    login: String,
}

/// A job as a forge writes it down.
#[derive(Debug, Deserialize)]
pub struct ListedJob {
    id: u64,
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    html_url: Option<String>,
    #[serde(default)]
    name: String,
    #[serde(default)]
    labels: Option<Vec<String>>,
    #[serde(default)]
    run_attempt: u64,
    #[serde(default)]
    head_sha: Option<String>,
    #[serde(default)]
    head_branch: Option<String>,
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    runner_id: Option<u64>,
    #[serde(default)]
    runner_name: Option<String>,
}

impl ListedJob {
    /// Its repository, by the address of the job itself: a list of many repositories says it nowhere else.
    #[must_use]
    pub fn owner_and_name(&self) -> Option<(String, String)> {
        let (_, rest) = self.url.as_deref()?.split_once("/repos/")?;
        let mut parts = rest.split('/');
        let (owner, name) = (parts.next()?, parts.next()?);
        let is_part = |part: &str| !part.is_empty() && part.len() <= 128 && !part.contains(['%', '\\']) && part != "..";
        (is_part(owner) && is_part(name)).then(|| (owner.to_owned(), name.to_owned()))
    }

    /// As it stands in a list, of the repository at this address.
    #[must_use]
    pub fn seen(self, repo: String) -> SeenJob {
        let status = self.status.clone().unwrap_or_default();
        self.at(&status, repo)
    }

    fn at(self, status: &str, repo: String) -> SeenJob {
        let runner = self.runner();
        let labels = self.labels.unwrap_or_default();
        let url = self.html_url.filter(|url| is_link(url));
        SeenJob {
            at: JobAt { id: self.id, attempt: self.run_attempt, repo, name: shown(&self.name), url },
            labels: if labels.len() > MOST_LABELS { Vec::new() } else { labels },
            state: match status {
                "queued" => SeenState::Queued,
                "in_progress" => SeenState::InProgress(runner),
                "completed" => SeenState::Completed(runner),
                _ => SeenState::Waiting,
            },
            commit: self.head_sha.and_then(|sha| sha.parse::<CommitSha>().ok()),
            branch: self.head_branch,
            private: None,
            sender: None,
        }
    }

    /// None where the forge names none; GitHub writes nothing or 0 then.
    fn runner(&self) -> ByRunner {
        let name = self.runner_name.clone().filter(|name| !name.is_empty() && name.len() <= 256)?;
        Some((self.runner_id.unwrap_or_default(), name))
    }
}

/// What a page may link to: it comes from outside.
fn is_link(url: &str) -> bool {
    let is_web = url.starts_with("https://") || url.starts_with("http://");
    is_web && url.len() <= LONGEST_URL && !url.chars().any(|c| c.is_control() || c.is_whitespace() || c == '"')
}

/// The repository's address is filled in by who has peeked it.
pub(super) fn read(json: &[u8]) -> Result<Event, DeliveryError> {
    let delivery: Delivery =
        serde_json::from_slice(json).map_err(|source| DeliveryError::Payload { event: "workflow_job", source })?;
    let job = delivery.workflow_job.at(&delivery.action, String::new());
    let sender = delivery.sender.map(|account| account.login).filter(|login| !login.is_empty());
    let private = delivery.repository.and_then(|repository| repository.private);
    Ok(Event::Job(Box::new(SeenJob { private, sender, ..job })))
}
