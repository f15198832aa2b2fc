//! git by its command line, with nothing of the user's or the machine's configuration, no hook and no prompt.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Stdio;

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

/// How git is called: in which directory, and with which environment, which is all it gets.
#[derive(Debug, Clone)]
pub struct Git {
    dir: PathBuf,
    vars: Vec<(OsString, OsString)>,
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
        Self { dir: dir.to_owned(), vars }
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

    /// Runs git and gives what it printed; ended when the future is dropped.
    ///
    /// # Errors
    /// When it cannot be started or ends with anything but 0.
    pub async fn run<S: AsRef<OsStr>>(&self, args: &[S]) -> Result<Vec<u8>, GitError> {
        let mut command = tokio::process::Command::new("git");
        command.current_dir(&self.dir).env_clear().kill_on_drop(true).stdin(Stdio::null());
        for (name, value) in &self.vars {
            command.env(name, value);
        }
        for setting in SETTINGS {
            command.arg("-c").arg(setting);
        }
        let done = command.args(args).output().await.map_err(GitError::Start)?;
        if done.status.success() {
            return Ok(done.stdout);
        }
        let verb = args.iter().map(|arg| arg.as_ref().to_string_lossy()).find(|arg| !arg.starts_with('-'));
        Err(GitError::Refused { verb: verb.unwrap_or_default().into_owned(), said: last_words(&done.stderr) })
    }

    /// The same, with what it printed as trimmed text.
    ///
    /// # Errors
    /// Like [`Git::run`].
    pub async fn text<S: AsRef<OsStr>>(&self, args: &[S]) -> Result<String, GitError> {
        Ok(String::from_utf8_lossy(&self.run(args).await?).trim().to_owned())
    }
}

fn last_words(stderr: &[u8]) -> String {
    let from = stderr.len().saturating_sub(SAID);
    let text = String::from_utf8_lossy(stderr.get(from..).unwrap_or_default());
    let text = text.trim();
    if text.is_empty() { "it failed without a word".to_owned() } else { text.to_owned() }
}
