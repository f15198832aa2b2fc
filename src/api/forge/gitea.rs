//! What Gitea and Forgejo say of refs.

use reqwest::StatusCode;
use serde::Deserialize;

use super::{Forge, ForgeError, Short, call};
use crate::api::http::Answer;
use crate::domain::id::CommitSha;

#[derive(Deserialize)]
struct Branch {
    commit: BranchCommit,
}

#[derive(Deserialize)]
struct BranchCommit {
    id: CommitSha,
}

#[derive(Deserialize)]
struct Tag {
    commit: TagCommit,
}

#[derive(Deserialize)]
struct TagCommit {
    sha: CommitSha,
}

#[derive(Deserialize)]
struct Comparison {
    total_commits: u64,
}

pub(super) async fn head(forge: &Forge, git_ref: &str) -> Result<Option<CommitSha>, ForgeError> {
    let Some(short) = Short::of(git_ref) else { return Ok(None) };
    // The name's own slashes stay slashes: some proxies refuse encoded ones, and Gitea takes both.
    let path: Vec<&str> = match short {
        Short::Branch(name) => std::iter::once("branches").chain(name.split('/')).collect(),
        Short::Tag(name) => std::iter::once("tags").chain(name.split('/')).collect(),
        Short::Pull(number) => vec!["pulls", number],
    };
    let answer = forge.get("read a ref", &path, &[]).await?;
    if answer.status == StatusCode::NOT_FOUND && !call::is_page(&answer) {
        return Ok(None);
    }
    let answer = call::accepted(answer, "read a ref")?;
    let head = match short {
        Short::Branch(_) => answer.json::<Branch>()?.commit.id,
        Short::Tag(_) => answer.json::<Tag>()?.commit.sha,
        Short::Pull(_) => answer.json::<super::github::Pull>()?.head.sha,
    };
    Ok(Some(head))
}

/// Whether the second side of a comparison brings no commit that the first has not.
pub(super) fn nothing_new(answer: &Answer) -> Result<bool, ForgeError> {
    let compared: Comparison = answer.json()?;
    Ok(compared.total_commits == 0)
}
