//! The trusted tasks beside a script, and the one that runs it.
//!
//! | role | task | what it does |
//! |---|---|---|
//! | [`prepare`] | `prepare`, before the script | the workspace |
//! | [`watch`] | `sidecar`, beside the script | the size of the build's files, the archive of its log |
//! | [`exec`] | `executor` | runs `.albatros` and hands its exit code on |
//! | [`runner`] | below `exec` | a runner of a forge's Actions, for one job |

mod checkout;
pub mod exec;
pub(crate) mod keep;
mod log;
pub(crate) mod pack;
pub mod prepare;
pub mod runner;
mod said;
mod saves;
mod stops;
mod trusted;
mod vars;
pub mod vm;
pub mod watch;

use said::{reasons, say};

pub use vars::{GIT_VARS, SettingsError};
