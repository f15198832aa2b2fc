//! Which submodules a commit has: the entries of its tree, with what `.gitmodules` says of them.

use std::collections::BTreeMap;

use super::super::CheckoutError;
use super::super::repository::Repository;
use crate::api::git::GitError;
use crate::domain::id::CommitSha;

/// A submodule of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    /// What `.gitmodules` calls it; never a path for us.
    pub(super) name: String,
    /// Where it lies.
    pub(super) path: String,
    /// Its address as it is spelled there.
    pub(super) url: String,
    /// Which commit of it.
    pub(super) commit: CommitSha,
}

/// The submodules of a repository's commit, without those that say `update = none`.
pub(super) async fn of(repository: &Repository) -> Result<Vec<Named>, CheckoutError> {
    let commit = repository.commit.as_str();
    let failed = |source| CheckoutError::Submodules { commit: commit.to_owned(), source };
    let tree = repository.git.run(&["ls-tree", "-r", "-z", commit]).await.map_err(failed)?;
    let links = links(&tree);
    if links.is_empty() {
        return Ok(Vec::new());
    }
    let blob = format!("--blob={commit}:.gitmodules");
    let file = match repository.git.run(&["config", &blob, "-z", "--get-regexp", r"^submodule\."]).await {
        Ok(file) => file,
        Err(GitError::Refused { .. }) => Vec::new(),
        Err(error) => return Err(failed(error)),
    };
    let mut known = sections(&file);
    let mut found = Vec::new();
    for (path, commit) in links {
        let refuse = |why| CheckoutError::Submodule { path: path.clone(), why };
        let section = known.remove(&path).ok_or_else(|| refuse("is not in .gitmodules"))?;
        if section.update.as_deref() == Some("none") {
            continue;
        }
        let url = section.url.ok_or_else(|| refuse("has no address in .gitmodules"))?;
        if section.name.chars().any(char::is_control) || url.chars().any(char::is_control) {
            return Err(refuse("has control characters in .gitmodules"));
        }
        found.push(Named { name: section.name, path, url, commit });
    }
    Ok(found)
}

/// Path and commit of each entry of kind 160000 in `ls-tree -z`.
fn links(tree: &[u8]) -> Vec<(String, CommitSha)> {
    let lines = tree.split(|byte| *byte == 0).filter(|line| line.starts_with(b"160000 "));
    lines
        .filter_map(|line| {
            let (entry, path) = std::str::from_utf8(line).ok()?.split_once('\t')?;
            Some((path.to_owned(), entry.rsplit(' ').next()?.parse().ok()?))
        })
        .collect()
}

#[derive(Debug, Default)]
struct Section {
    name: String,
    path: Option<String>,
    url: Option<String>,
    update: Option<String>,
}

/// The sections of a `.gitmodules` by their path; of two with the same path the later, as git has it.
fn sections(file: &[u8]) -> BTreeMap<String, Section> {
    let mut by_name: BTreeMap<String, Section> = BTreeMap::new();
    for entry in file.split(|byte| *byte == 0) {
        let Ok(entry) = std::str::from_utf8(entry) else { continue };
        let Some((key, value)) = entry.split_once('\n') else { continue };
        let Some((name, field)) = key.strip_prefix("submodule.").and_then(|rest| rest.rsplit_once('.')) else {
            continue;
        };
        let section = by_name.entry(name.to_owned()).or_default();
        section.name = name.to_owned();
        match field {
            "path" => section.path = Some(value.trim_end_matches('/').to_owned()),
            "url" => section.url = Some(value.to_owned()),
            "update" => section.update = Some(value.to_owned()),
            _ => {}
        }
    }
    by_name.into_values().filter_map(|section| Some((section.path.clone()?, section))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_dots_and_tricks_are_only_names() {
        let file = b"submodule.a.b.path\nlib/a\0submodule.a.b.url\n../a\0submodule.../../x.path\nb\0submodule.../../x.url\nhttps://h/b\0";
        let sections = sections(file);
        assert_eq!(sections["lib/a"].name, "a.b");
        assert_eq!(sections["b"].name, "../../x");
    }

    #[test]
    fn only_links_to_commits_are_submodules() {
        let sha = "0123456789012345678901234567890123456789";
        let tree = format!("100644 blob {sha}\tx\0160000 commit {sha}\tlib/ä b\0040000 tree {sha}\t160000 y\0");
        let found = links(tree.as_bytes());
        assert_eq!(found, [("lib/ä b".to_owned(), sha.parse().unwrap())]);
    }
}
