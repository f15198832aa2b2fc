//! Actions of Gitea and GitHub: which jobs want a runner, which runners there are, and registering one for one job.

mod budget;
mod gitea;
mod github;
mod wire;

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::OnceCell;
use tokio::time::Instant;
use url::Url;

use budget::Budget;

use super::{Forge, ForgeClient, ForgeError, call};
use crate::api::http::Answer;
use crate::domain::config::{ForgeConfig, ForgeKind};
use crate::domain::repo_url::RepoUrl;
use crate::domain::runner_wire::RunnerRegistration;
use crate::domain::runners::{Runner, Scope, SeenJob, SeenRunner};

/// Pages that are read of a list: what is further down is seen when what is above is gone.
const PAGES: usize = 20;

/// The runners of one scope at its forge, with the token of its configuration.
#[derive(Debug)]
pub struct Runners {
    forge: Forge,
    scope: Scope,
    /// The forge's address as people see it.
    home: Url,
    base: OnceCell<Vec<String>>,
    budget: Budget,
}

/// A list of a forge, as far as it was read.
#[derive(Debug)]
pub struct Listing<T> {
    /// What it has.
    pub entries: Vec<T>,
    /// Whether that is all.
    pub is_whole: bool,
    /// What of it the token may not read, and why.
    pub hidden: Vec<String>,
}

/// A runner that has just been registered.
#[derive(Debug)]
pub struct Registered {
    /// Its number at the forge.
    pub id: u64,
    /// What its program needs.
    pub registration: RunnerRegistration,
}

/// What became of taking a runner off a forge's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removed {
    /// It is not listed any more.
    Yes,
    /// The forge keeps it as it has a job.
    Busy,
    /// It was not found, and the list was too long to be read to its end.
    Unseen,
}

impl Runners {
    /// Of the entry at `entry` (the spelling whose key matched).
    ///
    /// # Errors
    /// [`ForgeError::Refused`] when its address is none of a scope.
    pub fn new(client: impl Into<ForgeClient>, config: &ForgeConfig, entry: &str) -> Result<Self, ForgeError> {
        let refused = |why: &dyn std::fmt::Display| ForgeError::Refused(why.to_string());
        let address: RepoUrl = entry.parse().map_err(|why: crate::domain::repo_url::RepoUrlError| refused(&why))?;
        let (scope, home) = Scope::of(&address, config).map_err(|why| refused(&why))?;
        let forge = Forge {
            client: client.into(),
            kind: config.kind,
            url: config.url.clone(),
            token: config.token.clone(),
            owner: String::new(),
            name: String::new(),
        };
        Ok(Self { forge, scope, home, base: OnceCell::new(), budget: Budget::default() })
    }

    /// What it is for.
    #[must_use]
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The jobs that are queued or in progress. GitHub lists them a repository at a time: of an organisation those
    /// repositories are asked that are named, by owner and name, and those count that have answered by `until`.
    ///
    /// # Errors
    /// See [`ForgeError`].
    pub async fn jobs(
        &self,
        named: &BTreeSet<(String, String)>,
        until: Instant,
    ) -> Result<Listing<SeenJob>, ForgeError> {
        match self.forge.kind {
            ForgeKind::Gitea => self.gitea_jobs().await,
            ForgeKind::Github => self.github_jobs(named, until).await,
        }
    }

    /// How long to leave the forge alone, so that what it still allows lasts until it allows more.
    #[must_use]
    pub fn pace(&self) -> Duration {
        self.budget.pace()
    }

    /// The next few repositories in which jobs may be that nobody has told of; only where jobs are listed a repository at
    /// a time. Turns are counted from 0 on; after the last one there are none.
    ///
    /// # Errors
    /// See [`ForgeError`].
    pub async fn repositories(&self, turn: usize) -> Result<Vec<(String, String)>, ForgeError> {
        match (self.forge.kind, &self.scope) {
            (ForgeKind::Github, Scope::Owner(owner)) => self.github_repositories(owner, turn).await,
            (ForgeKind::Github | ForgeKind::Gitea, _) => Ok(Vec::new()),
        }
    }

    /// All runners of the scope.
    ///
    /// # Errors
    /// See [`ForgeError`].
    pub async fn list(&self) -> Result<Listing<SeenRunner>, ForgeError> {
        let mut entries: Vec<SeenRunner> = Vec::new();
        let mut is_whole = false;
        for page in 1..=PAGES {
            let listed: wire::Runners = self.page("list runners", &["runners"], &[], page).await?;
            let (total, before) = (listed.total_count, entries.len());
            let news = listed.runners.into_iter().map(SeenRunner::from);
            entries.extend(news.filter(|one| !entries.iter().any(|known| known.id == one.id)).collect::<Vec<_>>());
            is_whole = entries.len() >= total;
            if is_whole || entries.len() == before {
                break;
            }
        }
        Ok(Listing { entries, is_whole, hidden: Vec::new() })
    }

    /// Those of a name.
    ///
    /// # Errors
    /// See [`ForgeError`].
    pub async fn named(&self, name: &str) -> Result<Listing<SeenRunner>, ForgeError> {
        let mut listed = self.list().await?;
        listed.entries.retain(|runner| runner.name == name);
        Ok(listed)
    }

    /// Takes a runner off the list; one that is not on it any more is none.
    ///
    /// # Errors
    /// See [`ForgeError`].
    pub async fn remove(&self, id: u64) -> Result<Removed, ForgeError> {
        let what = "remove a runner";
        let answer = self.send(what, &Method::DELETE, (&["runners", &id.to_string()], &[]), None).await?;
        match answer.status {
            StatusCode::NOT_FOUND if !call::is_page(&answer) => Ok(Removed::Yes),
            StatusCode::UNPROCESSABLE_ENTITY if self.forge.kind == ForgeKind::Github => Ok(Removed::Busy),
            _ => call::done(answer, what).map(|()| Removed::Yes).map_err(|error| self.advised(error)),
        }
    }

    /// Takes all runners of a name off the list, and the one of a number that is known to have it: a list may be too long
    /// to be read to its end.
    ///
    /// # Errors
    /// See [`ForgeError`].
    pub async fn remove_named(&self, name: &str, known: Option<u64>) -> Result<Removed, ForgeError> {
        let Listing { entries, is_whole, .. } = self.named(name).await?;
        let is_seen = known.is_some() || !entries.is_empty();
        let ids: BTreeSet<u64> = entries.into_iter().map(|runner| runner.id).chain(known).collect();
        let mut removed = if is_whole || is_seen { Removed::Yes } else { Removed::Unseen };
        for id in ids {
            if self.remove(id).await? == Removed::Busy {
                removed = Removed::Busy;
            }
        }
        Ok(removed)
    }

    /// Registers a runner that takes one job. What registers it does not go further than here.
    ///
    /// # Errors
    /// See [`ForgeError`].
    pub async fn register(&self, runner: &Runner) -> Result<Registered, ForgeError> {
        match self.forge.kind {
            ForgeKind::Gitea => self.gitea_register(runner).await,
            ForgeKind::Github => self.github_register(runner).await,
        }
    }

    async fn page<T: DeserializeOwned>(
        &self,
        what: &'static str,
        path: &[&str],
        query: &[(&str, &str)],
        page: usize,
    ) -> Result<T, ForgeError> {
        let size = match self.forge.kind {
            ForgeKind::Gitea => ("limit", "50"),
            ForgeKind::Github => ("per_page", "100"),
        };
        let number = page.to_string();
        let query: Vec<(&str, &str)> = query.iter().copied().chain([size, ("page", number.as_str())]).collect();
        let answer = self.send(what, &Method::GET, (path, &query), None).await?;
        self.read(answer, what)
    }

    fn read<T: DeserializeOwned>(&self, answer: Answer, what: &str) -> Result<T, ForgeError> {
        Ok(call::accepted(answer, what).map_err(|error| self.advised(error))?.json()?)
    }

    /// A call about the scope's actions.
    async fn send(
        &self,
        what: &'static str,
        method: &Method,
        (path, query): (&[&str], &[(&str, &str)]),
        body: Option<&Value>,
    ) -> Result<Answer, ForgeError> {
        let base = self.base.get_or_try_init(|| self.find_base()).await?;
        let whole: Vec<&str> = base.iter().map(String::as_str).chain(path.iter().copied()).collect();
        self.at(what, method, (&whole, query), body).await
    }

    /// A call to the forge's API.
    async fn at(
        &self,
        what: &'static str,
        method: &Method,
        (path, query): (&[&str], &[(&str, &str)]),
        body: Option<&Value>,
    ) -> Result<Answer, ForgeError> {
        let query: Vec<(&str, String)> = query.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let url = self.forge.within(path, &query)?;
        let answer = self
            .forge
            .send(what, method, url, |request| match body {
                Some(body) => request.json(body),
                None => request,
            })
            .await?;
        self.budget.note(&answer);
        Ok(answer)
    }

    /// Where the API has the actions of the scope.
    async fn find_base(&self) -> Result<Vec<String>, ForgeError> {
        let base = |parts: &[&str]| parts.iter().map(|part| (*part).to_owned()).collect();
        match (&self.scope, self.forge.kind) {
            (Scope::Repo { owner, name }, _) => Ok(base(&["repos", owner, name, "actions"])),
            (Scope::Instance, ForgeKind::Gitea) => Ok(base(&["admin", "actions"])),
            (Scope::Instance, ForgeKind::Github) => {
                let why = "GitHub has no runners for all of it: put `runners` into the organisations' entries";
                Err(ForgeError::Refused(why.to_owned()))
            }
            (Scope::Owner(owner), ForgeKind::Github) => Ok(base(&["orgs", owner, "actions"])),
            (Scope::Owner(owner), ForgeKind::Gitea) => {
                let what = "read an organisation";
                let answer = self.at(what, &Method::GET, (&["orgs", owner], &[]), None).await?;
                if answer.status != StatusCode::NOT_FOUND || call::is_page(&answer) {
                    call::accepted(answer, what)?;
                    return Ok(base(&["orgs", owner, "actions"]));
                }
                let what = "read the token's own account";
                let answer = self.at(what, &Method::GET, (&["user"], &[]), None).await?;
                let account: wire::Account = call::accepted(answer, what)?.json()?;
                if account.login.eq_ignore_ascii_case(owner) {
                    return Ok(base(&["user", "actions"]));
                }
                Err(ForgeError::Refused(format!("{owner} is no organisation, and the token is not of that account")))
            }
        }
    }

    /// The same error, with what the token needs.
    fn advised(&self, error: ForgeError) -> ForgeError {
        let ForgeError::Refused(why) = error else { return error };
        let needs = match (self.forge.kind, &self.scope) {
            (ForgeKind::Gitea, Scope::Repo { .. }) => "an owner or administrator of the repository, write:repository",
            (ForgeKind::Gitea, Scope::Owner(_)) => {
                "an owner of the organisation, write:organization (of an account: write:user)"
            }
            (ForgeKind::Gitea, Scope::Instance) => "an administrator of the instance, write:admin",
            (ForgeKind::Github, Scope::Repo { .. }) => "Administration: write and Actions: read of the repository",
            (ForgeKind::Github, Scope::Owner(_) | Scope::Instance) => {
                "Self-hosted runners: write of the organisation, and Actions: read of its repositories"
            }
        };
        ForgeError::Refused(format!("{why}; runners need a token of {needs}"))
    }

    /// A repository's address as deliveries spell it.
    fn address(&self, owner: &str, name: &str) -> String {
        format!("{}/{owner}/{name}.git", self.home.as_str().trim_end_matches('/'))
    }
}
