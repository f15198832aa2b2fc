//! Running a build's work: `.albatros`, by its executable bit or by the interpreter its first line names, or what a job is
//! to do in its place.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process_group};
use tokio::signal::unix::{SignalKind, signal};

use super::container::{ContainerError, Ready};
use super::environment::Environment;
use super::{Stops, after_signal, say};
use crate::domain::id::CommitSha;
use crate::domain::job::JobSpec;

/// Why the script was not run.
#[derive(Debug, thiserror::Error)]
pub(super) enum ScriptError {
    #[error("no .albatros in {0}")]
    None(CommitSha),
    #[error(".albatros in {0} is not a file")]
    NotAFile(CommitSha),
    #[error(
        ".albatros has neither the executable bit nor a #! line: \
         make `#!/bin/sh` its first line, or type `git update-index --chmod=+x .albatros`"
    )]
    NotAProgram,
    #[error(
        ".albatros could not be started: its first line names the interpreter {0:?}, which is not there \
         (in a file with Windows line ends that name ends with \\r)"
    )]
    NoInterpreter(OsString),
    #[error("the job's command could not be started: there is no program {0:?} (or its own interpreter is not there)")]
    NoProgram(OsString),
    #[error(
        "the job's script could not be started: there is no {0:?} here; name an interpreter that the image has in the \
         script's first line, as in #!/bin/bash, or give a command"
    )]
    NoShell(OsString),
    #[error("the job's script could not be written to NOMAD_TASK_DIR")]
    Write(#[source] io::Error),
    #[error("the job's command could not be started")]
    Command(#[source] io::Error),
    #[error(".albatros could not be started")]
    Start(#[source] io::Error),
    #[error(transparent)]
    Container(#[from] ContainerError),
    #[error(".albatros could not be read")]
    Read(#[source] io::Error),
    #[error("the end of .albatros was missed")]
    Wait(#[source] io::Error),
}

impl ScriptError {
    /// As shells have it: 126 found but cannot be run, 127 not found.
    pub(super) fn code(&self) -> u8 {
        match self {
            Self::None(_) | Self::NotAFile(_) | Self::NotAProgram => 1,
            Self::NoInterpreter(_) | Self::NoProgram(_) | Self::NoShell(_) => 127,
            Self::Container(_) | Self::Command(_) | Self::Write(_) | Self::Start(_) | Self::Read(_) | Self::Wait(_) => {
                126
            }
        }
    }
}

/// Runs the script in the workspace until it ends, and gives its exit code, 128 and the number for a signal.
///
/// Every child is waited for, not the script alone: as process 1 of a container this one is given all orphans.
pub(super) async fn run(
    workspace: &Path,
    work: &Work,
    (environment, container): (&Environment, Option<&Ready<'_>>),
    stops: &mut Stops,
) -> Result<u8, ScriptError> {
    let line = work.command_line(workspace)?;
    let mut children = signal(SignalKind::child()).map_err(ScriptError::Wait)?;
    // The script leads its own group, which therefore has its number.
    let script = Pid::from_child(&start(&line, workspace, environment, container)?);
    loop {
        if let Some(status) = reap(script)? {
            return Ok(code(status));
        }
        tokio::select! {
            _ = children.recv() => {}
            number = stops.next() => if let Some(signal) = Signal::from_named_raw(number) {
                // A group that is gone is about to be noticed.
                let _ = kill_process_group(script, signal);
            },
        }
    }
}

/// Takes every child that has ended; gives the script's status once that has.
fn reap(script: Pid) -> Result<Option<WaitStatus>, ScriptError> {
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid == script => return Ok(Some(status)),
            Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
            Ok(None) => return Ok(None),
            Err(error) => return Err(ScriptError::Wait(error.into())),
        }
    }
}

fn code(status: WaitStatus) -> u8 {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => u8::try_from(code).unwrap_or(u8::MAX),
        (None, Some(signal)) => after_signal(signal),
        (None, None) => u8::MAX,
    }
}

/// What is to be done.
#[derive(Debug)]
pub(super) enum Work {
    /// `.albatros` of this commit.
    Albatros(CommitSha),
    /// A program and its arguments.
    Command(Vec<String>),
    /// A job's own script, in this file.
    Script(PathBuf),
}

/// What runs a job's script that names no interpreter: the first command that fails ends it, and is not read as well done.
const SHELL: (&str, &str) = ("/bin/sh", "-e");

impl Work {
    /// What a build is to do: a job's command or script, which is written into `task_dir`, else `.albatros`.
    pub(super) fn of(job: Option<&JobSpec>, commit: &CommitSha, task_dir: &Path) -> Result<Self, ScriptError> {
        match job {
            Some(JobSpec { script: Some(script), .. }) => {
                let file = task_dir.join("job.script");
                std::fs::write(&file, script).map_err(ScriptError::Write)?;
                Ok(Self::Script(file))
            }
            Some(JobSpec { command, .. }) if !command.is_empty() => Ok(Self::Command(command.clone())),
            Some(_) | None => Ok(Self::Albatros(commit.clone())),
        }
    }

    fn command_line(&self, workspace: &Path) -> Result<CommandLine, ScriptError> {
        match self {
            Self::Albatros(commit) => command_line(&workspace.join(".albatros"), commit),
            Self::Command(words) => {
                let (program, args) = words.split_first().map_or(("", &[] as &[String]), |(it, args)| (it, args));
                let args = args.iter().map(OsString::from).collect();
                Ok(CommandLine { program: PathBuf::from(program), args, kind: Kind::Command })
            }
            Self::Script(file) => {
                let named = shebang(&first_line(file).map_err(ScriptError::Write)?);
                let (interpreter, option) = named.unwrap_or_else(|| (SHELL.0.into(), Some(SHELL.1.into())));
                let args = option.into_iter().chain([file.as_os_str().to_owned()]).collect();
                Ok(CommandLine { program: PathBuf::from(&interpreter), args, kind: Kind::Job(interpreter) })
            }
        }
    }
}

/// What is executed for the script.
#[derive(Debug, PartialEq, Eq)]
struct CommandLine {
    program: PathBuf,
    args: Vec<OsString>,
    kind: Kind,
}

/// What it is, so that a failure to start it can be told.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    /// `.albatros`, with the interpreter of its `#!` line.
    Albatros(Option<OsString>),
    /// A job's script, with its interpreter.
    Job(OsString),
    Command,
}

fn command_line(script: &Path, commit: &CommitSha) -> Result<CommandLine, ScriptError> {
    let file = match std::fs::metadata(script) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(ScriptError::None(commit.clone())),
        Err(error) => return Err(ScriptError::Read(error)),
    };
    if !file.is_file() {
        return Err(ScriptError::NotAFile(commit.clone()));
    }
    let shebang = shebang(&first_line(script).map_err(ScriptError::Read)?);
    if file.permissions().mode() & 0o111 != 0 {
        let interpreter = shebang.map(|(interpreter, _)| interpreter);
        return Ok(CommandLine { program: script.to_owned(), args: Vec::new(), kind: Kind::Albatros(interpreter) });
    }
    let (interpreter, option) = shebang.ok_or(ScriptError::NotAProgram)?;
    say(&format!(".albatros has no executable bit; running it with {}", interpreter.to_string_lossy()));
    let args = option.into_iter().chain([script.as_os_str().to_owned()]).collect();
    Ok(CommandLine { program: PathBuf::from(&interpreter), args, kind: Kind::Albatros(Some(interpreter)) })
}

fn start(
    line: &CommandLine,
    workspace: &Path,
    environment: &Environment,
    container: Option<&Ready<'_>>,
) -> Result<Child, ScriptError> {
    if let Some(container) = container {
        let mut command = container.command((&line.program, &line.args), workspace, environment)?;
        return command.stdin(Stdio::null()).process_group(0).spawn().map_err(ScriptError::Start);
    }
    let mut command = Command::new(&line.program);
    command.args(&line.args).current_dir(workspace).env_clear().stdin(Stdio::null()).process_group(0);
    for (name, value) in environment {
        command.env(name, value);
    }
    command.spawn().map_err(|error| match (&line.kind, error.kind() == io::ErrorKind::NotFound) {
        (Kind::Albatros(Some(interpreter)), true) => ScriptError::NoInterpreter(interpreter.clone()),
        (Kind::Job(interpreter), true) => ScriptError::NoShell(interpreter.clone()),
        (Kind::Command, true) => ScriptError::NoProgram(line.program.clone().into_os_string()),
        (Kind::Job(_) | Kind::Command, false) => ScriptError::Command(error),
        (Kind::Albatros(_), _) => ScriptError::Start(error),
    })
}

/// As much of the first line as the kernel looks at.
fn first_line(script: &Path) -> io::Result<Vec<u8>> {
    let mut start = Vec::new();
    std::fs::File::open(script)?.take(256).read_to_end(&mut start)?;
    Ok(start.split(|byte| *byte == b'\n').next().unwrap_or_default().to_vec())
}

/// Interpreter and its one argument, split as the kernel does.
fn shebang(line: &[u8]) -> Option<(OsString, Option<OsString>)> {
    let rest = trimmed(line.strip_prefix(b"#!")?);
    let end = rest.iter().position(|byte| matches!(byte, b' ' | b'\t')).unwrap_or(rest.len());
    let (interpreter, option) = rest.split_at_checked(end)?;
    if interpreter.is_empty() {
        return None;
    }
    let text = |bytes: &[u8]| OsStr::from_bytes(bytes).to_owned();
    let option = trimmed(option);
    Some((text(interpreter), (!option.is_empty()).then(|| text(option))))
}

/// Without the blanks around it; a carriage return is none, for the kernel as for us.
fn trimmed(text: &[u8]) -> &[u8] {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let from = text.iter().position(|byte| !blank(byte)).unwrap_or(text.len());
    let to = text.iter().rposition(|byte| !blank(byte)).map_or(from, |last| last + 1);
    text.get(from..to).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interpreter_line_is_split_like_the_kernel_does() {
        let split = |line: &str| {
            shebang(line.as_bytes()).map(|(program, option)| {
                (program.into_string().unwrap(), option.map(|text| text.into_string().unwrap()))
            })
        };
        assert_eq!(split("#!/bin/sh"), Some(("/bin/sh".into(), None)));
        assert_eq!(split("#! /usr/bin/env -S a b "), Some(("/usr/bin/env".into(), Some("-S a b".into()))));
        assert_eq!(split("#!"), None);
        assert_eq!(split("echo hello"), None);
    }
}
