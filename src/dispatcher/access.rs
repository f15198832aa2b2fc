//! Who may see and do what: bearers of people, and the key of one build.

use axum::extract::{FromRequestParts, Query};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use serde::Deserialize;

use super::App;
use super::answer::Problem;
use super::hook::registry_down;
use super::known::Known;
use crate::domain::config::RepoConfig;
use crate::domain::id::ClaimId;
use crate::domain::key;
use crate::domain::repo_url::RepoUrl;
use crate::domain::secret::Secret;
use crate::registry::{Entry, Found, RegistryError};

/// What a request brings along: `Authorization: Bearer`, else `?token=`; and `?key=`. All may be absent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Credentials {
    bearer: Option<Secret>,
    key: Option<Secret>,
}

#[derive(Debug, Deserialize)]
struct InQuery {
    token: Option<String>,
    key: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Credentials {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Query(query) = Query::<InQuery>::from_request_parts(parts, state)
            .await
            .map_err(|_ignored| Problem::bad_request("the query cannot be read"))?;
        let header = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let bearer = header
            .and_then(|value| value.strip_prefix("Bearer ").or_else(|| value.strip_prefix("bearer ")))
            .map(|token| token.trim().to_owned())
            .or(query.token);
        Ok(Self { bearer: bearer.map(Secret::new), key: query.key.map(Secret::new) })
    }
}

impl Credentials {
    fn is_one_of<'a>(&self, secrets: impl IntoIterator<Item = &'a Secret>) -> bool {
        let Some(given) = &self.bearer else { return false };
        // All are compared, so that the time does not tell which one matched.
        secrets.into_iter().fold(false, |found, secret| secret.matches(given.expose()) | found)
    }

    /// May see what is private of this repository.
    pub(crate) fn reads(&self, app: &App, config: &RepoConfig) -> bool {
        let people = &app.settings.people;
        let own = match &config.tokens {
            Some(tokens) => self.is_one_of(tokens.read.iter().chain(&tokens.act)),
            None => self.is_one_of(&config.hook_tokens),
        };
        own | self.is_one_of(people.read.iter().chain(&people.act))
    }

    /// May cancel, retry, approve and trigger for this repository.
    pub(crate) fn acts(&self, app: &App, config: &RepoConfig) -> bool {
        let own = match &config.tokens {
            Some(tokens) => self.is_one_of(&tokens.act),
            None => self.is_one_of(&config.hook_tokens),
        };
        own | self.is_one_of(&app.settings.people.act)
    }

    /// Has the key of a change that may have no build yet.
    pub(crate) fn opens_claim(&self, config: &RepoConfig, claim: &ClaimId) -> bool {
        self.key.as_ref().is_some_and(|given| key::opens_claim(config, claim, given.expose()))
    }

    fn opens(&self, config: &RepoConfig, known: &Known) -> bool {
        self.key.as_ref().is_some_and(|given| key::opens(config, &known.build, given.expose()))
    }
}

/// The repository that this caller may act for, by a consistent read; for all others there is none.
pub(crate) async fn acting(app: &App, credentials: &Credentials, url: &RepoUrl) -> Result<Found, Problem> {
    // From the local copy first, so that strangers cost Consul nothing.
    permitted(app, credentials, app.registry.entry(url).await)?;
    permitted(app, credentials, app.registry.entry_now(url).await)
}

fn permitted(app: &App, who: &Credentials, entry: Result<Entry, RegistryError>) -> Result<Found, Problem> {
    match entry.map_err(|error| registry_down(&error))? {
        Entry::Found(found) if who.acts(app, &found.config) => Ok(*found),
        Entry::Found(_) | Entry::Unknown | Entry::Broken(_) => Err(Problem::unauthorized()),
    }
}

/// The configuration of a repository, by the spelling that a record keeps.
pub(crate) async fn config_of(app: &App, repo: &str) -> Result<Option<RepoConfig>, RegistryError> {
    let Ok(url) = repo.parse() else { return Ok(None) };
    match app.registry.entry(&url).await? {
        Entry::Found(found) => Ok(Some(found.config)),
        Entry::Unknown | Entry::Broken(_) => Ok(None),
    }
}

/// Public builds are everybody's to read; a private one needs a bearer of its repository, or its key.
pub(crate) async fn may_read(app: &App, known: &Known, credentials: &Credentials) -> Result<bool, RegistryError> {
    if !known.private {
        return Ok(true);
    }
    let Some(repo) = &known.repo else { return Ok(false) };
    let config = config_of(app, repo).await?;
    Ok(config.is_some_and(|config| credentials.reads(app, &config) || credentials.opens(&config, known)))
}
