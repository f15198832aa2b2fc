//! A directory that is not the top of a repository: its files become commits in one that we keep for it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::copy::{CopyError, Head};
use crate::api::git::{Git, GitError};
use crate::domain::id::CommitSha;

/// The one branch of a snapshot.
const BRANCH: &str = "refs/heads/main";

/// A directory and the repository that its states are kept in.
#[derive(Debug)]
pub(super) struct Snapshot {
    dir: PathBuf,
    git_dir: PathBuf,
    git: Git,
    last: Option<(String, CommitSha)>,
}

impl Snapshot {
    /// Makes the repository `git_dir` unless it is there. What lies in `apart` is never part of a snapshot.
    pub(super) async fn open(dir: &Path, path: &OsStr, git_dir: &Path, apart: &Path) -> Result<Self, CopyError> {
        let mut git = Git::new(dir, path);
        for who in ["AUTHOR", "COMMITTER"] {
            git =
                git.with(format!("GIT_{who}_NAME"), "albatros").with(format!("GIT_{who}_EMAIL"), "albatros@localhost");
        }
        let this = Self { dir: dir.to_owned(), git_dir: git_dir.to_owned(), git, last: None };
        this.prepare(apart).map_err(|error| CopyError::Snapshot(git_dir.to_owned(), error))?;
        Ok(this)
    }

    fn prepare(&self, apart: &Path) -> std::io::Result<()> {
        for sub in ["objects", "refs/heads", "info"] {
            std::fs::create_dir_all(self.git_dir.join(sub))?;
        }
        let exclude = apart.strip_prefix(&self.dir).map(|inside| format!("/{}/\n", inside.display()));
        std::fs::write(self.git_dir.join("info/exclude"), exclude.unwrap_or_default())?;
        if !self.git_dir.join("HEAD").exists() {
            std::fs::write(self.git_dir.join("config"), "[core]\n\trepositoryformatversion = 0\n\tbare = false\n")?;
            std::fs::write(self.git_dir.join("HEAD"), format!("ref: {BRANCH}\n"))?;
        }
        Ok(())
    }

    pub(super) fn git_dir(&self) -> &Path {
        &self.git_dir
    }

    /// The state of the directory as a commit, a new one if it has changed.
    pub(super) async fn head(&mut self) -> Result<Head, CopyError> {
        let commit = self.commit().await.map_err(|error| CopyError::Git(self.dir.clone(), error))?;
        Ok(Head { commit, git_ref: BRANCH.to_owned() })
    }

    async fn commit(&mut self) -> Result<CommitSha, GitError> {
        self.text(&["add", "-A", "--", "."]).await?;
        let tree = self.text(&["write-tree"]).await?;
        if self.last.is_none() {
            self.last = self.known().await;
        }
        if let Some((known, commit)) = &self.last
            && *known == tree
        {
            return Ok(commit.clone());
        }
        let parent = self.last.as_ref().map(|(_, commit)| commit.to_string());
        let mut args = vec!["commit-tree", tree.as_str(), "-m", "snapshot"];
        if let Some(parent) = &parent {
            args.extend(["-p", parent]);
        }
        let text = self.text(&args).await?;
        self.text(&["update-ref", BRANCH, &text]).await?;
        let no_commit =
            |_error| GitError::Refused { verb: "commit-tree".to_owned(), said: "no commit came out".to_owned() };
        let commit: CommitSha = text.parse().map_err(no_commit)?;
        self.last = Some((tree, commit.clone()));
        Ok(commit)
    }

    /// What an earlier run has left.
    async fn known(&self) -> Option<(String, CommitSha)> {
        let commit = self.text(&["rev-parse", "-q", "--verify", BRANCH]).await.ok()?;
        let tree = self.text(&["rev-parse", "-q", "--verify", &format!("{commit}^{{tree}}")]).await.ok()?;
        Some((tree, commit.parse().ok()?))
    }

    async fn text(&self, args: &[&str]) -> Result<String, GitError> {
        let mut all: Vec<&OsStr> = vec!["--git-dir".as_ref(), self.git_dir.as_os_str()];
        all.extend([OsStr::new("--work-tree"), self.dir.as_os_str()]);
        all.extend(args.iter().map(OsStr::new));
        self.git.text(&all).await
    }
}
