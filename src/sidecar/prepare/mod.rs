//! Role `sidecar prepare`: the workspace, before the script starts.
//!
//! ```text
//! albatros for the script ─▶ controller: how? ─▶ checkout ─▶ controller: the sidecar holds its socket ─▶ exit 0
//! ```
//! A failure here is the infrastructure's, never the script's: [`Ended`] tells which.

mod settings;

use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::checkout::{self, CheckoutError, Plan, Source};
use super::stops::{Stops, after_signal};
use super::trusted::{self, TrustedError};
use super::{reasons, say};
use crate::api::controller::{ControllerError, Workspace};
use crate::domain::runner::{self, Ended};

pub use settings::PrepareSettings;

/// This program, also after its file was replaced.
const PROGRAM: &str = "/proc/self/exe";

/// Why there is no workspace.
#[derive(Debug, thiserror::Error)]
enum PrepareError {
    #[error(transparent)]
    Trusted(#[from] TrustedError),
    #[error(transparent)]
    Controller(#[from] ControllerError),
    #[error(transparent)]
    Checkout(#[from] CheckoutError),
    #[error("albatros could not be copied to NOMAD_ALLOC_DIR/bin")]
    Copy(#[source] io::Error),
    #[error("the workspace could not be opened to all users")]
    Modes(#[source] io::Error),
    #[error("signals cannot be received")]
    Signals(#[source] io::Error),
}

impl PrepareError {
    fn ended(&self) -> Ended {
        match self {
            Self::Trusted(TrustedError::NotThere) => Ended::NoAnswer,
            Self::Trusted(TrustedError::Files(_)) => Ended::WrongSettings,
            Self::Trusted(TrustedError::Controller(error)) | Self::Controller(error) => {
                error.ended().unwrap_or(Ended::NoAnswer)
            }
            Self::Checkout(error) => error.ended(),
            Self::Copy(_) | Self::Modes(_) | Self::Signals(_) => Ended::WrongSettings,
        }
    }
}

/// Makes the workspace; the answer is the process's exit code, 0 or one of [`Ended`]. What went wrong is said on
/// standard error.
pub async fn run(settings: &PrepareSettings) -> u8 {
    trusted::close_to_others();
    // Images run as any user: what is made here is for all of them.
    rustix::process::umask(rustix::fs::Mode::empty());
    let done = match Stops::listen() {
        Ok(mut stops) => tokio::select! {
            done = steps(settings) => done,
            signal = stops.next() => {
                say("stopped before the workspace was made");
                return after_signal(signal);
            }
        },
        Err(error) => Err(PrepareError::Signals(error)),
    };
    match done {
        Ok(()) => 0,
        Err(error) => {
            say(&reasons(&error));
            error.ended().code()
        }
    }
}

async fn steps(settings: &PrepareSettings) -> Result<(), PrepareError> {
    place_self(settings).map_err(PrepareError::Copy)?;
    let controller = trusted::join(&settings.alloc_dir).await?;
    let told = trusted::ask(|| controller.workspace()).await?;
    if let Some(notice) = &told.notice {
        say(notice);
    }
    let plan = plan(settings, told);
    checkout::make(&plan).await?;
    set_mode(&plan.workspace, 0o777).map_err(PrepareError::Modes)?;
    trusted::ask(|| controller.prepared()).await?;
    Ok(())
}

fn plan(settings: &PrepareSettings, told: Workspace) -> Plan {
    let facts = told.build.facts;
    Plan {
        repo_url: facts.repo_url,
        commit: facts.commit,
        branch: facts.branch,
        git_ref: facts.git_ref,
        source: settings.source.clone(),
        checkout: told.checkout,
        git_path: settings.git_path.clone(),
        git_vars: settings.git_vars.clone(),
        patience: settings.patience,
        workspace: settings.alloc_dir.join(runner::WORKSPACE),
    }
}

/// This program, for `exec` and for the script. From a repository on this machine a build is of this machine, which needs
/// no copy of its own: that would take longer than all the rest.
fn place_self(settings: &PrepareSettings) -> io::Result<()> {
    let bin = settings.alloc_dir.join(runner::BIN);
    let file = bin.join("albatros");
    std::fs::create_dir_all(&bin)?;
    set_mode(&bin, 0o755)?;
    match std::fs::remove_file(&file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Err(_) | Ok(()) => {}
    }
    if let Some(program) = on_this_machine(settings) {
        return std::os::unix::fs::symlink(program, &file);
    }
    std::fs::copy(PROGRAM, &file)?;
    set_mode(&file, 0o755)
}

/// Where this program is, unless its file was replaced since it was started.
fn on_this_machine(settings: &PrepareSettings) -> Option<PathBuf> {
    let path = match settings.source {
        Source::Remote => return None,
        Source::Local(_) | Source::Prepared(_) => std::fs::read_link(PROGRAM).ok()?,
    };
    let (there, running) = (std::fs::metadata(&path).ok()?, std::fs::metadata(PROGRAM).ok()?);
    ((there.dev(), there.ino()) == (running.dev(), running.ino())).then_some(path)
}

fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
}
