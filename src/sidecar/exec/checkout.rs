//! A clean checkout of exactly COMMIT.
//!
//! The repository in the workspace is written by hand, which saves a process and leaves no template and no hook in it.
//! From a repository on this machine its objects are borrowed (`objects/info/alternates`), never linked or copied, so
//! nothing that the script does to its own repository reaches the one it came from.

use std::io;
use std::path::{Path, PathBuf};

use super::settings::{ExecSettings, Source};
use crate::api::git::{Git, GitError};
use crate::domain::git_ref;
use crate::domain::repo_url::{RepoUrl, RepoUrlError};

/// Why there is no checkout.
#[derive(Debug, thiserror::Error)]
pub(super) enum CheckoutError {
    #[error("REPO_URL cannot be fetched from")]
    Url(#[from] RepoUrlError),
    #[error("{0:?} is not the name of a git ref")]
    Ref(String),
    #[error("the workspace could not be made")]
    Workspace(#[source] io::Error),
    #[error("commit {commit} could not be fetched from {url}")]
    Fetch { commit: String, url: String, source: GitError },
    #[error("commit {0} is not on {1}")]
    NotOnRef(String, String),
    #[error("commit {commit} could not be checked out")]
    Checkout { commit: String, source: GitError },
    #[error("{0} is not a commit")]
    NotACommit(String),
}

/// Where a fetched ref is kept while COMMIT is looked for in it.
const FETCHED: &str = "refs/albatros/ref";
/// How much of a ref is fetched first, where the server does not give COMMIT by itself.
const DEPTH: &str = "--depth=50";

/// Makes the workspace and gives its path.
pub(super) async fn workspace(settings: &ExecSettings) -> Result<PathBuf, CheckoutError> {
    let workspace = settings.workspace();
    if !matches!(settings.source, Source::Prepared(_)) {
        match std::fs::remove_dir_all(&workspace) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(CheckoutError::Workspace(error)),
            Err(_) | Ok(()) => {}
        }
    }
    std::fs::create_dir_all(&workspace).map_err(CheckoutError::Workspace)?;
    let here = Here { settings, git: git(settings, &workspace), workspace: &workspace };
    match &settings.source {
        Source::Remote => {
            check_url(&settings.repo_url)?;
            here.repository(None, Some(&settings.repo_url)).map_err(CheckoutError::Workspace)?;
            here.fetch().await?;
            here.check_out().await?;
        }
        Source::Local(from) => {
            here.repository(Some(from), None).map_err(CheckoutError::Workspace)?;
            here.check_out().await?;
        }
        Source::Prepared(None) => {}
        Source::Prepared(Some(from)) => {
            here.repository(Some(from), None).map_err(CheckoutError::Workspace)?;
            here.adopt().await?;
        }
    }
    Ok(workspace)
}

fn git(settings: &ExecSettings, workspace: &Path) -> Git {
    let git = Git::new(workspace, &settings.git_path);
    settings.git_vars.iter().fold(git, |git, (name, value)| git.with(name, value))
}

struct Here<'a> {
    settings: &'a ExecSettings,
    git: Git,
    workspace: &'a Path,
}

impl Here<'_> {
    /// Writes an empty repository, with another one's objects where that is on this machine.
    fn repository(&self, from: Option<&Path>, origin: Option<&str>) -> io::Result<()> {
        let dir = self.workspace.join(".git");
        for sub in ["objects/info", "objects/pack", "refs/heads", "refs/tags"] {
            std::fs::create_dir_all(dir.join(sub))?;
        }
        let mut config = String::from("[core]\n\tbare = false\n\tfilemode = true\n\tlogAllRefUpdates = false\n");
        match self.settings.commit.as_str().len() {
            40 => config.push_str("\trepositoryformatversion = 0\n"),
            _ => config.push_str("\trepositoryformatversion = 1\n[extensions]\n\tobjectformat = sha256\n"),
        }
        if let Some(url) = origin {
            config.push_str(&format!(
                "[remote \"origin\"]\n\turl = {}\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n",
                Git::quoted(url)
            ));
        }
        std::fs::write(dir.join("config"), config)?;
        std::fs::write(dir.join("HEAD"), "ref: refs/heads/none\n")?;
        let Some(from) = from else { return Ok(()) };
        std::fs::write(dir.join("objects/info/alternates"), format!("{}\n", from.join("objects").display()))?;
        match std::fs::copy(from.join("shallow"), dir.join("shallow")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Err(_) | Ok(_) => Ok(()),
        }
    }

    /// COMMIT alone where the server gives it, else the ref, which must hold it.
    async fn fetch(&self) -> Result<(), CheckoutError> {
        let (url, commit) = (self.settings.repo_url.as_str(), self.settings.commit.as_str());
        let alone = self.git.run(&["fetch", "-q", "--depth=1", "--no-tags", "--", url, commit]).await;
        if alone.is_ok() {
            return Ok(());
        }
        let mut refused = None;
        for name in refs(self.settings)? {
            let spec = format!("+{name}:{FETCHED}");
            for depth in [Some(DEPTH), None] {
                let whole = if self.workspace.join(".git/shallow").exists() { "--unshallow" } else { "--no-tags" };
                let depth = depth.unwrap_or(whole);
                match self.git.run(&["fetch", "-q", depth, "--no-tags", "--", url, &spec]).await {
                    Ok(_) if self.holds(commit).await => return Ok(()),
                    Ok(_) => refused = None,
                    Err(error) => refused = Some(error),
                }
            }
            if refused.is_none() {
                return Err(CheckoutError::NotOnRef(commit.to_owned(), name));
            }
        }
        let source = refused.or(alone.err());
        let source = source.unwrap_or(GitError::Refused { verb: "fetch".to_owned(), said: String::new() });
        Err(CheckoutError::Fetch { commit: commit.to_owned(), url: url.to_owned(), source })
    }

    /// What is here came with the ref and nothing else, so being here is being on it.
    async fn holds(&self, commit: &str) -> bool {
        self.git.run(&["cat-file", "-e", &format!("{commit}^{{commit}}")]).await.is_ok()
    }

    async fn check_out(&self) -> Result<(), CheckoutError> {
        let commit = self.settings.commit.as_str();
        let done = self.git.run(&["checkout", "-q", "-f", "--detach", commit, "--"]).await;
        done.map_err(|source| CheckoutError::Checkout { commit: commit.to_owned(), source })?;
        // A tag object's id would have been followed to another commit.
        let head = std::fs::read_to_string(self.workspace.join(".git/HEAD")).map_err(CheckoutError::Workspace)?;
        if head.trim() == commit { Ok(()) } else { Err(CheckoutError::NotACommit(commit.to_owned())) }
    }

    /// Makes COMMIT the parent of the files that are here, and touches none of them.
    async fn adopt(&self) -> Result<(), CheckoutError> {
        let commit = self.settings.commit.as_str();
        std::fs::write(self.workspace.join(".git/HEAD"), format!("{commit}\n")).map_err(CheckoutError::Workspace)?;
        let done = self.git.run(&["read-tree", "HEAD"]).await;
        done.map(|_| ()).map_err(|source| CheckoutError::Checkout { commit: commit.to_owned(), source })
    }
}

/// REF, or what BRANCH can mean where the builder does not pass REF on.
fn refs(settings: &ExecSettings) -> Result<Vec<String>, CheckoutError> {
    let names = match &settings.git_ref {
        Some(name) if name.starts_with("refs/") => vec![name.clone()],
        Some(name) => return Err(CheckoutError::Ref(name.clone())),
        None => ["refs/heads/", "refs/tags/", "refs/"].map(|prefix| format!("{prefix}{}", settings.branch)).to_vec(),
    };
    match names.iter().find(|name| git_ref::check(name).is_err()) {
        Some(name) => Err(CheckoutError::Ref(name.clone())),
        None => Ok(names),
    }
}

/// The address was checked where it came in; whoever may dispatch by hand can put anything into meta.
fn check_url(text: &str) -> Result<(), CheckoutError> {
    text.parse::<RepoUrl>()?;
    Ok(())
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
            assert!(check_url(text).is_err(), "{text}");
        }
        for text in ["https://git.example/o/r", "http://localhost:3000/o/r.git", "https://git.example/o/r%20s/"] {
            assert!(check_url(text).is_ok(), "{text}");
        }
    }
}
