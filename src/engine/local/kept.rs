//! Workspaces that outlive their builds.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;

use super::supervise::Why;
use super::{Build, End, rooms};
use crate::domain::runner::WORKSPACE;

/// The folder of those of jobs.
const JOBS: &str = ".jobs";

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
        self.dir.join(name(repo_url))
    }

    /// Those of the jobs of a repository's last build, by the job's name.
    #[must_use]
    pub fn jobs(&self, repo_url: &str) -> Vec<(String, PathBuf)> {
        let entries = std::fs::read_dir(self.dir_of_jobs(repo_url)).into_iter().flatten().flatten();
        let mut jobs: Vec<_> =
            entries.map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path())).collect();
        jobs.sort();
        jobs
    }

    /// No repository's name begins with a dot.
    fn dir_of_jobs(&self, repo_url: &str) -> PathBuf {
        self.dir.join(JOBS).join(name(repo_url))
    }

    /// A build that begins takes the place of the last one, and so do its jobs.
    pub(super) fn begin(&self, build: &Build) -> io::Result<()> {
        let recorded = build.recorded();
        match recorded.job {
            None => rooms::remove(&self.dir_of_jobs(recorded.meta.get("REPO_URL").map_or("", String::as_str))),
            Some(_) => Ok(()),
        }
    }
}

fn name(repo_url: &str) -> &str {
    repo_url.rsplit('/').find(|part| !matches!(*part, "" | "." | "..")).unwrap_or("repository")
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
    let recorded = build.recorded();
    let url = recorded.meta.get("REPO_URL").map_or("", String::as_str);
    let to = match &recorded.job {
        None => keep.workspace(url),
        Some(job) if job.checkout => keep.dir_of_jobs(url).join(job.name.as_str()),
        Some(_) => return Ok(()),
    };
    DirBuilder::new().recursive(true).mode(0o700).create(to.parent().unwrap_or(&keep.dir))?;
    // The earlier one goes with the rooms of this build, off the runtime: it may be large.
    match std::fs::rename(&to, build.dir.join(rooms::ALLOC).join("replaced")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Err(_) | Ok(()) => {}
    }
    std::fs::rename(workspace, to)
}
