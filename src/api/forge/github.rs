//! What GitHub says of refs.

use reqwest::StatusCode;
use serde::Deserialize;

use super::{Forge, ForgeError, Short, call};
use crate::api::http::Answer;
use crate::domain::id::CommitSha;

/// A pull request; Gitea spells it the same way.
#[derive(Deserialize)]
pub(super) struct Pull {
    pub(super) head: PullHead,
}

/// Its head.
#[derive(Deserialize)]
pub(super) struct PullHead {
    pub(super) sha: CommitSha,
}

#[derive(Deserialize)]
struct Ref {
    object: Object,
}

#[derive(Deserialize)]
struct Object {
    #[serde(rename = "type")]
    kind: String,
    sha: CommitSha,
}

#[derive(Deserialize)]
struct Comparison {
    status: String,
}

/// A tag of a tag of a tag is as far as anybody goes.
const PEELS: usize = 3;

pub(super) async fn head(forge: &Forge, git_ref: &str) -> Result<Option<CommitSha>, ForgeError> {
    let Some(short) = Short::of(git_ref) else { return Ok(None) };
    let path: Vec<&str> = match short {
        Short::Branch(name) => ["git", "ref", "heads"].into_iter().chain(name.split('/')).collect(),
        Short::Tag(name) => ["git", "ref", "tags"].into_iter().chain(name.split('/')).collect(),
        Short::Pull(number) => vec!["pulls", number],
    };
    let Some(answer) = found(forge, &path).await? else { return Ok(None) };
    if let Short::Pull(_) = short {
        return Ok(Some(answer.json::<Pull>()?.head.sha));
    }
    let mut object = answer.json::<Ref>()?.object;
    for _ in 0..PEELS {
        if object.kind != "tag" {
            break;
        }
        let Some(tag) = found(forge, &["git", "tags", object.sha.as_str()]).await? else { return Ok(None) };
        object = tag.json::<Ref>()?.object;
    }
    Ok((object.kind == "commit").then_some(object.sha))
}

async fn found(forge: &Forge, path: &[&str]) -> Result<Option<Answer>, ForgeError> {
    let answer = forge.get("read a ref", path, &[]).await?;
    if answer.status == StatusCode::NOT_FOUND && !call::is_page(&answer) {
        return Ok(None);
    }
    call::accepted(answer, "read a ref").map(Some)
}

/// Whether the second side of a comparison brings no commit that the first has not.
pub(super) fn nothing_new(answer: &Answer) -> Result<bool, ForgeError> {
    Ok(matches!(answer.json::<Comparison>()?.status.as_str(), "identical" | "behind"))
}
