//! A repository in the workspace: COMMIT's own, or a submodule's.
//!
//! It is written by hand, which saves a process and leaves no template and no hook in it. From a repository on this
//! machine its objects are borrowed (`objects/info/alternates`), never linked or copied, so nothing that the script does
//! to its own repository reaches the one it came from.

use std::io;
use std::path::{Path, PathBuf};

use tokio::time::Instant;

use super::CheckoutError;
use crate::api::git::Git;
use crate::domain::grant::Credential;
use crate::domain::id::CommitSha;

/// A repository that is being made.
#[derive(Debug)]
pub(super) struct Repository {
    /// Its working directory.
    pub(super) dir: PathBuf,
    /// git there, without any credential.
    pub(super) git: Git,
    /// What git shows to the forge, where that may be.
    pub(super) credential: Option<Credential>,
    /// Where it is fetched from.
    pub(super) url: String,
    /// Whether a file of the repository above chose that address, on another host: what is said there is not repeated.
    pub(super) foreign: bool,
    /// What is checked out.
    pub(super) commit: CommitSha,
    /// Until when a forge that cannot be reached is asked again.
    pub(super) deadline: Instant,
}

impl Repository {
    /// Writes an empty repository, with another one's objects where that is on this machine.
    pub(super) fn write(&self, from: Option<&Path>, origin: Option<&str>) -> io::Result<()> {
        let dir = self.dir.join(".git");
        for sub in ["objects/info", "objects/pack", "refs/heads", "refs/tags"] {
            std::fs::create_dir_all(dir.join(sub))?;
        }
        let mut config = String::from("[core]\n\tbare = false\n\tfilemode = true\n\tlogAllRefUpdates = false\n");
        match self.commit.as_str().len() {
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

    /// Writes the files of the commit.
    pub(super) async fn check_out(&self) -> Result<(), CheckoutError> {
        let commit = self.commit.as_str();
        let done = self.git.run(&["checkout", "-q", "-f", "--detach", commit, "--"]).await;
        done.map_err(|source| CheckoutError::Checkout { commit: commit.to_owned(), source })?;
        // A tag object's id would have been followed to another commit.
        let head = std::fs::read_to_string(self.dir.join(".git/HEAD")).map_err(CheckoutError::Workspace)?;
        if head.trim() == commit { Ok(()) } else { Err(CheckoutError::NotACommit(commit.to_owned())) }
    }

    /// Makes the commit the parent of the files that are here, and touches none of them.
    pub(super) async fn adopt(&self) -> Result<(), CheckoutError> {
        let commit = self.commit.as_str();
        std::fs::write(self.dir.join(".git/HEAD"), format!("{commit}\n")).map_err(CheckoutError::Workspace)?;
        let done = self.git.run(&["read-tree", "HEAD"]).await;
        done.map(|_| ()).map_err(|source| CheckoutError::Checkout { commit: commit.to_owned(), source })
    }
}
