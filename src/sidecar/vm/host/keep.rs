//! Between the host's process and the machine's: it ends with the first, and it may not do what that may.

use std::ffi::OsString;
use std::io;
use std::num::ParseIntError;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use super::runs::mark;
use rustix::process::{Gid, Pid, Signal, Uid, getpid, getppid, set_parent_process_death_signal};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

/// What this ends with when the program could not be started.
pub const NOT_STARTED: u8 = 126;

/// What is started, and for whom.
#[derive(Debug)]
pub struct KeepSettings {
    /// Who started this.
    pub parent: i32,
    /// Where to write which process it is.
    pub mark: PathBuf,
    /// `user:group[:group…]`, as numbers.
    pub user: Option<String>,
    /// The program and its arguments.
    pub command: Vec<OsString>,
}

/// Why the program was not started.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// Not `user:group[:group]`.
    #[error("expected user:group[:group] as numbers")]
    User(#[source] ParseIntError),
    /// No program was named.
    #[error("there is no program to start")]
    Nothing,
    /// The file that says which process this is cannot be written.
    #[error("{} cannot be written", .0.display())]
    Mark(PathBuf, #[source] io::Error),
    /// It would run as somebody else than it should.
    #[error("the machine's process cannot be another user")]
    Become(#[source] io::Error),
    /// It would outlive its parent.
    #[error("the end of the parent cannot be made this one's")]
    Tie(#[source] io::Error),
    /// There is no parent any more.
    #[error("the parent is gone")]
    Orphan,
    /// The program is not there, or is none.
    #[error("{0:?} cannot be started")]
    Start(OsString, #[source] io::Error),
}

/// Becomes the program; comes back only if that is not possible.
#[must_use]
pub fn keep(settings: &KeepSettings) -> KeepError {
    match ready(settings) {
        Ok(mut command) => {
            let error = command.exec();
            KeepError::Start(command.get_program().to_owned(), error)
        }
        Err(error) => error,
    }
}

fn ready(settings: &KeepSettings) -> Result<Command, KeepError> {
    let (program, args) = settings.command.split_first().ok_or(KeepError::Nothing)?;
    let mark = mark(getpid()).ok_or_else(|| KeepError::Mark(settings.mark.clone(), io::ErrorKind::NotFound.into()))?;
    let marked = std::fs::write(&settings.mark, mark);
    marked.map_err(|error| KeepError::Mark(settings.mark.clone(), error))?;
    if let Some(user) = &settings.user {
        become_user(user)?;
    }
    // After the change of users, which would take it away again.
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|error| KeepError::Tie(error.into()))?;
    // One that was gone before that sends no signal any more.
    if getppid().map(Pid::as_raw_pid) != Some(settings.parent) {
        return Err(KeepError::Orphan);
    }
    let mut command = Command::new(program);
    command.args(args);
    Ok(command)
}

fn become_user(text: &str) -> Result<(), KeepError> {
    let numbers = text.split(':').map(str::parse::<u32>).collect::<Result<Vec<_>, _>>().map_err(KeepError::User)?;
    let (user, groups) = numbers.split_first().ok_or(KeepError::Nothing)?;
    let user = Uid::from_raw(*user);
    let groups: Vec<_> = groups.iter().copied().map(Gid::from_raw).collect();
    let group = groups.first().copied().unwrap_or(Gid::from_raw(user.as_raw()));
    // This process has one thread, so that these are the process's.
    set_thread_groups(&groups)
        .and_then(|()| set_thread_res_gid(group, group, group))
        .and_then(|()| set_thread_res_uid(user, user, user))
        .map_err(|error| KeepError::Become(error.into()))
}
