//! Webhooks of a repository: which there are, ours, and a test of it.
//!
//! (seen, Gitea 1.25.4) A hook's secret cannot be changed by PATCH, and a PATCH without `events` leaves only pushes; the
//! same address may stand in several hooks. GitHub changes a secret by PATCH and refuses a second hook of the same
//! address: <https://docs.github.com/en/rest/repos/webhooks>.

use std::collections::BTreeSet;

use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use super::{Forge, ForgeError, call};
use crate::domain::config::ForgeKind;
use crate::domain::secret::Secret;

/// So many pages of hooks are read; each repository may have some dozens.
const PAGES: usize = 4;

/// A webhook as the forge lists it. Its secret is never shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// Its number.
    pub id: u64,
    /// Where it leads. May hold a token: never print its query.
    pub url: String,
    /// Whether it sends anything.
    pub active: bool,
    /// The events that it sends, in the forge's words.
    pub events: BTreeSet<String>,
}

impl Hook {
    /// Which of the events that Albatros needs are not sent.
    #[must_use]
    pub fn lacks(&self, kind: ForgeKind) -> Vec<&'static str> {
        let needed: &[&'static str] = match kind {
            ForgeKind::Gitea => &["push", "pull_request", "pull_request_sync"],
            ForgeKind::Github => &["push", "pull_request"],
        };
        let all = self.events.contains("*");
        needed.iter().copied().filter(|event| !all && !self.events.contains(*event)).collect()
    }
}

/// What became of asking for a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TestAsked {
    /// The forge is about to send one.
    Sent,
    /// Gitea sends none for a repository without commits.
    NoCommits,
}

#[derive(Deserialize)]
struct Seen {
    id: u64,
    #[serde(default)]
    active: bool,
    #[serde(default)]
    events: Vec<String>,
    config: SeenConfig,
}

#[derive(Deserialize)]
struct SeenConfig {
    #[serde(default)]
    url: String,
}

#[derive(Deserialize)]
struct Created {
    id: u64,
}

/// One delivery in GitHub's list.
#[derive(Deserialize)]
struct Delivered {
    event: String,
    status: String,
    status_code: i64,
}

impl Forge {
    /// The repository's webhooks.
    ///
    /// # Errors
    /// See [`ForgeError`]; [`ForgeError::Refused`] also where the token may not see them.
    pub async fn hooks(&self) -> Result<Vec<Hook>, ForgeError> {
        let mut hooks: Vec<Hook> = Vec::new();
        for page in 1..=PAGES {
            let query = [("page", page.to_string()), ("limit", "50".to_owned()), ("per_page", "50".to_owned())];
            let answer = call::accepted(self.get("read the webhooks", &["hooks"], &query).await?, "read the webhooks")?;
            let seen: Vec<Seen> = answer.json::<Option<_>>()?.unwrap_or_default();
            let before = hooks.len();
            for one in seen {
                if hooks.iter().all(|known| known.id != one.id) {
                    let events = one.events.into_iter().collect();
                    hooks.push(Hook { id: one.id, url: one.config.url, active: one.active, events });
                }
            }
            if hooks.len() == before {
                break;
            }
        }
        Ok(hooks)
    }

    /// Makes the one webhook that leads to `url`, with this secret, out of those of `ours` that do already; gives its
    /// number. Whatever is left of an earlier try is gone afterwards, and at no moment is there none.
    ///
    /// # Errors
    /// See [`ForgeError`].
    pub async fn put_hook(&self, ours: &[&Hook], url: &Url, secret: &Secret) -> Result<u64, ForgeError> {
        let body = self.hook_body(url, secret);
        let (id, spare) = match (self.kind, ours) {
            (ForgeKind::Github, [first, spare @ ..]) => {
                let path = ["hooks", &first.id.to_string()];
                call::done(self.patch("change the webhook", &path, &body).await?, "change the webhook")?;
                (first.id, spare)
            }
            (ForgeKind::Github | ForgeKind::Gitea, spare) => {
                let answer =
                    call::accepted(self.post("create a webhook", &["hooks"], &body).await?, "create a webhook")?;
                (answer.json::<Created>()?.id, spare)
            }
        };
        for one in spare {
            self.delete_hook(one.id).await?;
        }
        Ok(id)
    }

    fn hook_body(&self, url: &Url, secret: &Secret) -> Value {
        let config = json!({ "url": url.as_str(), "content_type": "json", "secret": secret.expose() });
        match self.kind {
            ForgeKind::Gitea => json!({
                "type": "gitea", "active": true, "config": config,
                // By this word Gitea means the pull request itself, without its labels, comments and reviews.
                "events": ["push", "pull_request_only", "pull_request_sync"],
            }),
            ForgeKind::Github => {
                json!({ "name": "web", "active": true, "config": config, "events": ["push", "pull_request"] })
            }
        }
    }

    /// Removes a webhook; one that is gone is removed.
    ///
    /// # Errors
    /// See [`ForgeError`].
    pub async fn delete_hook(&self, id: u64) -> Result<(), ForgeError> {
        let answer = self.delete("remove a webhook", &["hooks", &id.to_string()]).await?;
        if answer.status == StatusCode::NOT_FOUND && !call::is_page(&answer) {
            return Ok(());
        }
        call::done(answer, "remove a webhook")
    }

    /// Has the forge send a test: Gitea a push that changes nothing, GitHub a ping.
    ///
    /// # Errors
    /// See [`ForgeError`].
    pub async fn test_hook(&self, id: u64) -> Result<TestAsked, ForgeError> {
        let verb = match self.kind {
            ForgeKind::Gitea => "tests",
            ForgeKind::Github => "pings",
        };
        let answer = self.post("test a webhook", &["hooks", &id.to_string(), verb], &json!({})).await?;
        let empty = answer.status == StatusCode::NOT_FOUND && answer.words().contains("repository is empty");
        if empty {
            return Ok(TestAsked::NoCommits);
        }
        call::done(answer, "send a test delivery").map(|()| TestAsked::Sent)
    }

    /// What the forge itself says of the last test that it sent: GitHub does, Gitea says it on its pages only.
    ///
    /// # Errors
    /// See [`ForgeError`].
    pub async fn last_test(&self, id: u64) -> Result<Option<String>, ForgeError> {
        match self.kind {
            ForgeKind::Gitea => Ok(None),
            ForgeKind::Github => {
                let query = [("per_page", "20".to_owned())];
                let answer = self
                    .get("read the webhook's deliveries", &["hooks", &id.to_string(), "deliveries"], &query)
                    .await?;
                let list: Vec<Delivered> = call::accepted(answer, "read the webhook's deliveries")?.json()?;
                let last = list.into_iter().find(|one| one.event == "ping");
                let status =
                    |one: Delivered| crate::domain::json::shown(&format!("{} {}", one.status_code, one.status));
                Ok(last.map(status))
            }
        }
    }
}
