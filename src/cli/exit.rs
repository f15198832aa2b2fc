//! Exit codes: what a script can go by.

use std::process::ExitCode;

/// Why a verb ended; the number is the process's exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: done; the build succeeded.
    Success,
    /// 1: the build failed.
    Failed,
    /// 2: wrong use: flags, files, settings.
    Usage,
    /// 3: infrastructure, or a service that did not answer.
    Infra,
    /// 4: the build was cancelled.
    Cancelled,
    /// 5: the build took too long.
    TimedOut,
    /// Another number that a verb documents (`explain`, `exec`).
    Code(u8),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Success => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Infra => 3,
            Exit::Cancelled => 4,
            Exit::TimedOut => 5,
            Exit::Code(code) => code,
        })
    }
}

impl Exit {
    /// By the word of an outcome (`success`, `failure`, `oom`, `timeout`, `cancelled`, `infra`, `lost`, `expired`, `skipped`).
    #[must_use]
    pub fn of_word(word: &str) -> Self {
        match word {
            "success" | "skipped" => Self::Success,
            "failure" | "oom" => Self::Failed,
            "cancelled" => Self::Cancelled,
            "timeout" => Self::TimedOut,
            _ => Self::Infra,
        }
    }
}

/// For `--help`.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  success
  1  the build failed
  2  wrong use
  3  infrastructure, or a service did not answer
  4  the build was cancelled
  5  the build timed out";
