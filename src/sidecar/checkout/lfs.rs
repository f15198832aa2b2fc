//! The files of git LFS, by `git lfs`, which is told which server to ask: no `.lfsconfig` can name a program, a file or
//! another protocol.

use super::repository::Repository;
use super::{CheckoutError, credential};
use crate::api::git::Refusal;
use crate::domain::repo_url::RepoUrl;

/// Puts the files in the place of their pointers.
pub(super) async fn pull(repository: &Repository) -> Result<(), CheckoutError> {
    let url = server(repository).await?;
    let asked = Repository {
        dir: repository.dir.clone(),
        // The filter is named for this one call, so that the index knows the files as they are; the workspace's own
        // configuration does not name it.
        git: repository.git.clone().set("lfs.url", &url).set("filter.lfs.clean", "git-lfs clean -- %f"),
        credential: credential::for_url(repository.credential.as_ref(), &url).cloned(),
        foreign: repository.foreign || !credential::same_host(&repository.url, &url),
        url: url.clone(),
        commit: repository.commit.clone(),
        deadline: repository.deadline,
    };
    asked.talk(&["lfs", "pull"]).await.map_err(|source| {
        let why = Refusal::of(&source);
        CheckoutError::Lfs { url, why, shown: asked.credential.is_some(), source: asked.told(source) }
    })
}

/// Where the files are: what `.lfsconfig` says, else where LFS servers are.
async fn server(repository: &Repository) -> Result<String, CheckoutError> {
    let blob = format!("--blob={}:.lfsconfig", repository.commit);
    match repository.git.text(&["config", &blob, "--get", "lfs.url"]).await {
        Ok(url) if !url.is_empty() => {
            url.parse::<RepoUrl>().map_err(CheckoutError::LfsUrl)?;
            Ok(url)
        }
        Ok(_) | Err(_) => {
            let base = repository.url.trim_end_matches('/');
            let dot_git = if base.ends_with(".git") { "" } else { ".git" };
            Ok(format!("{base}{dot_git}/info/lfs"))
        }
    }
}
