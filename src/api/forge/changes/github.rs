//! GitHub: a comparison has the files in which the second side differs from where both met, 300 at most.
//! <https://docs.github.com/en/rest/commits/commits#compare-two-commits>

use serde::Deserialize;

use super::{Base, Changed, File, Names};
use crate::api::forge::{Forge, ForgeError};
use crate::domain::id::CommitSha;

/// More are not listed, whichever page is asked for.
const MOST_LISTED: usize = 300;

#[derive(Deserialize)]
struct Comparison {
    status: String,
    #[serde(default)]
    files: Option<Vec<File>>,
}

pub(super) async fn changed(forge: &Forge, base: &Base, commit: &CommitSha) -> Result<Changed, ForgeError> {
    let mut names = Names::default();
    let (base, is_new) = match base {
        Base::Before(before) => (before, false),
        Base::Default(head) => (head, true),
        Base::Unknown => return Ok(Changed::default()),
    };
    let Some((status, whole)) = one_way(forge, base, commit, &mut names).await? else {
        return Ok(names.into_changed(false));
    };
    if is_new || matches!(status.as_str(), "ahead" | "identical") {
        return Ok(names.into_changed(whole));
    }
    // The branch was forced elsewhere: what it has lost is changed too.
    let back = one_way(forge, commit, base, &mut names).await?;
    Ok(names.into_changed(whole && back.is_some_and(|(_, whole)| whole)))
}

/// How the second side stands to the first, and whether the list of files is whole; none where one is not known.
async fn one_way(
    forge: &Forge,
    base: &CommitSha,
    head: &CommitSha,
    names: &mut Names,
) -> Result<Option<(String, bool)>, ForgeError> {
    // The list of files comes with the first page, however short that is.
    let query = [("per_page", "1".to_owned()), ("page", "1".to_owned())];
    let Some(answer) = forge.compare(base, head, &query).await? else { return Ok(None) };
    let compared: Comparison = answer.json()?;
    let Some(files) = compared.files else { return Ok(Some((compared.status, false))) };
    let whole = files.len() < MOST_LISTED;
    files.into_iter().for_each(|file| names.add(file));
    Ok(Some((compared.status, whole)))
}
