//! The files of a pull request: the same words and pages at every forge.

use super::{Changed, File, MOST_FILES, Names};
use crate::api::forge::{Forge, ForgeError};
use crate::domain::config::ForgeKind;
use crate::domain::id::CommitSha;

pub(super) async fn changed(forge: &Forge, number: u64, commit: &CommitSha) -> Result<Changed, ForgeError> {
    let mut names = Names::default();
    if !is_head(forge, number, commit).await? {
        return Ok(names.into_changed(false));
    }
    let whole = list(forge, number, &mut names).await?;
    // It lists what the head is now: another one's files are not this commit's.
    if !is_head(forge, number, commit).await? {
        return Ok(Changed::default());
    }
    Ok(names.into_changed(whole))
}

async fn is_head(forge: &Forge, number: u64, commit: &CommitSha) -> Result<bool, ForgeError> {
    Ok(forge.head(&format!("refs/pull/{number}/head")).await?.as_ref() == Some(commit))
}

/// Reads page after page; whether that is all.
async fn list(forge: &Forge, number: u64, names: &mut Names) -> Result<bool, ForgeError> {
    let size = match forge.kind {
        ForgeKind::Gitea => 50,
        ForgeKind::Github => 100,
    };
    let number = number.to_string();
    let mut seen = 0;
    for page in 1..=MOST_FILES.div_ceil(size) {
        // Each forge knows one of the two words for the page's size, and may give less.
        let query = [("page", page.to_string()), ("limit", size.to_string()), ("per_page", size.to_string())];
        let answer = forge.get("read a pull request's files", &["pulls", &number, "files"], &query).await?;
        let Some(answer) = forge.known(answer, "read a pull request's files").await? else { return Ok(false) };
        let total = answer.number("x-total-count").and_then(|total| usize::try_from(total).ok());
        let found: Vec<File> = answer.json::<Option<_>>()?.unwrap_or_default();
        let count = found.len();
        seen += count;
        found.into_iter().for_each(|file| names.add(file));
        match total {
            Some(total) if seen >= total => return Ok(true),
            Some(_) if count == 0 => return Ok(false),
            None if count < size => return Ok(true),
            Some(_) | None => {}
        }
    }
    Ok(false)
}
