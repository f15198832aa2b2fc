//! GitHub's API under `/repos/<owner>/<name>`, after its documentation.

use axum::response::Response;
use serde_json::{Value, json};

use super::{Refusal, Repo, Status, Store, about, changes, parse_status};
use crate::fake::wire::{self, Call};

fn problem(code: u16, message: &str) -> Response {
    let body =
        json!({"message": message, "documentation_url": "https://docs.github.com/rest", "status": code.to_string()});
    wire::json(code, &body)
}

fn status_json(id: usize, status: &Status) -> Value {
    json!({
        "id": id, "state": status.state, "target_url": status.target_url, "description": status.description,
        "context": status.context, "creator": {"login": "octocat", "id": 1},
        "created_at": "2026-11-21T13:09:44Z", "updated_at": "2026-11-21T13:09:44Z",
    })
}

pub(super) fn answer(store: &mut Store, call: &Call, name: &str, rest: &[&str]) -> Response {
    let post = call.method == "POST";
    match store.may(call, post) {
        Ok(()) => {}
        Err(Refusal::NoToken) => return problem(401, "Requires authentication"),
        Err(Refusal::BadToken) => return problem(401, "Bad credentials"),
        Err(Refusal::NoRight) => return problem(403, "Resource not accessible by personal access token"),
    }
    let Some(repo) = store.repos.get(name) else {
        return problem(404, "Not Found");
    };
    match (post, rest) {
        (true, ["statuses", sha]) => post_status(store, call, name, sha),
        (false, []) => wire::json(200, &about(store, name)),
        (false, ["branches", branch @ ..]) => match repo.branches.get(&branch.join("/")) {
            Some(head) => wire::json(200, &json!({"name": branch.join("/"), "commit": {"sha": head}})),
            None => problem(404, "Branch not found"),
        },
        (false, ["git", "ref" | "refs", path @ ..]) => reference(repo, &path.join("/")),
        (false, ["commits", sha]) => match repo.resolve(sha) {
            Some(sha) => wire::json(200, &json!({"sha": sha})),
            None => problem(422, &format!("No commit found for SHA: {sha}")),
        },
        (false, ["git", "commits", sha]) => match repo.resolve(sha) {
            Some(sha) => {
                let message = repo.messages.get(&sha).cloned().unwrap_or_default();
                wire::json(200, &json!({"sha": sha, "message": message}))
            }
            None => problem(404, "Not Found"),
        },
        (false, ["pulls", number, rest @ ..]) => {
            match (number.parse().ok().and_then(|number| Some((number, repo.pulls.get(&number)?))), rest) {
                (Some((number, pull)), []) => changes::pull(number, pull),
                (Some((_, pull)), ["files"]) => {
                    let asked = call.param("per_page").and_then(|size| size.parse().ok()).unwrap_or(30);
                    changes::pull_files(pull, call, asked.clamp(1, 100))
                }
                _ => problem(404, "Not Found"),
            }
        }
        (false, ["compare", ends @ ..]) => compare(repo, &ends.join("/")),
        (false, ["commits", sha, "statuses"]) => list(store, call, name, sha),
        _ => problem(404, "Not Found"),
    }
}

fn post_status(store: &mut Store, call: &Call, name: &str, sha: &str) -> Response {
    let Some(sha) = store.repos[name].resolve(sha) else {
        return problem(422, &format!("No commit found for SHA: {sha}"));
    };
    let Ok(status) = parse_status(call, name, &sha) else {
        return problem(400, "Problems parsing JSON");
    };
    if !["error", "failure", "pending", "success"].contains(&status.state.as_str())
        || status.description.len() > 140 * 4
    {
        return problem(422, "Validation Failed");
    }
    let shown = status_json(store.statuses.len() + 1, &status);
    store.statuses.push(status);
    wire::json(201, &shown)
}

fn reference(repo: &Repo, path: &str) -> Response {
    let found = match path.split_once('/') {
        Some(("heads", branch)) => repo.branches.get(branch),
        Some(("tags", tag)) => repo.tags.get(tag),
        _ => None,
    };
    match found {
        Some(sha) => wire::json(200, &json!({"ref": format!("refs/{path}"), "object": {"type": "commit", "sha": sha}})),
        None => problem(404, "Not Found"),
    }
}

fn compare(repo: &Repo, ends: &str) -> Response {
    let found = ends.split_once("...").and_then(|(base, head)| Some((repo.resolve(base)?, repo.resolve(head)?)));
    let Some((base, head)) = found else {
        return problem(404, "Not Found");
    };
    let (ahead, behind) = repo.distance(&base, &head);
    let status = match (ahead, behind) {
        (0, 0) => "identical",
        (0, _) => "behind",
        (_, 0) => "ahead",
        _ => "diverged",
    };
    let counts = json!({
        "status": status, "ahead_by": ahead, "behind_by": behind, "total_commits": ahead,
        "files": repo.compared_files(&base, &head),
    });
    wire::json(200, &counts)
}

/// Newest first, in pages.
fn list(store: &Store, call: &Call, name: &str, sha: &str) -> Response {
    let Some(sha) = store.repos[name].resolve(sha) else {
        return problem(422, &format!("No commit found for SHA: {sha}"));
    };
    let number = |key: &str, absent: usize| call.param(key).and_then(|it| it.parse().ok()).unwrap_or(absent);
    let (size, page) = (number("per_page", 30), number("page", 1));
    let of_commit = store.statuses.iter().enumerate().filter(|(_, one)| one.repo == name && one.sha == sha);
    let found: Vec<Value> = of_commit.rev().map(|(at, one)| status_json(at + 1, one)).collect();
    let shown: Vec<Value> = found.into_iter().skip(size * (page - 1)).take(size).collect();
    wire::json(200, &shown.into())
}
