//! A clean checkout of exactly COMMIT.
//!
//! ```text
//! plan ─▶ repository (written by hand) ─▶ fetch ─▶ check out ─▶ submodules ─▶ LFS
//! ```
//! The last two only where the plan says so. What a repository itself configures is never run: no hook, no filter, no
//! command of a `.gitmodules` or `.lfsconfig`.

mod credential;
mod error;
mod fetch;
mod lfs;
mod repository;
mod submodules;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use tokio::time::{Duration, Instant};

use crate::api::git::Git;
use crate::domain::git_ref;
use crate::domain::grant::Checkout;
use crate::domain::id::CommitSha;
use crate::domain::repo_url::RepoUrl;
pub(super) use error::CheckoutError;
use repository::Repository;

/// What a workspace is made of.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    /// REPO_URL.
    pub(super) repo_url: String,
    /// COMMIT.
    pub(super) commit: CommitSha,
    /// BRANCH, for a builder that does not pass REF on.
    pub(super) branch: String,
    /// REF.
    pub(super) git_ref: Option<String>,
    /// Where the files come from.
    pub(super) source: Source,
    /// What belongs to it besides COMMIT's own files, and what is shown to the forge.
    pub(super) checkout: Checkout,
    /// Where git is looked for.
    pub(super) git_path: OsString,
    /// What gets git through to the outside.
    pub(super) git_vars: Vec<(OsString, OsString)>,
    /// For how long a forge that cannot be reached is asked again.
    pub(super) patience: Duration,
    /// Where it goes.
    pub(super) workspace: PathBuf,
}

/// Where the workspace comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// REPO_URL, by git.
    Remote,
    /// A repository on this machine; only the local engine says so.
    Local(PathBuf),
    /// The files are there already; only the history is added, where there is one. Only `albatros run` says so.
    Prepared(Option<PathBuf>),
}

/// How long a forge that cannot be reached is asked again, unless told otherwise.
pub(super) const PATIENCE: Duration = Duration::from_secs(10 * 60);

/// Makes the workspace.
pub(super) async fn make(plan: &Plan) -> Result<(), CheckoutError> {
    let workspace = plan.workspace.as_path();
    if !matches!(plan.source, Source::Prepared(_)) {
        match std::fs::remove_dir_all(workspace) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(CheckoutError::Workspace(error)),
            Err(_) | Ok(()) => {}
        }
    }
    std::fs::create_dir_all(workspace).map_err(CheckoutError::Workspace)?;
    if !plan.checkout.source {
        // A job that wants nothing of the repository.
        return Ok(());
    }
    let repository = repository(plan, workspace);
    match &plan.source {
        Source::Remote => {
            plan.repo_url.parse::<RepoUrl>()?;
            let refs = refs(plan)?;
            repository.write(None, Some(&plan.repo_url)).map_err(CheckoutError::Workspace)?;
            repository.fetch(&refs).await?;
            repository.check_out().await?;
        }
        Source::Local(from) => {
            repository.write(Some(from), None).map_err(CheckoutError::Workspace)?;
            repository.check_out().await?;
        }
        Source::Prepared(None) => return Ok(()),
        Source::Prepared(Some(from)) => {
            repository.write(Some(from), None).map_err(CheckoutError::Workspace)?;
            return repository.adopt().await;
        }
    }
    complete(plan, repository).await
}

/// The parts of a checkout that git leaves out.
async fn complete(plan: &Plan, repository: Repository) -> Result<(), CheckoutError> {
    let mut all = vec![repository];
    if plan.checkout.submodules {
        submodules::add(plan, &mut all).await?;
    }
    if plan.checkout.lfs {
        for repository in &all {
            lfs::pull(repository).await?;
        }
    }
    Ok(())
}

fn repository(plan: &Plan, dir: &Path) -> Repository {
    let git = Git::new(dir, &plan.git_path);
    Repository {
        dir: dir.to_owned(),
        git: plan.git_vars.iter().fold(git, |git, (name, value)| git.with(name, value)),
        credential: credential::for_url(plan.checkout.credential.as_ref(), &plan.repo_url).cloned(),
        url: plan.repo_url.clone(),
        foreign: false,
        commit: plan.commit.clone(),
        deadline: Instant::now() + plan.patience,
    }
}

/// REF, or what BRANCH can mean where the builder does not pass REF on.
fn refs(plan: &Plan) -> Result<Vec<String>, CheckoutError> {
    let names = match &plan.git_ref {
        Some(name) if name.starts_with("refs/") => vec![name.clone()],
        Some(name) => return Err(CheckoutError::Ref(name.clone())),
        None => ["refs/heads/", "refs/tags/", "refs/"].map(|prefix| format!("{prefix}{}", plan.branch)).to_vec(),
    };
    match names.iter().find(|name| git_ref::check(name).is_err()) {
        Some(name) => Err(CheckoutError::Ref(name.clone())),
        None => Ok(names),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_could_run_something_is_refused() {
        for text in [
            "ext::sh -c id",
            "file:///etc",
            "--upload-pack=touch /tmp/x",
            "-u./x",
            "ssh://git@git.example/o/r",
            "git@git.example:o/r",
            "https://user:pass@git.example/o/r",
            "https://git.example/o/../r",
            "https://git.example/o/r\n",
            "http::https://git.example/o/r",
            "/tmp/repo",
            "",
        ] {
            assert!(text.parse::<RepoUrl>().is_err(), "{text}");
        }
        for text in ["https://git.example/o/r", "http://localhost:3000/o/r.git", "https://git.example/o/r%20s/"] {
            assert!(text.parse::<RepoUrl>().is_ok(), "{text}");
        }
    }
}
