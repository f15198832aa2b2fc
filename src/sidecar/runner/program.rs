//! The runner's program: which one it is, and how it is started.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::{Child, Command};

use super::settings::RunnerSettings;
use super::{RunnerError, files};
use crate::domain::runner_wire::RunnerRegistration;

/// Where GitHub's runner is in its own images, which have it on no path.
const OF_GITHUB: [&str; 2] = ["/home/runner/run.sh", "/actions-runner/run.sh"];
/// GitHub's runner reads each of its options from such a variable, and removes it from what it hands on.
const JIT: &str = "ACTIONS_RUNNER_INPUT_JITCONFIG";
/// Without it GitHub's runner does not start as root, which is nobody's root in a container.
const AS_ROOT: &str = "RUNNER_ALLOW_RUNASROOT";
/// Without it `run.sh` dies of a signal without a word to the runner that it has started.
const HANDS_ON: &str = "RUNNER_MANUALLY_TRAP_SIG";
/// What GitHub's runner starts for a job.
const WORKER: &str = "Runner.Worker";

/// A program that is about to be a runner.
#[derive(Debug)]
pub(super) struct Program {
    path: PathBuf,
    kind: Kind,
}

/// Whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Gitea,
    Github,
}

impl Program {
    /// The one for a registration.
    pub(super) fn find(settings: &RunnerSettings, registration: &RunnerRegistration) -> Result<Self, RunnerError> {
        let (kind, names, places): (_, &[&str], &[&str]) = match registration {
            RunnerRegistration::Gitea { .. } => (Kind::Gitea, &["act_runner", "gitea-runner", "forgejo-runner"], &[]),
            RunnerRegistration::Github { .. } => (Kind::Github, &["run.sh"], &OF_GITHUB),
        };
        let found = match &settings.program {
            Some(path) => on_path(&settings.path, path.as_os_str()),
            None => {
                let mut found = names.iter().filter_map(|name| on_path(&settings.path, name.as_ref()));
                found.next().or_else(|| places.iter().map(PathBuf::from).find(|path| is_program(path)))
            }
        };
        let wanted = || settings.program.as_ref().map_or_else(|| names.join(", "), |path| path.display().to_string());
        found.map(|path| Self { path, kind }).ok_or_else(|| RunnerError::NoProgram(wanted()))
    }

    /// Starts it in `folder`, where its files are. It leads a group of its own: a signal for this process reaches it once,
    /// by our own hand.
    pub(super) fn start(
        &self,
        settings: &RunnerSettings,
        folder: &Path,
        registration: &RunnerRegistration,
    ) -> std::io::Result<Child> {
        let mut command = Command::new(&self.path);
        command.current_dir(folder).stdin(Stdio::null()).process_group(0).kill_on_drop(true);
        command.env_clear().envs(settings.vars.iter().map(|(name, value)| (name, value)));
        if let Some(docker) = &settings.docker {
            command.env("DOCKER_HOST", docker);
        }
        match registration {
            RunnerRegistration::Gitea { .. } => {
                let config = settings.config.clone().unwrap_or_else(|| folder.join(files::CONFIG));
                command.arg("daemon").arg("--config").arg(config);
            }
            RunnerRegistration::Github { jit } => {
                command.env(JIT, jit).env(HANDS_ON, "1");
                if rustix::process::geteuid().is_root() {
                    command.env(AS_ROOT, "1");
                }
            }
        }
        command.spawn()
    }

    /// Whether it would end a job that it has, where a signal is to keep it from taking one. `act_runner` goes on with it
    /// to its end; GitHub's runner cancels it.
    pub(super) fn would_lose_a_job(&self, pid: u32) -> bool {
        self.kind == Kind::Github && has_descendant(pid, WORKER)
    }

    /// For people.
    pub(super) fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

/// A program by its path, or by its name.
fn on_path(path: &OsString, program: &OsStr) -> Option<PathBuf> {
    if Path::new(program).components().count() > 1 {
        return Some(PathBuf::from(program)).filter(|path| is_program(path));
    }
    std::env::split_paths(path).map(|dir| dir.join(program)).find(|path| is_program(path))
}

fn is_program(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

/// Whether a process of that name is below another one.
fn has_descendant(ancestor: u32, name: &str) -> bool {
    let Ok(folders) = std::fs::read_dir("/proc") else { return false };
    let numbers = folders.filter_map(|folder| folder.ok()?.file_name().to_str()?.parse::<u32>().ok());
    numbers.filter(|pid| parent(*pid).is_some_and(|(comm, _)| comm == name)).any(|pid| is_below(pid, ancestor))
}

fn is_below(pid: u32, ancestor: u32) -> bool {
    // No chain of parents is as long, and one that changes meanwhile has an end all the same.
    const MOST: usize = 64;
    let parents = std::iter::successors(Some(pid), |pid| parent(*pid).map(|(_, parent)| parent));
    parents.take(MOST).any(|pid| pid == ancestor)
}

/// A process's name and its parent; the name is what stands between the first ( and the last ).
fn parent(pid: u32) -> Option<(String, u32)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (head, rest) = stat.rsplit_once(')')?;
    let (_, comm) = head.split_once('(')?;
    let parent = rest.split_whitespace().nth(1)?.parse().ok()?;
    Some((comm.to_owned(), parent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_found_below_its_ancestors_and_nowhere_else() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        // The name is there once the program is.
        while parent(child.id()).is_none_or(|(comm, _)| comm != "sleep") {
            std::thread::yield_now();
        }
        assert!(has_descendant(std::process::id(), "sleep"));
        assert!(!is_below(std::process::id(), child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_program_is_found_by_its_path_or_on_the_path() {
        let path = OsString::from("/nowhere:/bin:/usr/bin");
        assert!(on_path(&path, "sh".as_ref()).is_some());
        assert_eq!(on_path(&path, "/bin/sh".as_ref()), Some(PathBuf::from("/bin/sh")));
        assert_eq!(on_path(&path, "no-such-program".as_ref()), None);
        assert_eq!(on_path(&path, "/bin".as_ref()), None);
    }
}
