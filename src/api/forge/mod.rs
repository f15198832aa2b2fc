//! Gitea, Forgejo and GitHub: commit statuses, what a ref holds, and what a change touches.

mod account;
mod call;
mod changes;
mod gitea;
mod github;
mod home;
mod hooks;
mod resolve;
mod runners;

use reqwest::{Client, StatusCode};
use serde::{Deserialize, Serialize};
use url::Url;

use super::http::HttpError;
use super::meter::Meter;
use crate::domain::config::{ForgeConfig, ForgeKind};
use crate::domain::id::CommitSha;
use crate::domain::repo_url::RepoUrl;
use crate::domain::secret::Secret;
use crate::domain::status::{Listed, State};

pub use changes::{Changed, Range};
pub use home::{About, Detected, Permissions, detect};
pub use hooks::{Hook, TestAsked};
pub use runners::{Listing, Registered, Removed, Runners};

/// GitHub refuses a longer description; Gitea would keep it, but shows no more either.
pub const DESCRIPTION_LIMIT: usize = 140;
/// Pages of statuses that are read of one commit; each build adds a few.
const PAGES: usize = 40;

/// Why a forge did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum ForgeError {
    /// It never will as things stand; the sentence says what to repair, and has nothing secret.
    #[error("the forge refused: {0}")]
    Refused(String),
    /// It was asked, and no whole answer came: what was to be written may be there.
    #[error("the forge did not answer")]
    Unanswered(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It was not reached, or said that it cannot now: nothing was written.
    #[error("the forge cannot be reached")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl ForgeError {
    /// How long the forge asks to be left alone, where it says so.
    #[must_use]
    pub fn wait(&self) -> Option<std::time::Duration> {
        match self {
            Self::Unavailable(why) => call::asked_to_wait(why.as_ref()),
            Self::Refused(_) | Self::Unanswered(_) => None,
        }
    }
}

impl From<HttpError> for ForgeError {
    fn from(error: HttpError) -> Self {
        if error.surely_unsent() { Self::Unavailable(Box::new(error)) } else { Self::Unanswered(Box::new(error)) }
    }
}

/// A status to be posted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewStatus {
    /// The word.
    pub state: State,
    /// One line for people; cut to [`DESCRIPTION_LIMIT`] characters.
    pub description: String,
    /// Beside it; each commit shows the newest of each context.
    pub context: String,
    /// The build's page; none where `ALBATROS_URL` is not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_url: Option<Url>,
}

/// A status as a forge lists it. Gitea keeps any word, also none.
#[derive(Deserialize)]
struct Seen {
    id: u64,
    #[serde(default, alias = "status")]
    state: Option<String>,
    #[serde(default)]
    context: Option<String>,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    target_url: Option<String>,
}

impl From<Seen> for Listed {
    fn from(seen: Seen) -> Self {
        Self {
            context: seen.context.unwrap_or_default(),
            state: seen.state.unwrap_or_default(),
            description: seen.description.unwrap_or_default(),
            target_url: seen.target_url.unwrap_or_default(),
        }
    }
}

/// What forges are called with, and what their calls are measured by.
#[derive(Debug, Clone)]
pub struct ForgeClient {
    http: Client,
    meter: Meter,
}

impl From<Client> for ForgeClient {
    fn from(http: Client) -> Self {
        Self { http, meter: Meter::default() }
    }
}

impl ForgeClient {
    /// The same, measured by `meter`.
    #[must_use]
    pub fn metered(self, meter: Meter) -> Self {
        Self { meter, ..self }
    }
}

/// One repository at its forge, with the token of its configuration.
#[derive(Debug, Clone)]
pub struct Forge {
    client: ForgeClient,
    kind: ForgeKind,
    url: Url,
    token: Secret,
    owner: String,
    name: String,
}

impl Forge {
    /// The repository `repo` (REPO_URL) at the configured forge; `client` is [`super::http::forge_client`]'s.
    ///
    /// # Errors
    /// [`ForgeError::Refused`] when the address is not one of a repository.
    pub fn new(client: impl Into<ForgeClient>, config: &ForgeConfig, repo: &str) -> Result<Self, ForgeError> {
        let refused = || ForgeError::Refused("the repository's address does not end in owner and name".to_owned());
        let address: RepoUrl = repo.parse().map_err(|_| refused())?;
        let (owner, name) = address.owner_and_name().ok_or_else(refused)?;
        Ok(Self {
            client: client.into(),
            kind: config.kind,
            url: config.url.clone(),
            token: config.token.clone(),
            owner: owner.to_owned(),
            name: name.to_owned(),
        })
    }

    /// Adds a status to a commit. The forge keeps the older ones and shows the newest of each context.
    ///
    /// # Errors
    /// See [`ForgeError`].
    pub async fn post_status(&self, commit: &CommitSha, status: &NewStatus) -> Result<(), ForgeError> {
        let status = NewStatus { description: shorten(&status.description), ..status.clone() };
        let answer = self.post("post a commit status", &["statuses", commit.as_str()], &status).await?;
        // Seen: Gitea answers 500 without a word for a commit that it does not know.
        if answer.status == StatusCode::INTERNAL_SERVER_ERROR && call::is_wordless(&answer) {
            self.commit_known(commit).await?;
        }
        call::accepted(answer, "post a commit status").map(|_| ())
    }

    async fn commit_known(&self, commit: &CommitSha) -> Result<(), ForgeError> {
        let answer = self.get("read a commit", &["git", "commits", commit.as_str()], &[]).await?;
        if answer.status == StatusCode::NOT_FOUND && !call::is_page(&answer) {
            return Err(ForgeError::Refused(format!("the forge does not know the commit {}", commit.short())));
        }
        Ok(())
    }

    /// All statuses of a commit, newest first.
    ///
    /// # Errors
    /// See [`ForgeError`].
    pub async fn statuses(&self, commit: &CommitSha) -> Result<Vec<Listed>, ForgeError> {
        let size = match self.kind {
            ForgeKind::Gitea => 50,
            ForgeKind::Github => 100,
        };
        let mut seen: Vec<Seen> = Vec::new();
        for page in 1..=PAGES {
            // Each forge knows one of the two words for the page's size.
            let query = [("page", page.to_string()), ("limit", size.to_string()), ("per_page", size.to_string())];
            let answer = self.get("read commit statuses", &["commits", commit.as_str(), "statuses"], &query).await?;
            let answer = call::accepted(answer, "read commit statuses")?;
            let total = answer.number("x-total-count").and_then(|total| usize::try_from(total).ok());
            let found: Vec<Seen> = answer.json::<Option<_>>()?.unwrap_or_default();
            let (short, before) = (found.len() < size, seen.len());
            seen.extend(
                found.into_iter().filter(|one| !seen.iter().any(|other| other.id == one.id)).collect::<Vec<_>>(),
            );
            // Seen: Gitea sends everything, whatever limit was asked for; so a page without news is the end too.
            let all = total.map_or(short, |total| seen.len() >= total);
            if all || seen.len() == before {
                break;
            }
        }
        seen.sort_by_key(|status| std::cmp::Reverse(status.id));
        Ok(seen.into_iter().map(Listed::from).collect())
    }

    /// The commit that a ref (`refs/heads/…`, `refs/tags/…`, `refs/pull/N/head`) points at; none if there is no such ref.
    ///
    /// # Errors
    /// See [`ForgeError`]; also when the whole repository is not there, or not for our token.
    pub async fn head(&self, git_ref: &str) -> Result<Option<CommitSha>, ForgeError> {
        let head = match self.kind {
            ForgeKind::Gitea => gitea::head(self, git_ref).await?,
            ForgeKind::Github => github::head(self, git_ref).await?,
        };
        if head.is_none() {
            // "Not found" is also what a token hears that may not see the repository.
            call::accepted(self.get("read the repository", &[], &[]).await?, "read the repository")?;
        }
        Ok(head)
    }

    /// Whether a commit is the ref's head or one of its ancestors.
    ///
    /// # Errors
    /// See [`ForgeError`].
    pub async fn holds(&self, git_ref: &str, commit: &CommitSha) -> Result<bool, ForgeError> {
        let Some(head) = self.head(git_ref).await? else { return Ok(false) };
        if head == *commit {
            return Ok(true);
        }
        let Some(nothing_new) = self.brings_nothing(&head, commit).await? else { return Ok(false) };
        match self.kind {
            // Seen: a history that has nothing in common with the ref's brings nothing either, in neither direction.
            ForgeKind::Gitea if nothing_new => Ok(self.brings_nothing(commit, &head).await? == Some(false)),
            ForgeKind::Gitea | ForgeKind::Github => Ok(nothing_new),
        }
    }

    /// Whether `head` has no commit that `base` has not, as the forge says; none where it does not know one of them.
    async fn brings_nothing(&self, base: &CommitSha, head: &CommitSha) -> Result<Option<bool>, ForgeError> {
        let word = |name: &'static str, value: &str| (name, value.to_owned());
        let spare = [word("per_page", "1"), word("files", "false"), word("verification", "false")];
        let answer = self.get("compare commits", &["compare", &format!("{base}...{head}")], &spare).await?;
        if answer.status == StatusCode::NOT_FOUND && !call::is_page(&answer) {
            return Ok(None);
        }
        let answer = call::accepted(answer, "compare commits")?;
        match self.kind {
            ForgeKind::Gitea => gitea::nothing_new(&answer),
            ForgeKind::Github => github::nothing_new(&answer),
        }
        .map(Some)
    }
}

/// A ref's kind and short name.
enum Short<'a> {
    Branch(&'a str),
    Tag(&'a str),
    Pull(&'a str),
}

impl<'a> Short<'a> {
    /// The prefix is taken off once: a branch may be called `refs/tags/v9`.
    fn of(git_ref: &'a str) -> Option<Self> {
        let rest = git_ref.strip_prefix("refs/")?;
        let (kind, name) = rest.split_once('/')?;
        match kind {
            "heads" => Some(Self::Branch(name)),
            "tags" => Some(Self::Tag(name)),
            "pull" => name.strip_suffix("/head").map(Self::Pull),
            _ => None,
        }
    }
}

fn shorten(text: &str) -> String {
    if text.chars().count() <= DESCRIPTION_LIMIT {
        return text.to_owned();
    }
    let kept: String = text.chars().take(DESCRIPTION_LIMIT - 1).collect();
    format!("{}…", kept.trim_end())
}
