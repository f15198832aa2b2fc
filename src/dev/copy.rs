//! A working copy: a git repository of the developer's own, or a directory that is made into one.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::snapshot::Snapshot;
use crate::api::git::{Git, GitError};
use crate::domain::id::CommitSha;

/// Why a directory cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// There is no such directory.
    #[error("{0} is not a directory")]
    NotADirectory(PathBuf),
    /// git did not do it.
    #[error("{0} cannot be read as a working copy")]
    Git(PathBuf, #[source] GitError),
    /// The snapshot's own repository cannot be written.
    #[error("{0} cannot be used for snapshots")]
    Snapshot(PathBuf, #[source] std::io::Error),
}

/// What is checked out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    /// The commit.
    pub(super) commit: CommitSha,
    /// `refs/heads/…`
    pub(super) git_ref: String,
}

impl Head {
    /// What `BRANCH` says.
    pub(super) fn branch(&self) -> &str {
        self.git_ref.strip_prefix("refs/heads/").unwrap_or(&self.git_ref)
    }
}

/// A directory whose commits are built.
#[derive(Debug)]
pub(super) enum WorkingCopy {
    Repository(Repository),
    Snapshot(Snapshot),
}

impl WorkingCopy {
    /// The directory itself where it is the top of a repository, else one that is kept in `snapshots`.
    pub(super) async fn open(dir: &Path, path: &OsStr, snapshots: &Path, apart: &Path) -> Result<Self, CopyError> {
        let dir = directory(dir)?;
        match Repository::find(&dir, path).await? {
            Some(repository) => Ok(Self::Repository(repository)),
            None => Snapshot::open(&dir, path, snapshots, apart).await.map(Self::Snapshot),
        }
    }

    /// Where its objects are.
    pub(super) fn git_dir(&self) -> &Path {
        match self {
            Self::Repository(repository) => &repository.common_dir,
            Self::Snapshot(snapshot) => snapshot.git_dir(),
        }
    }

    /// What is checked out now; none without any commit. What has changed in a snapshot's directory becomes a commit.
    pub(super) async fn head(&mut self) -> Result<Option<Head>, CopyError> {
        match self {
            Self::Repository(repository) => repository.head().await,
            Self::Snapshot(snapshot) => snapshot.head().await.map(Some),
        }
    }
}

/// An existing directory, without links in its name.
pub(super) fn directory(dir: &Path) -> Result<PathBuf, CopyError> {
    let full = dir.canonicalize().map_err(|_error| CopyError::NotADirectory(dir.to_owned()))?;
    if full.is_dir() { Ok(full) } else { Err(CopyError::NotADirectory(dir.to_owned())) }
}

/// The top of a git repository.
#[derive(Debug)]
pub(super) struct Repository {
    dir: PathBuf,
    git: Git,
    git_dir: PathBuf,
    common_dir: PathBuf,
    last: Option<(Vec<u8>, Option<Head>)>,
}

impl Repository {
    /// None when `dir` is not the top of one; somewhere inside of one does not count.
    pub(super) async fn find(dir: &Path, path: &OsStr) -> Result<Option<Self>, CopyError> {
        let git = Git::new(dir, path);
        let asked = ["rev-parse", "--is-bare-repository", "--git-dir", "--git-common-dir"];
        let said = match git.text(&asked).await {
            Ok(said) => said,
            Err(GitError::Refused { .. }) => return Ok(None),
            Err(error @ GitError::Start(_)) => return Err(CopyError::Git(dir.to_owned(), error)),
        };
        let mut lines = said.lines();
        let (bare, git_dir, common_dir) = (lines.next(), lines.next(), lines.next());
        let (Some(bare), Some(git_dir), Some(common_dir)) = (bare, git_dir, common_dir) else { return Ok(None) };
        let full = |text: &str| dir.join(text).canonicalize().unwrap_or_else(|_error| dir.join(text));
        let (git_dir, common_dir) = (full(git_dir), full(common_dir));
        let top = match bare {
            "true" => git_dir.clone(),
            _ => git.text(&["rev-parse", "--show-toplevel"]).await.map(|text| full(&text)).unwrap_or_default(),
        };
        if top != dir {
            return Ok(None);
        }
        Ok(Some(Self { dir: dir.to_owned(), git, git_dir, common_dir, last: None }))
    }

    pub(super) fn common_dir(&self) -> &Path {
        &self.common_dir
    }

    /// Asks git only when one of the files has changed that say what is checked out.
    pub(super) async fn head(&mut self) -> Result<Option<Head>, CopyError> {
        let mark = self.mark();
        if let Some((known, head)) = &self.last
            && *known == mark
        {
            return Ok(head.clone());
        }
        let head = self.read().await?;
        self.last = Some((mark, head.clone()));
        Ok(head)
    }

    async fn read(&self) -> Result<Option<Head>, CopyError> {
        let commit = match self.git.text(&["rev-parse", "-q", "--verify", "HEAD^{commit}"]).await {
            Ok(text) => text.parse::<CommitSha>().ok(),
            Err(GitError::Refused { .. }) => None,
            Err(error @ GitError::Start(_)) => return Err(CopyError::Git(self.dir.clone(), error)),
        };
        let git_ref = self.git.text(&["symbolic-ref", "-q", "HEAD"]).await;
        // A detached HEAD is on no branch; its builds are told so.
        let git_ref = git_ref.ok().filter(|name| name.starts_with("refs/heads/"));
        Ok(commit.map(|commit| Head { commit, git_ref: git_ref.unwrap_or_else(|| "refs/heads/HEAD".to_owned()) }))
    }

    /// Whatever changes when HEAD does.
    fn mark(&self) -> Vec<u8> {
        let mut mark = std::fs::read(self.git_dir.join("HEAD")).unwrap_or_default();
        let text = String::from_utf8_lossy(&mark).into_owned();
        if let Some(name) = text.trim().strip_prefix("ref: ") {
            mark.extend(std::fs::read(self.common_dir.join(name)).unwrap_or_default());
        }
        for file in ["packed-refs", "reftable/tables.list"] {
            if let Ok(about) = std::fs::metadata(self.common_dir.join(file)) {
                mark.extend(format!("{file} {:?} {}", about.modified().ok(), about.len()).into_bytes());
            }
        }
        mark
    }
}
