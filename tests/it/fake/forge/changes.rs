//! What changes touch, in the words of both forges.

use axum::response::Response;
use serde_json::{Value, json};

use super::{Pull, Repo};
use crate::fake::wire::{self, Call};

impl Repo {
    /// A commit as Gitea's comparison lists it: renamed files by both names, as removed and added.
    pub(super) fn gitea_commit(&self, sha: &str) -> Value {
        let one = |name: &str, status: &str| json!({"filename": name, "status": status});
        let files = self.files_of(sha).iter().flat_map(|file| match file.split_once(" -> ") {
            Some((old, new)) => vec![one(new, "added"), one(old, "removed")],
            None => vec![one(file, "modified")],
        });
        let parents: Vec<Value> =
            self.parents.get(sha).cloned().flatten().iter().map(|parent| json!({"sha": parent})).collect();
        json!({"sha": sha, "parents": parents, "files": files.collect::<Vec<_>>()})
    }

    /// The files of GitHub's comparison: those of all commits, each once, 300 at most.
    pub(super) fn compared_files(&self, base: &str, head: &str) -> Vec<Value> {
        let mut files: Vec<String> =
            self.between(base, head).iter().flat_map(|sha| self.files_of(sha).to_vec()).collect();
        files.sort();
        files.dedup();
        files.iter().take(300).map(|file| changed_file(file)).collect()
    }

    fn files_of(&self, sha: &str) -> &[String] {
        self.files.get(sha).map_or(&[], Vec::as_slice)
    }
}

/// A file of a pull request, or of GitHub's comparison.
fn changed_file(file: &str) -> Value {
    match file.split_once(" -> ") {
        Some((old, new)) => json!({"filename": new, "previous_filename": old, "status": "renamed"}),
        None => json!({"filename": file, "status": "modified"}),
    }
}

/// One page of a pull request's files, `size` at most.
pub(super) fn pull_files(pull: &Pull, call: &Call, size: usize) -> Response {
    let page: usize = call.param("page").and_then(|page| page.parse().ok()).unwrap_or(1).max(1);
    let files: Vec<Value> =
        pull.files.iter().skip(size * (page - 1)).take(size).map(|file| changed_file(file)).collect();
    wire::json(200, &files.into())
}

/// A pull request.
pub(super) fn pull(number: u64, pull: &Pull) -> Response {
    let base = json!({"ref": "main", "repo": {"id": 1, "private": false}});
    let head = json!({"ref": "topic", "label": "topic", "sha": pull.head, "repo": {"id": 2, "private": false}});
    let user = json!({"id": 3, "login": "mallory"});
    wire::json(200, &json!({"number": number, "state": "open", "user": user, "head": head, "base": base}))
}
