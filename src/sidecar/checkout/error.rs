//! Why there is no checkout: each reason in a sentence of its own, git's words behind it.

use std::io;

use crate::api::git::{GitError, Refusal};
use crate::domain::repo_url::RepoUrlError;
use crate::domain::runner::Ended;

/// Why there is no checkout.
#[derive(Debug, thiserror::Error)]
pub(in crate::sidecar) enum CheckoutError {
    #[error("REPO_URL cannot be fetched from")]
    Url(#[from] RepoUrlError),
    #[error("{0:?} is not the name of a git ref")]
    Ref(String),
    #[error("the workspace could not be made")]
    Workspace(#[source] io::Error),
    #[error("commit {commit} could not be fetched from {url}: {}", sentence(*.why, *.shown))]
    Fetch { commit: String, url: String, why: Refusal, shown: bool, source: GitError },
    #[error("commit {0} is not on {1}")]
    NotOnRef(String, String),
    #[error("commit {0} is not given by itself, and {1} is not there (any more)")]
    RefGone(String, String),
    #[error("commit {commit} could not be checked out")]
    Checkout { commit: String, source: GitError },
    #[error("{0} is not a commit")]
    NotACommit(String),
    #[error("the submodules of commit {commit} could not be listed")]
    Submodules { commit: String, source: GitError },
    #[error("submodule {path:?} {why}")]
    Submodule { path: String, why: &'static str },
    #[error("the address of submodule {path:?} cannot be fetched from")]
    SubmoduleUrl { path: String, source: RepoUrlError },
    #[error("submodule {path:?} could not be fetched")]
    SubmoduleFetch { path: String, source: Box<Self> },
    #[error("the address of the LFS server in .lfsconfig cannot be fetched from")]
    LfsUrl(#[source] RepoUrlError),
    #[error("the files of git LFS could not be fetched from {url}: {}", sentence(*.why, *.shown))]
    Lfs { url: String, why: Refusal, shown: bool, source: GitError },
}

impl CheckoutError {
    /// What `prepare` ends with.
    pub(in crate::sidecar) fn ended(&self) -> Ended {
        match self {
            Self::NotOnRef(..) | Self::RefGone(..) => Ended::CommitGone,
            Self::Url(_)
            | Self::Ref(_)
            | Self::Workspace(_)
            | Self::Fetch { .. }
            | Self::Checkout { .. }
            | Self::NotACommit(_)
            | Self::Submodules { .. }
            | Self::Submodule { .. }
            | Self::SubmoduleUrl { .. }
            | Self::SubmoduleFetch { .. }
            | Self::LfsUrl(_)
            | Self::Lfs { .. } => Ended::NotFetched,
        }
    }
}

/// What a refusal means for who set the repository up; `shown`: whether a credential was shown.
fn sentence(why: Refusal, shown: bool) -> &'static str {
    match (why, shown) {
        (Refusal::Credential, true) => "the forge refuses the forge token of the repository's configuration",
        (Refusal::Credential, false) => {
            "the forge wants a credential and this build has none for it: \
             the repository is private, or is not there"
        }
        (Refusal::Forbidden, _) => "the forge forbids it",
        (Refusal::NoRepository, true) => "there is no such repository, or none that the forge token may read",
        (Refusal::NoRepository, false) => "there is no such repository, or it is private",
        (Refusal::NoRef, _) => "the forge has no such ref",
        (Refusal::Moved, _) => {
            "the forge sends git to another address, where the forge token is not shown: \
             configure the repository's new address"
        }
        (Refusal::Certificate, _) => "the forge's certificate is not to be trusted",
        (Refusal::Unreachable, _) => "the forge cannot be reached",
        (Refusal::NoLfs, _) => "git-lfs is not installed where `albatros sidecar prepare` runs",
        (Refusal::Other, _) => "git could not do it",
    }
}
