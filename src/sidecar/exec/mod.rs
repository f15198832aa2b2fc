//! Role `exec`: a clean checkout of COMMIT, a clean environment, `.albatros` in it, and its exit code handed on.
//!
//! ```text
//! settings ─▶ checkout ─▶ environment ─▶ script ─▶ exit code
//! ```

mod checkout;
mod environment;
mod script;
mod settings;

use std::io::Write as _;

use tokio::signal::unix::{Signal, SignalKind, signal};

pub use settings::{DEFAULT_PATH, ExecSettings, GIT_VARS, SettingsError};

/// What `exec` itself ends with when it cannot get as far as the script.
pub const NOT_PREPARED: u8 = 125;

/// Why the script was not run to its end.
#[derive(Debug, thiserror::Error)]
enum ExecError {
    #[error(transparent)]
    Checkout(#[from] checkout::CheckoutError),
    #[error("the build's directories could not be made")]
    Directories(#[source] std::io::Error),
    #[error(transparent)]
    Script(#[from] script::ScriptError),
    #[error("signals cannot be received")]
    Signals(#[source] std::io::Error),
    #[error("stopped before the script was started")]
    Stopped(i32),
}

impl ExecError {
    fn code(&self) -> u8 {
        match self {
            Self::Checkout(_) | Self::Directories(_) | Self::Signals(_) => NOT_PREPARED,
            Self::Script(error) => error.code(),
            Self::Stopped(signal) => after_signal(*signal),
        }
    }
}

/// Runs a build's script; the answer is the process's exit code. What went wrong is said on standard error.
pub async fn run(settings: &ExecSettings) -> u8 {
    match steps(settings).await {
        Ok(code) => code,
        Err(error) => {
            say(&reasons(&error));
            error.code()
        }
    }
}

async fn steps(settings: &ExecSettings) -> Result<u8, ExecError> {
    // The script shares our user: without this it could read from /proc what Nomad gave to us and not to it.
    // Where the system does not know that, the script is run all the same.
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    let mut stops = Stops::listen().map_err(ExecError::Signals)?;
    let workspace = tokio::select! {
        workspace = checkout::workspace(settings) => workspace?,
        stop = stops.next() => return Err(ExecError::Stopped(stop)),
    };
    let environment = environment::of(settings, &workspace).map_err(ExecError::Directories)?;
    Ok(script::run(&workspace, &settings.commit, &environment, &mut stops).await?)
}

/// The signals that end a build; each is handed on to the script's process group.
#[derive(Debug)]
struct Stops {
    term: Signal,
    int: Signal,
    hup: Signal,
}

impl Stops {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            hup: signal(SignalKind::hangup())?,
        })
    }

    /// The number of the next one.
    async fn next(&mut self) -> i32 {
        tokio::select! {
            _ = self.term.recv() => SignalKind::terminate().as_raw_value(),
            _ = self.int.recv() => SignalKind::interrupt().as_raw_value(),
            _ = self.hup.recv() => SignalKind::hangup().as_raw_value(),
        }
    }
}

/// A shell's word for death by a signal: 128 and its number.
fn after_signal(signal: i32) -> u8 {
    u8::try_from(signal).unwrap_or(127).saturating_add(128)
}

/// One line in the build's log.
fn say(line: &str) {
    // Nobody is left to be told when the log itself cannot be written.
    let _ = writeln!(std::io::stderr(), "albatros: {line}");
}

fn reasons(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}
