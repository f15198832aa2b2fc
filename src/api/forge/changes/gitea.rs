//! Gitea and Forgejo: a comparison lists the commits that one side has and the other has not, each with the files in
//! which it differs from its first parent, renamed ones by both names (seen with 1.25.4). Two histories that have nothing
//! in common compare as if there were no commit between them (seen), so a way is walked from commit to commit until it
//! leaves the list, and only what meets there counts as compared.

use std::collections::HashMap;

use serde::Deserialize;

use super::{Base, Changed, File, Names, spare};
use crate::api::forge::{Forge, ForgeError};
use crate::domain::id::CommitSha;

#[derive(Deserialize)]
struct Comparison {
    #[serde(default)]
    commits: Option<Vec<Commit>>,
}

#[derive(Deserialize)]
struct Commit {
    sha: CommitSha,
    #[serde(default)]
    parents: Vec<Parent>,
    #[serde(default)]
    files: Option<Vec<File>>,
}

#[derive(Deserialize)]
struct Parent {
    sha: CommitSha,
}

pub(super) async fn changed(forge: &Forge, base: &Base, commit: &CommitSha) -> Result<Changed, ForgeError> {
    let mut names = Names::default();
    let (base, is_new) = match base {
        Base::Before(before) => (before, false),
        Base::Default(head) => (head, true),
        Base::Unknown => return Ok(Changed::default()),
    };
    let Some(from) = walk(forge, base, commit, &mut names).await? else { return Ok(names.into_changed(false)) };
    if from == *base {
        return Ok(names.into_changed(true));
    }
    // A new branch changes what is behind the commit where it leaves the default one.
    if is_new {
        let leaves = from != *commit || walk(forge, commit, base, &mut Names::default()).await? == Some(from);
        return Ok(names.into_changed(leaves));
    }
    // The branch was forced elsewhere: what it has lost is changed too.
    let back = walk(forge, commit, base, &mut names).await?;
    Ok(names.into_changed(back == Some(from)))
}

/// Goes from `head` along first parents through what `base` has not, and gives the first commit that `base` has: `head`
/// itself where the list is empty. None where one side is not known, or the way has no such end.
async fn walk(
    forge: &Forge,
    base: &CommitSha,
    head: &CommitSha,
    names: &mut Names,
) -> Result<Option<CommitSha>, ForgeError> {
    let Some(answer) = forge.compare(base, head, &spare()).await? else { return Ok(None) };
    let listed = answer.json::<Comparison>()?.commits.unwrap_or_default();
    let mut listed: HashMap<CommitSha, Commit> = listed.into_iter().map(|one| (one.sha.clone(), one)).collect();
    let mut at = head.clone();
    while let Some(commit) = listed.remove(&at) {
        let (Some(files), Some(parent)) = (commit.files, commit.parents.into_iter().next()) else { return Ok(None) };
        files.into_iter().for_each(|file| names.add(file));
        at = parent.sha;
    }
    Ok(Some(at))
}
