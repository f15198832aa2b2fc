//! Role `vm`: a microVM for one build, and the same `exec` in it.
//!
//! ```text
//! host                                                   guest (process 1 of the machine)
//! settings ─▶ group or checkout ─▶ image, initrd ─▶ engine ══ link ══ modules ─▶ root ─▶ setup ─▶ exec as another user
//!    ◀── workspace out ◀── done(code) ◀── running ◀── ready ◀── booted ───────────────────────────┘
//! ```
//! | folder | what it is |
//! |---|---|
//! | [`host`] | the task's process: one run from its settings to its exit code, the engines, what is left of dead runs |
//! | [`guest`] | the machine's init |
//! | [`link`] | streams between both over one pair of bytes streams |
//! | [`image`] | root filesystems and kernels on this node |

pub mod guest;
pub mod host;
pub mod image;
pub mod link;
mod pause;

/// What the names of folders begin with that a host makes beside those that come back from a machine, for as long as they come.
pub(in crate::sidecar) const DRAFT: &str = ".albatros-out-";
