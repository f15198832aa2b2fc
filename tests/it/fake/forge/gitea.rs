//! Gitea's API under `/api/v1/repos/<owner>/<name>`.

use axum::response::Response;
use serde_json::{Value, json};

use super::{Refusal, Repo, Status, Store, about, changes, parse_status};
use crate::fake::wire::{self, Call};

fn problem(code: u16, message: &str) -> Response {
    wire::json(code, &json!({"message": message, "url": "http://127.0.0.1:3300/api/swagger"}))
}

fn not_found() -> Response {
    let body = json!({"errors": null, "message": "not found", "url": "http://127.0.0.1:3300/api/swagger"});
    wire::json(404, &body)
}

fn status_json(id: usize, status: &Status) -> Value {
    json!({
        "id": id, "status": status.state, "target_url": status.target_url, "description": status.description,
        "url": format!("http://127.0.0.1:3300/api/v1/repos/{}/statuses/{}", status.repo, status.sha),
        "context": status.context, "creator": {"id": 2, "login": "quentin", "username": "quentin"},
        "created_at": "2026-11-21T13:09:44Z", "updated_at": "2026-11-21T13:09:44Z",
    })
}

pub(super) fn answer(store: &mut Store, call: &Call, name: &str, rest: &[&str]) -> Response {
    let post = call.method == "POST";
    match store.may(call, post) {
        Ok(()) => {}
        Err(Refusal::NoToken) => return problem(401, "token is required"),
        Err(Refusal::BadToken) => return problem(401, "invalid username, password or token"),
        Err(Refusal::NoRight) => return problem(403, "user should have a permission to write to a repo"),
    }
    let Some(repo) = store.repos.get(name) else {
        return not_found();
    };
    match (post, rest) {
        (true, ["statuses", sha]) => post_status(store, call, name, sha),
        (false, []) => wire::json(200, &about(store, name)),
        (false, ["branches", branch @ ..]) => match repo.branches.get(&branch.join("/")) {
            Some(head) => {
                wire::json(200, &json!({"name": branch.join("/"), "commit": {"id": head}, "protected": false}))
            }
            None => not_found(),
        },
        (false, ["tags", tag @ ..]) => match repo.tags.get(&tag.join("/")) {
            Some(head) => wire::json(200, &json!({"name": tag.join("/"), "id": head, "commit": {"sha": head}})),
            None => not_found(),
        },
        (false, ["git", "commits", sha]) => match repo.resolve(sha) {
            Some(sha) => {
                let message = repo.messages.get(&sha).cloned().unwrap_or_default();
                let commit = json!({"message": message});
                wire::json(200, &json!({"sha": sha, "created": "2026-11-21T13:07:36Z", "commit": commit}))
            }
            None => problem(404, &format!("commit doesn't exist: {sha}")),
        },
        (false, ["git", "refs", path @ ..]) => refs(repo, &path.join("/")),
        (false, ["pulls", number, rest @ ..]) => {
            match (number.parse().ok().and_then(|number| Some((number, repo.pulls.get(&number)?))), rest) {
                (Some((number, pull)), []) => changes::pull(number, pull),
                (Some((_, pull)), ["files"]) => {
                    let asked = call.param("limit").and_then(|limit| limit.parse().ok()).unwrap_or(30);
                    let mut page = changes::pull_files(pull, call, asked.clamp(1, 50));
                    page.headers_mut().insert("x-total-count", pull.files.len().into());
                    page
                }
                _ => not_found(),
            }
        }
        (false, ["compare", ends @ ..]) => compare(repo, &ends.join("/")),
        (false, ["statuses", sha]) | (false, ["commits", sha, "statuses"]) => {
            list(store, call, name, sha).unwrap_or_else(not_found)
        }
        (false, ["commits", sha, "status"]) => combined(store, name, sha).unwrap_or_else(not_found),
        _ => not_found(),
    }
}

fn post_status(store: &mut Store, call: &Call, name: &str, sha: &str) -> Response {
    let Some(sha) = store.repos[name].resolve(sha) else {
        // Seen: not 404 and not 422, and no word about it.
        return problem(500, "");
    };
    let Ok(status) = parse_status(call, name, &sha) else {
        return problem(422, "[]: invalid character '\\x00' looking for beginning of value");
    };
    let id = store.statuses.iter().filter(|one| one.sha == sha).count() + 1;
    let shown = status_json(id, &status);
    store.statuses.push(status);
    wire::json(201, &shown)
}

fn refs(repo: &Repo, path: &str) -> Response {
    let found = match path.split_once('/') {
        Some(("heads", branch)) => repo.branches.get(branch),
        Some(("tags", tag)) => repo.tags.get(tag),
        _ => None,
    };
    match found {
        Some(sha) => {
            wire::json(200, &json!([{"ref": format!("refs/{path}"), "object": {"type": "commit", "sha": sha}}]))
        }
        None => not_found(),
    }
}

fn compare(repo: &Repo, ends: &str) -> Response {
    let Some((base, head)) = ends.split_once("...").or_else(|| ends.split_once("..")) else {
        return not_found();
    };
    let (Some(base), Some(head)) = (repo.resolve(base), repo.resolve(head)) else {
        return not_found();
    };
    // Seen: two histories without a common commit compare as if nothing were between them.
    let related = !repo.history(&base).is_disjoint(&repo.history(&head));
    let commits = if related { repo.between(&base, &head) } else { Vec::new() };
    let commits: Vec<Value> = commits.iter().map(|sha| repo.gitea_commit(sha)).collect();
    wire::json(200, &json!({"total_commits": commits.len(), "commits": commits}))
}

/// Oldest first unless `sort=recentupdate`; `limit` has no effect (seen).
fn list(store: &Store, call: &Call, name: &str, sha: &str) -> Option<Response> {
    let sha = store.repos[name].resolve(sha)?;
    let of_commit = store.statuses.iter().filter(|one| one.repo == name && one.sha == sha);
    let mut found: Vec<Value> = of_commit.enumerate().map(|(at, one)| status_json(at + 1, one)).collect();
    if call.param("page").is_some_and(|page| page != "1") {
        found.clear();
    }
    Some(wire::json(200, &found.into()))
}

/// The newest of each context.
fn combined(store: &Store, name: &str, sha: &str) -> Option<Response> {
    let sha = store.repos[name].resolve(sha)?;
    let of_commit: Vec<&Status> = store.statuses.iter().filter(|one| one.repo == name && one.sha == sha).collect();
    let newest = |at: usize| of_commit[at + 1..].iter().all(|later| later.context != of_commit[at].context);
    let shown: Vec<Value> =
        (0..of_commit.len()).filter(|at| newest(*at)).map(|at| status_json(at + 1, of_commit[at])).collect();
    let state = shown.last().map_or("", |one| one["status"].as_str().unwrap_or_default()).to_owned();
    let total = shown.len();
    let statuses = if shown.is_empty() { Value::Null } else { shown.into() };
    Some(wire::json(200, &json!({"state": state, "sha": sha, "total_count": total, "statuses": statuses})))
}
