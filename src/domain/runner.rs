//! The runner group's own vocabulary: tasks, files in the shared directory, exit codes. Both sides of each read it here.

use super::problem;

/// The task that serves the API to the script.
pub const CONTROLLER: &str = "controller";
/// The name and the audience of the controller's workload identity.
pub const IDENTITY: &str = "albatros";
/// The task beside the script.
pub const SIDECAR: &str = "sidecar";
/// The task before the script.
pub const PREPARE: &str = "prepare";

/// In `$NOMAD_ALLOC_DIR`: the script's socket. Whoever runs in the build may connect; nothing works without a token.
pub const SOCKET: &str = "albatros.sock";
/// In `$NOMAD_ALLOC_DIR`: the script's token, readable by any user of any image.
pub const TOKEN: &str = "albatros.token";
/// In `$NOMAD_ALLOC_DIR` until the script starts: the socket of the trusted tasks. Removed by the controller.
pub const TRUSTED_SOCKET: &str = "albatros-trusted.sock";
/// In `$NOMAD_ALLOC_DIR` until the script starts: the token of the trusted tasks. Removed by the controller.
pub const TRUSTED_TOKEN: &str = "albatros-trusted.token";
/// In `$NOMAD_ALLOC_DIR` of a service: a connection that is answered with [`SERVICE_READY`] leads to its port.
pub const SERVICE_SOCKET: &str = "service.sock";
/// The first byte of a connection to [`SERVICE_SOCKET`], once the service has taken it; without it there is none.
pub const SERVICE_READY: u8 = b'+';
/// In `$NOMAD_ALLOC_DIR`: the clean checkout.
pub const WORKSPACE: &str = "workspace";
/// The variable that says that a build and its services are on one loopback, as on one machine: a service's port is then
/// there by itself, and only one can have it.
pub const SHARED_LOOPBACK: &str = "ALBATROS_SHARED_LOOPBACK";
/// In `$NOMAD_ALLOC_DIR`: where `albatros` is for the script.
pub const BIN: &str = "bin";

/// What `exec` ends with when the script has succeeded, and what it wanted to be kept could not be.
pub const NOT_KEPT: u8 = 74;

/// Why a trusted task ended a build, as the exit code that Nomad reports, for a sentence in the status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The build's files outgrew their limit.
    DiskFull,
    /// The commit is no longer on its ref.
    CommitGone,
    /// The commit could not be fetched.
    NotFetched,
    /// The controller did not answer, or serve did not answer the controller.
    NoAnswer,
    /// The task was set up wrongly.
    WrongSettings,
}

/// Every ending with its exit code (of `sysexits.h` where there is one) and its sentence.
const ENDINGS: [(Ended, u8, &str); 5] = [
    (Ended::DiskFull, 28, "the build's files outgrew the disk limit"),
    (Ended::CommitGone, 65, "commit is no longer on REF"),
    (Ended::NotFetched, 66, "the commit could not be fetched: see the log of task prepare"),
    (Ended::NoAnswer, 69, "the build's controller got no answer: see the log of task controller"),
    (Ended::WrongSettings, 78, "a task of the builder is set up wrongly: see its log"),
];

impl Ended {
    /// The exit code.
    #[must_use]
    pub fn code(self) -> u8 {
        ENDINGS.iter().find(|(ended, ..)| *ended == self).map_or(u8::MAX, |(_, code, _)| *code)
    }

    /// By the type of a controller's final refusal.
    #[must_use]
    pub fn of_problem(kind: &str) -> Option<Self> {
        match kind {
            problem::COMMIT_GONE => Some(Self::CommitGone),
            problem::NO_ANSWER => Some(Self::NoAnswer),
            _ => None,
        }
    }

    /// For people: why the build ended, if `task` is one of ours and `code` one of these.
    #[must_use]
    pub fn sentence(task: &str, code: &str) -> Option<&'static str> {
        let ours = matches!(task, CONTROLLER | SIDECAR | PREPARE);
        ENDINGS.iter().find(|(_, known, _)| ours && known.to_string() == code).map(|(.., sentence)| *sentence)
    }
}
