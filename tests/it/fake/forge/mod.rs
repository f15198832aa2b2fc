//! A forge: repositories with their history, and the statuses it was sent; Gitea 1.25's API and GitHub's.

pub(crate) mod actions;
mod changes;
mod gitea;
mod github;
mod hooks;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use axum::response::Response;
use serde_json::{Value, json};
use tokio::sync::watch;

pub(crate) use actions::Job;
pub(crate) use hooks::Hook;

use super::fault::Faults;
use super::wire::{self, Call, PATIENCE, Service, Wire, text};

/// A status as it was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) repo: String,
    pub(crate) sha: String,
    pub(crate) state: String,
    pub(crate) context: String,
    pub(crate) description: String,
    pub(crate) target_url: String,
}

/// What a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Right {
    /// Write statuses.
    Write,
    /// Write statuses, but not administer: webhooks are 403.
    Statuses,
    /// Read only: posts are 403.
    Read,
}

#[derive(Debug, Default)]
struct Repo {
    branches: BTreeMap<String, String>,
    tags: BTreeMap<String, String>,
    parents: BTreeMap<String, Option<String>>,
    /// By commit: each file, as `name` or `old -> new`.
    files: BTreeMap<String, Vec<String>>,
    messages: BTreeMap<String, String>,
    pulls: BTreeMap<u64, Pull>,
}

#[derive(Debug)]
struct Pull {
    head: String,
    files: Vec<String>,
}

#[derive(Debug, Default)]
struct Store {
    repos: BTreeMap<String, Repo>,
    tokens: BTreeMap<String, Right>,
    statuses: Vec<Status>,
    accounts: BTreeMap<String, u64>,
    hooks: Vec<Hook>,
    hook_ids: u64,
    actions: actions::Actions,
    organisations: BTreeSet<String>,
    /// Whether what hooks send arrives.
    delivers: bool,
    private: bool,
}

/// A repository's address, as deliveries and the API spell it.
fn clone_url(repo: &str) -> String {
    format!("http://127.0.0.1:3300/{repo}.git")
}

/// A repository as both APIs show it.
fn about(store: &Store, name: &str) -> Value {
    json!({
        "id": 1, "full_name": name, "default_branch": "main", "private": store.private, "clone_url": clone_url(name),
        "permissions": {"admin": true, "push": true, "pull": true},
    })
}

/// A Gitea (under `/api/v1`) and a GitHub (at the root) over the same repositories.
#[derive(Debug)]
pub(crate) struct Forge {
    wire: Wire,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    store: Mutex<Store>,
    changed: watch::Sender<()>,
}

impl Forge {
    /// Starts without repositories, on a free port.
    pub(crate) async fn start() -> Self {
        let store = Store { delivers: true, ..Store::default() };
        let state = Arc::new(State { store: Mutex::new(store), changed: watch::channel(()).0 });
        Self { wire: Wire::start(state.clone()).await, state }
    }

    /// Its address; for GitHub the API's as well.
    pub(crate) fn url(&self) -> String {
        self.wire.url()
    }

    /// What can be made to go wrong.
    pub(crate) fn faults(&self) -> &Faults {
        self.wire.faults()
    }

    /// Journal, connections, up and down.
    pub(crate) fn wire(&self) -> &Wire {
        &self.wire
    }

    fn change<T>(&self, change: impl FnOnce(&mut Store) -> T) -> T {
        let out = change(&mut self.state.store.lock().unwrap());
        self.state.changed.send_replace(());
        out
    }

    /// A token, and what it may do.
    pub(crate) fn token(&self, token: &str, right: Right) {
        self.change(|store| store.tokens.insert(token.to_owned(), right));
    }

    /// An account, with its number.
    pub(crate) fn account(&self, login: &str, id: u64) {
        self.change(|store| store.accounts.insert(login.to_owned(), id));
    }

    /// An organisation; other owners are accounts.
    pub(crate) fn organisation(&self, name: &str) {
        self.change(|store| store.organisations.insert(name.to_owned()));
    }

    /// A repository without commits.
    pub(crate) fn repository(&self, repo: &str) {
        self.change(|store| {
            store.repos.entry(repo.to_owned()).or_default();
        });
    }

    /// Whether what webhooks send arrives: not where `ALLOWED_HOST_LIST` does not name the host.
    pub(crate) fn delivers(&self, delivers: bool) {
        self.change(|store| store.delivers = delivers);
    }

    /// From now on its repositories are private.
    pub(crate) fn make_private(&self) {
        self.change(|store| store.private = true);
    }

    /// The webhooks there are.
    pub(crate) fn hooks(&self) -> Vec<Hook> {
        self.state.store.lock().unwrap().hooks.clone()
    }

    /// Changes the webhooks, as somebody does in the forge's pages.
    pub(crate) fn edit_hooks(&self, edit: impl FnMut(&mut Hook)) {
        self.change(|store| store.hooks.iter_mut().for_each(edit));
    }

    /// The token is no longer one.
    pub(crate) fn revoke(&self, token: &str) {
        self.change(|store| store.tokens.remove(token));
    }

    /// A commit on a branch, on top of what the branch holds.
    pub(crate) fn push(&self, repo: &str, branch: &str, sha: &str) {
        self.change(|store| {
            let repo = store.repos.entry(repo.to_owned()).or_default();
            let parent = repo.branches.insert(branch.to_owned(), sha.to_owned());
            repo.parents.entry(sha.to_owned()).or_insert(parent.filter(|parent| parent != sha));
        });
    }

    /// The branch holds this commit and nothing of what it held before.
    pub(crate) fn force_push(&self, repo: &str, branch: &str, sha: &str) {
        self.change(|store| {
            let repo = store.repos.entry(repo.to_owned()).or_default();
            repo.branches.insert(branch.to_owned(), sha.to_owned());
            repo.parents.entry(sha.to_owned()).or_insert(None);
        });
    }

    /// The files that a commit touches: `name`, or `old -> new`.
    pub(crate) fn touches(&self, repo: &str, sha: &str, files: &[&str]) {
        let files = files.iter().map(|&file| file.to_owned()).collect();
        self.change(|store| store.repos.entry(repo.to_owned()).or_default().files.insert(sha.to_owned(), files));
    }

    /// A commit's message.
    pub(crate) fn says(&self, repo: &str, sha: &str, message: &str) {
        let (sha, message) = (sha.to_owned(), message.to_owned());
        self.change(|store| store.repos.entry(repo.to_owned()).or_default().messages.insert(sha, message));
    }

    /// A pull request's head, and what it touches.
    pub(crate) fn pull(&self, repo: &str, number: u64, head: &str, files: &[&str]) {
        self.commit(repo, head);
        let files = files.iter().map(|&file| file.to_owned()).collect();
        let pull = Pull { head: head.to_owned(), files };
        self.change(|store| store.repos.entry(repo.to_owned()).or_default().pulls.insert(number, pull));
    }

    /// A tag on a commit.
    pub(crate) fn tag(&self, repo: &str, tag: &str, sha: &str) {
        self.change(|store| {
            let repo = store.repos.entry(repo.to_owned()).or_default();
            repo.tags.insert(tag.to_owned(), sha.to_owned());
            repo.parents.entry(sha.to_owned()).or_insert(None);
        });
    }

    /// A commit that is known but on no branch, as the head of a fork's pull request is.
    pub(crate) fn commit(&self, repo: &str, sha: &str) {
        self.change(|store| {
            store.repos.entry(repo.to_owned()).or_default().parents.entry(sha.to_owned()).or_insert(None);
        });
    }

    /// All statuses that were accepted, in order.
    pub(crate) fn statuses(&self) -> Vec<Status> {
        self.state.store.lock().unwrap().statuses.clone()
    }

    /// The statuses of a commit, in order.
    pub(crate) fn of(&self, sha: &str) -> Vec<Status> {
        self.statuses().into_iter().filter(|status| status.sha == sha).collect()
    }

    /// Somebody else's status.
    pub(crate) fn post_as_stranger(&self, status: Status) {
        self.change(|store| store.statuses.push(status));
    }

    /// Waits until a status of this commit is in this state; gives the newest of them.
    pub(crate) async fn wait_state(&self, sha: &str, state: &str) -> Status {
        let fits = || self.of(sha).into_iter().rev().find(|status| status.state == state);
        self.wait(&format!("a status {state} of {sha}"), || fits().is_some()).await;
        fits().unwrap()
    }

    /// Waits until a status makes this true.
    pub(crate) async fn wait(&self, what: &str, fits: impl Fn() -> bool) {
        let mut changed = self.state.changed.subscribe();
        let waited = tokio::time::timeout(PATIENCE, async {
            while !fits() {
                changed.changed().await.unwrap();
            }
        });
        assert!(waited.await.is_ok(), "waited for: {what}; there is {:#?}", self.statuses());
    }
}

impl Repo {
    /// A commit id, or the head of a branch or tag of that name.
    fn resolve(&self, name: &str) -> Option<String> {
        let id = name.to_ascii_lowercase();
        if self.parents.contains_key(&id) {
            return Some(id);
        }
        let mut begin_so = self.parents.keys().filter(|known| id.len() >= 4 && known.starts_with(&id));
        if let (Some(only), None) = (begin_so.next(), begin_so.next()) {
            return Some(only.clone());
        }
        self.branches.get(name).or_else(|| self.tags.get(name)).cloned()
    }

    /// What `head` has and `base` has not, newest first.
    fn between(&self, base: &str, head: &str) -> Vec<String> {
        let base = self.history(base);
        let (mut found, mut next) = (Vec::new(), Some(head.to_owned()));
        while let Some(one) = next.filter(|one| !base.contains(one)) {
            next = self.parents.get(&one).cloned().flatten();
            found.push(one);
        }
        found
    }

    fn history(&self, head: &str) -> BTreeSet<String> {
        let mut seen = BTreeSet::new();
        let mut next = Some(head.to_owned());
        while let Some(one) = next {
            next = self.parents.get(&one).cloned().flatten();
            if !seen.insert(one) {
                break;
            }
        }
        seen
    }

    /// How many commits `head` has that `base` has not, and the other way round.
    fn distance(&self, base: &str, head: &str) -> (usize, usize) {
        let (base, head) = (self.history(base), self.history(head));
        (head.difference(&base).count(), base.difference(&head).count())
    }
}

/// Why a request may not.
enum Refusal {
    NoToken,
    BadToken,
    NoRight,
}

impl Store {
    fn may(&self, call: &Call, write: bool) -> Result<(), Refusal> {
        let given = call.header("authorization").and_then(|it| it.split_once(' ')).map(|(_, token)| token);
        match (given.map(|token| self.tokens.get(token)), write) {
            (None, true) => Err(Refusal::NoToken),
            (None, false) | (Some(Some(_)), false) | (Some(Some(Right::Write | Right::Statuses)), true) => Ok(()),
            (Some(None), _) => Err(Refusal::BadToken),
            (Some(Some(Right::Read)), true) => Err(Refusal::NoRight),
        }
    }

    fn may_administer(&self, call: &Call) -> Result<(), Refusal> {
        self.may(call, true)?;
        let given = call.header("authorization").and_then(|it| it.split_once(' ')).map(|(_, token)| token);
        let may = given.and_then(|token| self.tokens.get(token)) == Some(&Right::Write);
        if may { Ok(()) } else { Err(Refusal::NoRight) }
    }
}

/// A status from a request's body, as it is; neither forge checks much of it.
fn parse_status(call: &Call, repo: &str, sha: &str) -> Result<Status, ()> {
    let body: Value =
        if call.body.is_empty() { json!({}) } else { serde_json::from_slice(&call.body).map_err(|_| ())? };
    let word = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    let (state, context) = (word("state"), word("context"));
    let (description, target_url) = (word("description"), word("target_url"));
    Ok(Status { repo: repo.to_owned(), sha: sha.to_owned(), state, context, description, target_url })
}

/// The answer; what a webhook sends goes out beside it.
fn hooked((answer, sending): (Response, Option<hooks::Sending>)) -> Response {
    if let Some(sending) = sending {
        tokio::spawn(sending.send());
    }
    answer
}

impl Service for State {
    async fn answer(self: Arc<Self>, call: Call) -> Response {
        let segments = call.segments();
        let path: Vec<&str> = segments.iter().map(String::as_str).collect();
        let answer = {
            let mut store = self.store.lock().unwrap();
            match path.as_slice() {
                ["api", "v1", "users", login] => hooks::account(&store, &call, login, false),
                ["users", login] => hooks::account(&store, &call, login, true),
                ["api", "v1", "repos", owner, name, "hooks", rest @ ..] => {
                    hooked(hooks::answer(&mut store, &call, (&format!("{owner}/{name}"), rest), false))
                }
                ["repos", owner, name, "hooks", rest @ ..] => {
                    hooked(hooks::answer(&mut store, &call, (&format!("{owner}/{name}"), rest), true))
                }
                ["api", "actions", "runner.v1.RunnerService", "Register"] => actions::gitea_register(&mut store, &call),
                ["api", "v1", "repos", owner, name, "actions", rest @ ..] => {
                    actions::gitea(&mut store, &call, &format!("{owner}/{name}"), rest)
                }
                ["api", "v1", "orgs", owner] if store.organisations.contains(*owner) => {
                    wire::json(200, &json!({"username": owner}))
                }
                ["api", "v1", "orgs", owner, "actions", rest @ ..] => actions::gitea(&mut store, &call, owner, rest),
                ["api", "v1", "user"] => wire::json(200, &json!({"login": "quentin"})),
                ["api", "v1", "user", "actions", rest @ ..] => actions::gitea(&mut store, &call, "quentin", rest),
                ["api", "v1", "admin", "actions", rest @ ..] => actions::gitea(&mut store, &call, "", rest),
                ["repos", owner, name, "actions", rest @ ..] => {
                    actions::github(&mut store, &call, &format!("{owner}/{name}"), rest)
                }
                ["orgs", owner, "actions", rest @ ..] => actions::github(&mut store, &call, owner, rest),
                ["orgs", owner, "repos"] => actions::github_repositories(&call, owner),
                ["api", "v1", "version"] => wire::json(200, &json!({"version": "1.25.4"})),
                ["api", "v1", "repos", owner, name, rest @ ..] => {
                    gitea::answer(&mut store, &call, &format!("{owner}/{name}"), rest)
                }
                ["repos", owner, name, rest @ ..] => {
                    github::answer(&mut store, &call, &format!("{owner}/{name}"), rest)
                }
                _ => text(404, "Not found.\n"),
            }
        };
        self.changed.send_replace(());
        answer
    }
}
