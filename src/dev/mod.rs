//! Roles `dev` and `run`: the same pieces put together on one machine.
//!
//! `dev` is `serve` with files for Consul and child processes for Nomad: working copies are its repositories, each new
//! commit is delivered to its own `/hook` as a forge would. `run` builds a working copy as it stands, with a server of its own that
//! goes with it.

mod cache;
mod copy;
mod delivery;
mod home;
mod kept;
mod left;
mod own;
mod places;
mod read;
mod run;
mod server;
mod snapshot;
mod watch;

pub use read::Terminal;
pub use run::{RunError, RunSettings, run};
pub use server::{DevError, DevSettings, dev};

use std::ffi::OsString;
use std::path::PathBuf;

use crate::domain::runner::{PREPARE, SIDECAR};

/// What both roles need to know of this machine.
#[derive(Debug, Clone)]
pub struct Machine {
    /// This program.
    pub program: PathBuf,
    /// `PATH` of git.
    pub path: OsString,
    /// `PATH` of scripts; none for the default.
    pub script_path: Option<OsString>,
    /// What git alone is given: proxies, certificates.
    pub git_vars: Vec<(OsString, OsString)>,
    /// What docker or podman are given: where they are, and their user's settings.
    pub container_vars: Vec<(OsString, OsString)>,
    /// How many builds run at once.
    pub builds: usize,
}

/// Which tasks have said why a build failed that is not the script's doing.
const TASKS_THAT_SAY_WHY: [&str; 2] = [PREPARE, SIDECAR];

/// The word for what a directory is called as a repository: its own name, as far as it fits.
fn name_of(dir: &std::path::Path) -> String {
    let name = dir.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let fits = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' };
    let name: String = name.chars().map(fits).collect();
    let name = name.trim_matches('.');
    if name.is_empty() { "repository".to_owned() } else { name.to_owned() }
}

/// Under which address a working copy is a repository.
fn address_of(name: &str) -> String {
    format!("http://localhost/{name}")
}

/// A path as a word of a shell.
fn quoted(path: &std::path::Path) -> String {
    let text = path.to_string_lossy();
    if text.chars().all(|c| c.is_alphanumeric() || "/._-+,@".contains(c)) {
        return text.into_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}
