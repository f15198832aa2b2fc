//! Who may see and do what: bearers of people, what a browser has signed in with, and the key of one build.

use axum::extract::{FromRequestParts, Query};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use jiff::Timestamp;
use serde::Deserialize;

use super::answer::Problem;
use super::audit::{Actor, Whose};
use super::hook::registry_down;
use super::known::Known;
use super::signin::Cookie;
use super::{App, SharedApp};
use crate::domain::config::RepoConfig;
use crate::domain::id::{BuildId, ClaimId};
use crate::domain::key;
use crate::domain::repo_url::RepoUrl;
use crate::domain::secret::Secret;
use crate::domain::ticket::Ticket;
use crate::registry::{Entry, Found, RegistryError};

/// What a request brings along: `Authorization: Bearer`, else `?token=`; `?key=`; and the cookie of who has signed in. All
/// may be absent. By itself a cookie reads and never acts, since a browser sends it along with what other sites ask for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Credentials {
    bearer: Option<Secret>,
    key: Option<Secret>,
    ticket: Option<Ticket>,
    /// A form of ours came with the ticket.
    acting: bool,
}

/// Who is let in with a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ByTicket {
    Yes,
    No,
}

#[derive(Debug, Deserialize)]
struct InQuery {
    token: Option<String>,
    key: Option<String>,
}

impl FromRequestParts<SharedApp> for Credentials {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &SharedApp) -> Result<Self, Problem> {
        let Query(query) = Query::<InQuery>::from_request_parts(parts, app)
            .await
            .map_err(|_ignored| Problem::bad_request("the query cannot be read"))?;
        let header = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let bearer = header
            .and_then(|value| value.strip_prefix("Bearer ").or_else(|| value.strip_prefix("bearer ")))
            .map(|token| token.trim().to_owned())
            .or(query.token);
        let ticket = Cookie::of(app).ticket(&parts.headers, Timestamp::now());
        Ok(Self { bearer: bearer.map(Secret::new), key: query.key.map(Secret::new), ticket, acting: false })
    }
}

impl Credentials {
    /// The same with a token that was typed into a form, and with nothing else that acts.
    pub(crate) fn with_token(self, token: &str) -> Self {
        Self { bearer: Some(Secret::new(token)), acting: false, ..self }
    }

    /// The same for a form that a page of ours has sent; none where the form was not made for this ticket.
    pub(crate) fn with_csrf(self, csrf: &str) -> Option<Self> {
        let is_ours = self.ticket.as_ref().is_some_and(|ticket| ticket.is_csrf(csrf));
        is_ours.then_some(Self { acting: true, ..self })
    }

    /// Whether there is a bearer: then it alone decides what may be done.
    pub(crate) fn has_bearer(&self) -> bool {
        self.bearer.is_some()
    }

    /// Whether a browser has signed in, with whatever.
    pub(crate) fn has_ticket(&self) -> bool {
        self.ticket.is_some()
    }

    fn is_one_of<'a>(&self, secrets: impl IntoIterator<Item = &'a Secret>, by_ticket: ByTicket) -> bool {
        // Streams outlive the time of a ticket.
        let ticket =
            self.ticket.as_ref().filter(|ticket| by_ticket == ByTicket::Yes && !ticket.is_over(Timestamp::now()));
        if self.bearer.is_none() && ticket.is_none() {
            return false;
        }
        // All are compared, so that the time does not tell which one matched.
        secrets.into_iter().fold(false, |found, secret| {
            let typed = self.bearer.as_ref().is_some_and(|given| secret.matches(given.expose()));
            let signed_in = ticket.is_some_and(|ticket| ticket.is_of(secret));
            typed | signed_in | found
        })
    }

    /// May see what is private of this repository.
    pub(crate) fn reads(&self, app: &App, config: &RepoConfig) -> bool {
        let people = &app.settings.people;
        let own = match &config.tokens {
            Some(tokens) => self.is_one_of(tokens.read.iter().chain(&tokens.act), ByTicket::Yes),
            None => self.is_one_of(&config.hook_tokens, ByTicket::Yes),
        };
        own | self.is_one_of(people.read.iter().chain(&people.act), ByTicket::Yes)
    }

    /// May cancel, retry, approve and trigger for this repository.
    pub(crate) fn acts(&self, app: &App, config: &RepoConfig) -> bool {
        self.is_act_token(app, config, if self.acting { ByTicket::Yes } else { ByTicket::No })
    }

    /// Whether a form on a page for this visitor would act for this repository.
    pub(crate) fn would_act(&self, app: &App, config: &RepoConfig) -> bool {
        let signed_in = Self { bearer: None, key: None, ..self.clone() };
        signed_in.is_act_token(app, config, ByTicket::Yes)
    }

    /// Who this is that acts, once [`Credentials::acts`] has said that he may.
    pub(crate) fn actor(&self, app: &App, config: &RepoConfig) -> Actor {
        let by_ticket = if self.acting { ByTicket::Yes } else { ByTicket::No };
        let whose = if self.is_one_of(&app.settings.people.act, by_ticket) {
            Whose::Instance
        } else if config.tokens.is_some() {
            Whose::Repository
        } else {
            Whose::Hook
        };
        Actor { whose, by_form: self.acting }
    }

    fn is_act_token(&self, app: &App, config: &RepoConfig, by_ticket: ByTicket) -> bool {
        let own = match &config.tokens {
            Some(tokens) => self.is_one_of(&tokens.act, by_ticket),
            None => self.is_one_of(&config.hook_tokens, by_ticket),
        };
        own | self.is_one_of(&app.settings.people.act, by_ticket)
    }

    /// One line where there was something to refuse, and no more than one a second.
    pub(crate) fn note_refused(&self, app: &App) {
        if self.bearer.is_some() || self.acting {
            app.refusals.log_token("it may not act for this repository");
        }
    }

    /// Has the key of a change that may have no build yet.
    pub(crate) fn opens_claim(&self, config: &RepoConfig, claim: &ClaimId) -> bool {
        self.key.as_ref().is_some_and(|given| key::opens_claim(config, claim, given.expose()))
    }

    /// The key that came along, whatever it opens.
    pub(crate) fn key(&self) -> Option<&str> {
        self.key.as_ref().map(Secret::expose)
    }

    /// Has the key of a build.
    pub(crate) fn opens_build(&self, config: &RepoConfig, build: &BuildId) -> bool {
        self.key.as_ref().is_some_and(|given| key::opens(config, build, given.expose()))
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
        Entry::Found(_) | Entry::Unknown | Entry::Broken(_) => {
            who.note_refused(app);
            Err(Problem::unauthorized())
        }
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
    Ok(config.is_some_and(|config| credentials.reads(app, &config) || credentials.opens_build(&config, &known.build)))
}
