//! git by its command line, with nothing of the user's or the machine's configuration, no hook and no prompt.

mod refusal;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Command;

use crate::domain::grant::Credential;
pub use refusal::Refusal;

/// Why git did not do it.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// It could not be started.
    #[error("git could not be started: is it installed?")]
    Start(#[source] std::io::Error),
    /// It refused, in its own last words.
    #[error("git {verb}: {said}")]
    Refused {
        /// The first word that git was given.
        verb: String,
        /// The end of what it wrote to its standard error.
        said: String,
    },
}

/// The longest that one call may take; a transfer without any progress ends after a minute.
const LONGEST: Duration = Duration::from_secs(60 * 60);

impl GitError {
    /// Without what the other side may have had it say: for an address that a stranger chose, whose answer is not to be
    /// read by who reads our log.
    #[must_use]
    pub fn hushed(self) -> Self {
        match self {
            Self::Start(error) => Self::Start(error),
            Self::Refused { verb, .. } => Self::Refused {
                verb,
                said: "what it said is not repeated, for the repository chose the address".to_owned(),
            },
        }
    }
}

/// How git is called: in which directory, and with which environment, which is all it gets.
#[derive(Debug, Clone)]
pub struct Git {
    dir: PathBuf,
    vars: Vec<(OsString, OsString)>,
    settings: Vec<String>,
    credential: Option<Credential>,
}

/// What is switched off in every call: hooks, credential helpers, background work, anything a configuration could run.
const SETTINGS: &[&str] = &[
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "credential.helper=",
    "gc.auto=0",
    "maintenance.auto=false",
    "submodule.recurse=false",
    "fetch.recurseSubmodules=false",
    "advice.detachedHead=false",
    "safe.directory=*",
    "http.lowSpeedLimit=100",
    "http.lowSpeedTime=60",
];

/// The most of git's last words that is repeated, in bytes.
const SAID: usize = 2_000;

impl Git {
    /// git in `dir`, found in `path`.
    #[must_use]
    pub fn new(dir: &Path, path: &OsStr) -> Self {
        let fixed = [
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_ATTR_NOSYSTEM", "1"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_ASKPASS", ""),
            ("GIT_ALLOW_PROTOCOL", "http:https"),
            ("GIT_OPTIONAL_LOCKS", "0"),
            ("HOME", "/nonexistent"),
            ("LC_ALL", "C"),
        ];
        let mut vars: Vec<_> =
            fixed.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))).collect();
        vars.push(("PATH".into(), path.to_owned()));
        Self { dir: dir.to_owned(), vars, settings: Vec::new(), credential: None }
    }

    /// Text as a value in a configuration file.
    #[must_use]
    pub fn quoted(text: &str) -> String {
        format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
    }

    /// With one more variable, such as a proxy or a file of certificates.
    #[must_use]
    pub fn with(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.vars.push((name.into(), value.into()));
        self
    }

    /// With what is shown to addresses below its scope. It goes to git by the environment alone, and from such an
    /// address no redirect is followed: git would show it to wherever that leads.
    #[must_use]
    pub fn with_credential(mut self, credential: Option<&Credential>) -> Self {
        self.credential = credential.cloned();
        self
    }

    /// With one more setting of its configuration; it is seen in the arguments.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.push(format!("{name}={value}"));
        self
    }

    /// In another directory.
    #[must_use]
    pub fn within(&self, dir: &Path) -> Self {
        Self { dir: dir.to_owned(), ..self.clone() }
    }

    /// Runs git and gives what it printed; ended, with all that it started, when the future is dropped.
    ///
    /// # Errors
    /// When it cannot be started, ends with anything but 0, or does not end.
    pub async fn run<S: AsRef<OsStr>>(&self, args: &[S]) -> Result<Vec<u8>, GitError> {
        let verb = args.iter().map(|arg| arg.as_ref().to_string_lossy()).find(|arg| !arg.starts_with('-'));
        let verb = verb.unwrap_or_default().into_owned();
        let mut command = Command::new("git");
        for setting in SETTINGS.iter().copied().chain(self.settings.iter().map(String::as_str)) {
            command.arg("-c").arg(setting);
        }
        command.args(args);
        let Ok(done) = tokio::time::timeout(LONGEST, self.output(command)).await else {
            return Err(GitError::Refused { verb, said: refusal::TOO_LONG.to_owned() });
        };
        let done = done.map_err(GitError::Start)?;
        if done.status.success() {
            return Ok(done.stdout);
        }
        Err(GitError::Refused { verb, said: last_words(&done.stderr) })
    }

    async fn output(&self, mut command: Command) -> std::io::Result<Output> {
        command.current_dir(&self.dir).env_clear().kill_on_drop(true).process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        for (name, value) in &self.vars {
            command.env(name, value);
        }
        if let Some(credential) = &self.credential {
            let pair = STANDARD.encode(format!("{}:{}", credential.user, credential.password.expose()));
            command.env("GIT_CONFIG_COUNT", "2");
            command.env("GIT_CONFIG_KEY_0", format!("http.{}.extraHeader", credential.scope));
            command.env("GIT_CONFIG_VALUE_0", format!("Authorization: Basic {pair}"));
            command.env("GIT_CONFIG_KEY_1", format!("http.{}.followRedirects", credential.scope));
            command.env("GIT_CONFIG_VALUE_1", "false");
        }
        let child = command.spawn()?;
        let mut group = Group(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw));
        let done = child.wait_with_output().await;
        group.0 = None;
        done
    }

    /// The same, with what it printed as trimmed text.
    ///
    /// # Errors
    /// Like [`Git::run`].
    pub async fn text<S: AsRef<OsStr>>(&self, args: &[S]) -> Result<String, GitError> {
        Ok(String::from_utf8_lossy(&self.run(args).await?).trim().to_owned())
    }
}

/// git and its helpers; killed when dropped, for a helper may wait for a server and holds what git was given.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

fn last_words(stderr: &[u8]) -> String {
    let from = stderr.len().saturating_sub(SAID);
    let text = String::from_utf8_lossy(stderr.get(from..).unwrap_or_default());
    let text = text.trim();
    if text.is_empty() { "it failed without a word".to_owned() } else { text.to_owned() }
}
