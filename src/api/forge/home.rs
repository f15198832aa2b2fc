//! What a forge says of the repository itself, of our token, and of what it is.

use reqwest::{Client, StatusCode};
use serde::Deserialize;
use serde_json::json;
use url::Url;

use super::{Forge, ForgeError, call};
use crate::api::http::{Answer, HttpError};
use crate::domain::config::ForgeKind;
use crate::domain::repo_url::RepoUrl;

/// The whole of a question what a forge is.
const ASKED_WITHIN: std::time::Duration = std::time::Duration::from_secs(10);
/// The largest answer to it.
const CAP: usize = 1 << 20;
/// GitHub's own hosts, and its API.
const GITHUB: (&str, &str) = ("github.com", "https://api.github.com");

/// What a forge says of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct About {
    /// Its number.
    pub id: u64,
    /// Its address as deliveries spell it.
    pub clone_url: String,
    /// Whether not everybody may see it.
    #[serde(default)]
    pub private: bool,
    /// Gitea: only for those who are signed in.
    #[serde(default)]
    pub internal: bool,
    /// The branch that people mean when they name none; none of an empty repository.
    #[serde(default)]
    pub default_branch: Option<String>,
    /// What the token's owner may do; GitHub says it to some tokens only.
    #[serde(default)]
    pub permissions: Option<Permissions>,
}

/// What an account may do with a repository, whatever its token may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Permissions {
    /// Everything; webhooks need it.
    #[serde(default)]
    pub admin: bool,
    /// Write; statuses need it.
    #[serde(default)]
    pub push: bool,
}

/// What answers at an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detected {
    /// The word for a configuration: `gitea`, `forgejo` or `github`.
    pub word: &'static str,
    /// Where its API is, in the form that a configuration has.
    pub url: Url,
}

impl Forge {
    /// Which API this is.
    #[must_use]
    pub fn kind(&self) -> ForgeKind {
        self.kind
    }

    /// What the forge says of the repository.
    ///
    /// # Errors
    /// See [`ForgeError`].
    pub async fn about(&self) -> Result<About, ForgeError> {
        Ok(call::accepted(self.get("read the repository", &[], &[]).await?, "read the repository")?.json()?)
    }

    /// Whether our token may post statuses, found out without posting one: no forge has a commit of zeros.
    ///
    /// # Errors
    /// [`ForgeError::Refused`] where it may not; otherwise as always.
    pub async fn may_post(&self) -> Result<(), ForgeError> {
        let nothing = "0".repeat(40);
        let status = json!({ "state": "pending", "context": "Albatros", "description": "a question" });
        let answer = self.post("try to post a status", &["statuses", &nothing], &status).await?;
        let refused = match answer.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::LOCKED => true,
            // GitHub does not even own up to a repository whose statuses a token may not write.
            StatusCode::NOT_FOUND => self.kind == ForgeKind::Github,
            _ => call::is_page(&answer),
        };
        if refused { call::accepted(answer, "post a commit status").map(drop) } else { Ok(()) }
    }
}

/// What forge answers for the repository at `repo`: told by GitHub's name, else asked of the host's API. None: nothing
/// there answers as a forge does.
///
/// # Errors
/// When the host does not answer at all.
pub async fn detect(client: &Client, repo: &RepoUrl) -> Result<Option<Detected>, ForgeError> {
    let Some(home) = home(repo) else { return Ok(None) };
    if home.host_str() == Some(GITHUB.0) {
        return Ok(Url::parse(GITHUB.1).ok().map(|url| Detected { word: "github", url }));
    }
    for (path, word) in [("api/forgejo/v1/version", "forgejo"), ("api/v1/version", "gitea")] {
        let answer = ask(client, &home, path).await?;
        if answer.status.is_success() && answer.json::<serde_json::Value>().is_ok_and(|it| it.get("version").is_some())
        {
            return Ok(Some(Detected { word, url: home }));
        }
    }
    // GitHub on a company's own host.
    let answer = ask(client, &home, "api/v3/meta").await?;
    if answer.status.is_success() && answer.headers.contains_key("x-github-request-id") {
        let url = Url::parse(&format!("{}/api/v3", home.as_str().trim_end_matches('/'))).ok();
        return Ok(url.map(|url| Detected { word: "github", url }));
    }
    Ok(None)
}

/// The forge's own address: the repository's without owner and name.
fn home(repo: &RepoUrl) -> Option<Url> {
    let mut url = Url::parse(repo.canonical()).ok()?;
    url.path_segments_mut().ok()?.pop().pop();
    Some(url)
}

async fn ask(client: &Client, home: &Url, path: &str) -> Result<Answer, ForgeError> {
    let url = format!("{}/{path}", home.as_str().trim_end_matches('/'));
    let sent = client.get(url).timeout(ASKED_WITHIN).send().await.map_err(HttpError::no_answer)?;
    Ok(Answer::read(sent, CAP).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forge_may_live_under_a_path() {
        let at = |repo: &str| home(&repo.parse().unwrap()).unwrap().to_string();
        assert_eq!(at("https://git.example/quentin/hello.git").trim_end_matches('/'), "https://git.example");
        assert_eq!(at("https://git.example/forge/quentin/hello"), "https://git.example/forge");
    }
}
