//! A job's script in a container of this machine: only the script is in there, all around it stays a process.
//!
//! Everything that it needs is mounted under the name that it has outside, so paths mean the same on both sides.

use std::ffi::{OsStr, OsString};
use std::fs::OpenOptions;
use std::io::{self, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::environment::Environment;
use super::say;
use super::settings::{DEFAULT_PATH, ExecSettings};
use crate::domain::container::Container;
use crate::domain::{elf, runner};

/// The file of the script's variables.
const VARIABLES: &str = "albatros.env";
/// Longer lines docker does not read from a file.
const LINE_MOST: usize = 32 * 1024;
/// What a container of a service has of its own image.
const OF_THE_IMAGE: [&str; 2] = ["HOME", "TMPDIR"];
/// This program, also after its file was replaced.
const PROGRAM: &str = "/proc/self/exe";

/// Why there is no container.
#[derive(Debug, thiserror::Error)]
pub(super) enum ContainerError {
    #[error("{} could not be started", .0.display())]
    Start(PathBuf, #[source] io::Error),
    #[error("the image {0} could not be pulled")]
    Pull(String),
    #[error("the image {0} cannot be looked at")]
    Inspect(String),
    #[error("albatros could not be put where the container finds it")]
    Place(#[source] io::Error),
    #[error("the container's variables could not be written down")]
    Variables(#[source] io::Error),
}

/// A container whose image is there.
#[derive(Debug)]
pub(super) struct Ready<'a> {
    told: &'a Container,
    settings: &'a ExecSettings,
    /// The image's own PATH.
    path: String,
}

impl<'a> Ready<'a> {
    /// Pulls the image where it is not there, and puts this program where the script looks for it.
    ///
    /// # Errors
    /// See [`ContainerError`].
    pub(super) async fn make(told: &'a Container, settings: &'a ExecSettings) -> Result<Self, ContainerError> {
        place_program(&settings.alloc_dir, &told.image).map_err(ContainerError::Place)?;
        let path = match image_path(told).await? {
            Some(path) => path,
            None => {
                say(&format!("pulling the image {}", told.image));
                pull(told).await?;
                image_path(told).await?.ok_or_else(|| ContainerError::Inspect(told.image.clone()))?
            }
        };
        Ok(Self { told, settings, path })
    }

    /// The command that runs `program` in it.
    ///
    /// # Errors
    /// When the variables cannot be written down.
    pub(super) fn command(
        &self,
        (program, args): (&Path, &[OsString]),
        workspace: &Path,
        environment: &Environment,
    ) -> Result<Command, ContainerError> {
        let Self { told, settings, .. } = self;
        let mut command = Command::new(&told.program);
        command.args(["run", "--rm", "--name", &told.name]).args(&told.options);
        command.args(["--mount".into(), self.mount(&settings.alloc_dir)]);
        if settings.task_dir != settings.alloc_dir {
            command.args(["--mount".into(), self.mount(&settings.task_dir)]);
        }
        if let Some(dir) = &settings.secrets_dir {
            command.args(["--mount".into(), self.mount(dir)]);
        }
        if !told.as_image {
            command.arg("--workdir").arg(workspace);
        }
        command.env_clear();
        self.variables(&mut command, environment).map_err(ContainerError::Variables)?;
        command.envs(&told.vars);
        command.arg("--entrypoint").arg(program).arg("--").arg(&told.image).args(args);
        Ok(command)
    }

    /// A directory under its own name; what a service leaves there nobody could remove.
    fn mount(&self, dir: &Path) -> OsString {
        let text = dir.to_string_lossy();
        let field = |name: &str| format!("\"{name}={}\"", text.replace('"', "\"\""));
        let only = if self.told.as_image { ",readonly" } else { "" };
        format!("type=bind,{},{}{only}", field("source"), field("target")).into()
    }

    /// In a file that only our user reads; what that cannot hold by name.
    fn variables(&self, command: &mut Command, environment: &Environment) -> io::Result<()> {
        let dir = self.settings.secrets_dir.as_ref().unwrap_or(&self.settings.task_dir);
        let file = dir.join(VARIABLES);
        let mut lines = Vec::new();
        for (name, value) in environment {
            let value = if name == "PATH" { self.path_of(value) } else { value.clone() };
            if self.told.as_image && OF_THE_IMAGE.iter().any(|own| name == *own) {
                continue;
            }
            if is_line(name, &value) {
                for part in [name.as_bytes(), b"=", value.as_bytes(), b"\n"] {
                    lines.extend_from_slice(part);
                }
            } else {
                command.arg("--env").arg(name).env(name, value);
            }
        }
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&file)?.write_all(&lines)?;
        command.arg("--env-file").arg(file);
        Ok(())
    }

    /// Ours first, as everywhere; then the image's, for the machine's says nothing of it.
    fn path_of(&self, _outside: &OsStr) -> OsString {
        let mut path = self.settings.alloc_dir.join(runner::BIN).into_os_string();
        path.push(":");
        path.push(&self.path);
        path
    }
}

/// Whether a file of lines can hold it.
fn is_line(name: &OsStr, value: &OsStr) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let fits = |text: &str| text.len() < LINE_MOST && !text.contains(['\n', '\r', '\0']);
    !name.is_empty() && name.as_bytes().iter().all(plain) && value.to_str().is_some_and(fits)
}

/// The PATH of the image; none where the image is not there.
async fn image_path(told: &Container) -> Result<Option<String>, ContainerError> {
    let mut command = tokio::process::Command::new(&told.program);
    command.args(["image", "inspect", "--format", "{{json .Config.Env}}", "--", &told.image]);
    command.env_clear().envs(&told.vars).stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.map_err(|error| ContainerError::Start(told.program.clone(), error))?;
    if !output.status.success() {
        return Ok(None);
    }
    let vars: Option<Vec<String>> =
        serde_json::from_slice(&output.stdout).map_err(|_words| ContainerError::Inspect(told.image.clone()))?;
    let path = vars.unwrap_or_default().iter().find_map(|var| var.strip_prefix("PATH=").map(str::to_owned));
    Ok(Some(path.unwrap_or_else(|| DEFAULT_PATH.to_owned())))
}

/// What it says goes to the job's log.
async fn pull(told: &Container) -> Result<(), ContainerError> {
    let mut command = tokio::process::Command::new(&told.program);
    command.args(["pull", "--quiet", "--", &told.image]).env_clear().envs(&told.vars);
    command.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
    let pulled = command.status().await.map_err(|error| ContainerError::Start(told.program.clone(), error))?;
    if pulled.success() { Ok(()) } else { Err(ContainerError::Pull(told.image.clone())) }
}

/// A copy of this program in place of the link that does for processes, where it runs in any image.
fn place_program(alloc_dir: &Path, image: &str) -> io::Result<()> {
    let mut head = Vec::with_capacity(elf::HEAD);
    std::fs::File::open(PROGRAM)?.take(elf::HEAD as u64).read_to_end(&mut head)?;
    if !elf::is_static(&head) {
        say(&format!("this albatros is not a static program: a script cannot call it in a container of {image}"));
        return Ok(());
    }
    let (to, beside) = (alloc_dir.join(runner::BIN).join("albatros"), alloc_dir.join(runner::BIN).join(".albatros"));
    std::fs::copy(PROGRAM, &beside)?;
    std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(0o755))?;
    std::fs::rename(beside, to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_that_a_line_cannot_hold_is_given_by_its_name() {
        let fits = |name: &str, value: &str| is_line(OsStr::new(name), OsStr::new(value));
        assert!(fits("A_1", "it's = \"$x\" # "));
        for (name, value) in [("A", "one\ntwo"), ("A", "one\rtwo"), ("#A", "x"), ("A.B", "x"), ("", "x")] {
            assert!(!fits(name, value), "{name}={value:?}");
        }
        assert!(!fits("A", &"x".repeat(LINE_MOST)));
    }
}
