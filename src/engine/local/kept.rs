//! Workspaces that outlive their builds.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;

use super::supervise::Why;
use super::{Build, End, rooms};
use crate::domain::runner::WORKSPACE;

/// Where workspaces of ended builds are kept, for whoever wants to look: one a repository, the last.
#[derive(Debug, Clone)]
pub struct Keep {
    /// They are in this directory, which is on the same file system as the builds.
    pub dir: PathBuf,
    /// Also those of builds that did not fail.
    pub always: bool,
}

impl Keep {
    /// Where that of a repository is, by its REPO_URL.
    #[must_use]
    pub fn workspace(&self, repo_url: &str) -> PathBuf {
        self.dir.join(repo_url.rsplit('/').find(|part| !matches!(*part, "" | "." | "..")).unwrap_or("repository"))
    }
}

/// Moves the workspace to where it is kept, in place of the one of the repository's last such build.
pub(super) fn keep(keep: Option<&Keep>, build: &Build, end: &End) -> io::Result<()> {
    let Some(keep) = keep else { return Ok(()) };
    let failed = match end {
        End::Told(ending) => match ending.why {
            Why::Exited => ending.exit_code != 0,
            Why::Timeout => ending.started.is_some(),
            Why::Stopped | Why::Sibling | Why::NotStarted => false,
        },
        End::NeverStarted | End::Lost | End::Failed(_) => false,
    };
    let workspace = build.dir.join(rooms::ALLOC).join(WORKSPACE);
    if !(failed || keep.always) || !workspace.exists() {
        return Ok(());
    }
    let url = build.recorded().meta.remove("REPO_URL").unwrap_or_default();
    let to = keep.workspace(&url);
    DirBuilder::new().recursive(true).mode(0o700).create(&keep.dir)?;
    // The earlier one goes with the rooms of this build, off the runtime: it may be large.
    match std::fs::rename(&to, build.dir.join(rooms::ALLOC).join("replaced")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Err(_) | Ok(()) => {}
    }
    std::fs::rename(workspace, to)
}
