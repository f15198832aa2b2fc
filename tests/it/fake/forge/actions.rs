//! Jobs of workflows and runners: Gitea's Actions as recorded of 1.25.4, and GitHub's as documented.

use axum::response::Response;
use serde_json::{Value, json};

use super::{Forge, Refusal, Store};
use crate::fake::wire::{self, Call};

/// What registers runners at the fake; nobody else may ever see it.
pub(crate) const REGISTRATION: &str = "registrati0n-t0ken-of-the-forge";

/// A job of a workflow.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) id: u64,
    pub(crate) repo: String,
    pub(crate) labels: Vec<String>,
    pub(crate) status: String,
    pub(crate) conclusion: Option<String>,
    pub(crate) attempt: u64,
    pub(crate) runner: Option<(u64, String)>,
}

/// A runner that is registered.
#[derive(Debug, Clone)]
pub(crate) struct Runner {
    pub(crate) id: u64,
    pub(crate) name: String,
    /// `quentin/albatros`, `quentin` or nothing, for the instance.
    pub(crate) scope: String,
    pub(crate) labels: Vec<String>,
    pub(crate) busy: bool,
    /// GitHub's group, where it was told.
    pub(crate) group: Option<u64>,
}

/// Jobs and runners.
#[derive(Debug, Default)]
pub(super) struct Actions {
    jobs: Vec<Job>,
    runners: Vec<Runner>,
    numbers: u64,
    registered: usize,
}

impl Job {
    /// As Gitea writes it, in lists and in deliveries.
    pub(crate) fn json(&self) -> Value {
        let mut job = json!({
            "id": self.id, "run_id": self.id, "name": format!("job {}", self.id), "labels": self.labels,
            "url": format!("http://127.0.0.1:3300/api/v1/repos/{}/actions/jobs/{}", self.repo, self.id),
            "html_url": format!("http://127.0.0.1:3300/{}/actions/runs/{}/jobs/0", self.repo, self.id),
            "run_attempt": self.attempt, "head_sha": crate::fake::delivery::commit(self.id), "head_branch": "main",
            "status": self.status, "steps": null,
        });
        if let Some((id, name)) = &self.runner {
            (job["runner_id"], job["runner_name"]) = ((*id).into(), name.as_str().into());
        }
        if let Some(conclusion) = &self.conclusion {
            job["conclusion"] = conclusion.as_str().into();
        }
        job
    }
}

impl Forge {
    /// A job is queued; gives it as the delivery has it.
    pub(crate) fn queue(&self, repo: &str, labels: &[&str]) -> Job {
        self.change(|store| {
            store.actions.numbers += 1;
            let job = Job {
                id: store.actions.numbers,
                repo: repo.to_owned(),
                labels: labels.iter().map(|&label| label.to_owned()).collect(),
                status: "queued".to_owned(),
                conclusion: None,
                attempt: 0,
                runner: None,
            };
            store.actions.jobs.push(job.clone());
            job
        })
    }

    /// A person cancels a job, or it is over; a runner that has it goes from the list at once.
    pub(crate) fn finish_job(&self, id: u64, conclusion: &str) -> Job {
        self.change(|store| {
            let actions = &mut store.actions;
            let job = actions.jobs.iter_mut().find(|job| job.id == id).unwrap();
            (job.status, job.conclusion) = ("completed".to_owned(), Some(conclusion.to_owned()));
            let job = job.clone();
            actions.runners.retain(|runner| job.runner.as_ref().is_none_or(|(id, _)| *id != runner.id));
            job
        })
    }

    /// The runner asks for work, and gets the oldest job that it can do.
    pub(crate) fn take_job(&self, runner: u64) -> Option<Job> {
        self.change(|store| {
            let Actions { jobs, runners, .. } = &mut store.actions;
            let runner = runners.iter_mut().find(|one| one.id == runner && !one.busy)?;
            let can = |job: &&mut Job| job.labels.iter().all(|label| runner.labels.contains(label));
            let job = jobs.iter_mut().filter(|job| job.status == "queued").find(can)?;
            (job.status, job.attempt) = ("in_progress".to_owned(), job.attempt + 1);
            job.runner = Some((runner.id, runner.name.clone()));
            runner.busy = true;
            Some(job.clone())
        })
    }

    /// The runners that are listed, of all scopes.
    pub(crate) fn runners(&self) -> Vec<Runner> {
        self.state.store.lock().unwrap().actions.runners.clone()
    }

    /// How many were ever registered.
    pub(crate) fn registered(&self) -> usize {
        self.state.store.lock().unwrap().actions.registered
    }

    /// Somebody else's runner, or one that was left over.
    pub(crate) fn list_runner(&self, scope: &str, name: &str) -> u64 {
        self.change(|store| register(&mut store.actions, scope, name, Vec::new()).id)
    }

    /// The jobs there are.
    pub(crate) fn jobs(&self) -> Vec<Job> {
        self.state.store.lock().unwrap().actions.jobs.clone()
    }
}

fn register(actions: &mut Actions, scope: &str, name: &str, labels: Vec<String>) -> Runner {
    actions.numbers += 1;
    actions.registered += 1;
    let (id, scope) = (actions.numbers, scope.to_owned());
    let runner = Runner { id, name: name.to_owned(), scope, labels, busy: false, group: None };
    actions.runners.push(runner.clone());
    runner
}

fn problem(code: u16, message: &str) -> Response {
    wire::json(code, &json!({"message": message}))
}

fn refused(store: &Store, call: &Call) -> Option<Response> {
    match store.may_administer(call) {
        Ok(()) => None,
        Err(Refusal::NoToken) => Some(problem(401, "token is required")),
        Err(Refusal::BadToken) => Some(problem(401, "invalid username, password or token")),
        Err(Refusal::NoRight) => Some(problem(403, "user should be the owner of the repo")),
    }
}

fn runners_of(actions: &Actions, scope: &str) -> Value {
    let of = actions.runners.iter().filter(|runner| scope.is_empty() || runner.scope == scope);
    let shown = of.map(|one| json!({"id": one.id, "name": one.name, "status": "online", "busy": one.busy}));
    let shown: Vec<Value> = shown.collect();
    json!({"total_count": shown.len(), "runners": shown})
}

fn remove(actions: &mut Actions, scope: &str, id: &str) -> Response {
    let before = actions.runners.len();
    actions.runners.retain(|one| one.id.to_string() != id || !(scope.is_empty() || one.scope == scope));
    if actions.runners.len() < before { wire::text(204, "") } else { problem(404, "Runner not found") }
}

/// Gitea's, below `…/actions` of a repository, an owner or the instance.
pub(super) fn gitea(store: &mut Store, call: &Call, scope: &str, rest: &[&str]) -> Response {
    if let Some(refused) = refused(store, call) {
        return refused;
    }
    let actions = &mut store.actions;
    match (call.method.as_str(), rest) {
        ("GET", ["jobs"]) => {
            let asked: Vec<&str> =
                call.query.iter().filter(|(name, _)| name == "status").map(|(_, it)| it.as_str()).collect();
            let below = |repo: &str| scope.is_empty() || repo == scope || repo.starts_with(&format!("{scope}/"));
            let found = actions.jobs.iter().filter(|job| below(&job.repo) && asked.contains(&job.status.as_str()));
            let found: Vec<Value> = found.map(Job::json).collect();
            let number = |name: &str| call.param(name).and_then(|it| it.parse::<usize>().ok());
            let (page, limit) = (number("page").unwrap_or(1), number("limit").unwrap_or(usize::MAX));
            let shown: Vec<Value> = found.iter().skip((page - 1).saturating_mul(limit)).take(limit).cloned().collect();
            wire::json(200, &json!({"total_count": found.len(), "jobs": shown}))
        }
        ("GET", ["runners"]) => wire::json(200, &runners_of(actions, scope)),
        ("DELETE", ["runners", id]) => remove(actions, scope, id),
        ("POST", ["runners", "registration-token"]) => {
            // Which scope it is for is the token's business at Gitea; here it says it itself.
            wire::json(200, &json!({"token": format!("{REGISTRATION}@{scope}")}))
        }
        _ => problem(404, "not found"),
    }
}

/// `POST /api/actions/runner.v1.RunnerService/Register`, without any other credential than the token in it.
pub(super) fn gitea_register(store: &mut Store, call: &Call) -> Response {
    let asked: Value = serde_json::from_slice(&call.body).unwrap_or_default();
    let token = asked["token"].as_str().unwrap_or_default();
    let Some(scope) = token.strip_prefix(REGISTRATION).and_then(|rest| rest.strip_prefix('@')) else {
        return wire::json(500, &json!({"code": "unknown", "message": "runner registration token not found"}));
    };
    assert_eq!(asked["ephemeral"], true, "{asked}");
    let labels = asked["labels"].as_array().unwrap().iter().map(|label| label.as_str().unwrap().to_owned()).collect();
    let runner = register(&mut store.actions, scope, asked["name"].as_str().unwrap(), labels);
    let (id, name) = (runner.id.to_string(), runner.name);
    wire::json(200, &json!({"runner": {"id": id, "uuid": crate::fake::uuid(), "token": "runner-0wn", "name": name}}))
}

/// The repositories of any organisation, page by page.
pub(super) fn github_repositories(call: &Call, owner: &str) -> Response {
    let number = |name: &str, usual: usize| call.param(name).and_then(|it| it.parse().ok()).unwrap_or(usual);
    let (page, size) = (number("page", 1), number("per_page", 30));
    let names = ["albatros", "docs", "infra", "media", "quiet", "site", "web"];
    let shown = names.iter().skip((page - 1) * size).take(size);
    let shown: Vec<Value> = shown.map(|name| json!({"name": name, "owner": {"login": owner}})).collect();
    wire::json(200, &shown.into())
}

/// GitHub's, below `/repos/<owner>/<name>/actions` or `/orgs/<owner>/actions`.
pub(super) fn github(store: &mut Store, call: &Call, scope: &str, rest: &[&str]) -> Response {
    if let Some(refused) = refused(store, call) {
        return refused;
    }
    let actions = &mut store.actions;
    match (call.method.as_str(), rest) {
        ("GET", ["runs"]) => {
            let runs = actions.jobs.iter().filter(|job| job.repo == scope && call.param("status") == Some(&job.status));
            let runs: Vec<Value> = runs.map(|job| json!({"id": job.id})).collect();
            wire::json(200, &json!({"total_count": runs.len(), "workflow_runs": runs}))
        }
        ("GET", ["runs", run, "jobs"]) => {
            let jobs = actions.jobs.iter().filter(|job| job.id.to_string() == *run);
            let jobs: Vec<Value> = jobs.map(Job::json).collect();
            wire::json(200, &json!({"total_count": jobs.len(), "jobs": jobs}))
        }
        ("GET", ["runners"]) => wire::json(200, &runners_of(actions, scope)),
        ("GET", ["runner-groups"]) => {
            wire::json(200, &json!({"runner_groups": [{"id": 1, "name": "Default"}, {"id": 7, "name": "big"}]}))
        }
        ("DELETE", ["runners", id]) => remove(actions, scope, id),
        ("POST", ["runners", "generate-jitconfig"]) => {
            let asked: Value = serde_json::from_slice(&call.body).unwrap_or_default();
            let labels = asked["labels"].as_array().unwrap().iter();
            let labels = labels.map(|label| label.as_str().unwrap().to_owned()).collect();
            let runner = register(actions, scope, asked["name"].as_str().unwrap(), labels);
            if let Some(listed) = actions.runners.iter_mut().find(|one| one.id == runner.id) {
                listed.group = asked["runner_group_id"].as_u64();
            }
            let shown = json!({"id": runner.id, "name": runner.name, "busy": false});
            wire::json(201, &json!({"runner": shown, "encoded_jit_config": "aml0LXMzY3IzdA=="}))
        }
        _ => problem(404, "Not Found"),
    }
}
