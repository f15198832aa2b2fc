//! What `albatros vm` is told: `ALBATROS_VM_*`, each also a flag, and what Nomad says of the task.
//!
//! | file | what it is |
//! |---|---|
//! | `told` | flags and variables, as texts |
//! | `size` | processors, memory, disk |
//! | `network` | the way out, what is denied, whom to ask |
//! | `mount` | folders of the node |

mod mount;
mod network;
mod size;
#[cfg(test)]
mod tests;
mod told;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::share::{self, Node};
use crate::domain::duration::Span;
use crate::sidecar::SettingsError;
use crate::sidecar::exec::{DEFAULT_PATH, ExecSettings};
use mount::Folder;
use told::Told;

pub(super) use network::{ALWAYS_DENIED, Subnet, UserNetwork};

/// Where images and runs are, unless told otherwise.
const STORE: &str = "/var/lib/albatros/vm";
const LIFE: Span = Span::seconds(6 * 3_600);
/// Much less than Nomad waits before it kills (30 s in our builder): then the workspace comes back, and the end is told.
const GRACE: Span = Span::seconds(8);

/// What was typed as flags: each beats its variable, whose name begins with `ALBATROS_VM_`.
#[derive(Debug, Default)]
pub struct VmFlags(BTreeMap<&'static str, Vec<String>>);

impl FromIterator<(&'static str, Vec<String>)> for VmFlags {
    fn from_iter<I: IntoIterator<Item = (&'static str, Vec<String>)>>(flags: I) -> Self {
        Self(flags.into_iter().filter(|(_, values)| !values.is_empty()).collect())
    }
}

/// Why a run cannot be begun as it was told.
#[derive(Debug, thiserror::Error)]
pub enum VmSettingsError {
    /// The task's own.
    #[error(transparent)]
    Task(#[from] SettingsError),
    /// One of ours.
    #[error("ALBATROS_VM_{0}: {1}")]
    Wrong(&'static str, String),
    /// No image.
    #[error(
        "no image is named: type `albatros vm image list` to see which this node has, and set NOMAD_META_IMAGE, \
         ALBATROS_VM_IMAGE or --image"
    )]
    NoImage,
    /// Not enough of the task's memory is left.
    #[error(
        "the task's memory is too small for a machine: of {whole} MiB {left} are left beside the {} that the host's side \
         takes, and a machine needs {}; give the task {} or more", share::HOSTS_MEMORY, share::MEMORY_LEAST,
        share::HOSTS_MEMORY + share::MEMORY_LEAST
    )]
    Memory {
        /// The task's.
        whole: u64,
        /// The machine's.
        left: u64,
    },
}

/// What runs a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EngineChoice {
    Auto,
    Qemu,
    Krun,
}

/// What its instructions are run by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AccelChoice {
    Auto,
    Kvm,
    Tcg,
}

/// One run.
#[derive(Debug)]
pub struct VmSettings {
    /// What `exec` is told of the build.
    pub(super) exec: ExecSettings,
    pub(super) image: String,
    pub(super) store: PathBuf,
    pub(super) engine: EngineChoice,
    pub(super) accel: AccelChoice,
    /// Where there is no KVM, a machine begins from one that has booted before.
    pub(super) snapshot: bool,
    pub(super) cpus: u32,
    /// MiB
    pub(super) memory: u64,
    /// Bytes
    pub(super) disk: u64,
    pub(super) network: Option<UserNetwork>,
    pub(super) mounts: Vec<Folder>,
    pub(super) life: Duration,
    pub(super) grace: Duration,
    pub(super) kernel: Option<PathBuf>,
    pub(super) modules: Option<PathBuf>,
    pub(super) bin_from: Option<PathBuf>,
    /// An image that is not there is fetched.
    pub(super) pull: bool,
    /// The workspace comes back.
    pub(super) workspace_out: bool,
    pub(super) qemu_user: String,
    /// Where programs are looked for.
    pub(super) path: OsString,
    /// What `exec` in the machine is told: of the build, and nothing of this node.
    pub(super) told: BTreeMap<String, String>,
}

impl VmSettings {
    /// Reads flags, and the variables that Nomad (or the local engine) gives to a task.
    ///
    /// # Errors
    /// When one that is needed is missing or senseless.
    pub fn read(
        flags: &VmFlags,
        vars: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, VmSettingsError> {
        let mut it = Self::parse(&Told { flags, vars: vars.into_iter().collect() }, Node::this())?;
        it.ask_at(super::resolvers::of_this_node)?;
        Ok(it)
    }

    /// A machine with a way out and without a DNS server has those of the node. A container has its own way to them.
    fn ask_at(&mut self, of_node: impl FnOnce(&dyn Fn(IpAddr) -> bool) -> Vec<IpAddr>) -> Result<(), VmSettingsError> {
        match self.network.as_mut().filter(|_| self.engine != EngineChoice::Krun) {
            Some(network) => network.ask_at(of_node),
            None => Ok(()),
        }
    }

    fn parse(told: &Told<'_>, node: Node) -> Result<Self, VmSettingsError> {
        let exec = ExecSettings::read(told.vars.0.clone())?;
        let image = match told.one("IMAGE")? {
            Some(image) if told.flags.0.contains_key("IMAGE") => Some(image),
            of_variable => told.vars.text("NOMAD_META_IMAGE")?.or(of_variable),
        };
        Ok(Self {
            exec,
            image: image.ok_or(VmSettingsError::NoImage)?,
            store: told.absolute("STORE")?.unwrap_or_else(|| PathBuf::from(STORE)),
            engine: told
                .word(
                    "ENGINE",
                    &[("auto", EngineChoice::Auto), ("qemu", EngineChoice::Qemu), ("krun", EngineChoice::Krun)],
                )?
                .unwrap_or(EngineChoice::Auto),
            accel: told
                .word("ACCEL", &[("auto", AccelChoice::Auto), ("kvm", AccelChoice::Kvm), ("tcg", AccelChoice::Tcg)])?
                .unwrap_or(AccelChoice::Auto),
            snapshot: told.word("SNAPSHOT", &[("auto", true), ("never", false)])?.unwrap_or(true),
            cpus: told.cpus(node)?,
            memory: told.memory()?,
            disk: told.disk()?,
            network: told.network()?,
            mounts: told.mounts()?,
            life: told.span("LIFE", LIFE)?,
            grace: told.span("GRACE", GRACE)?,
            kernel: told.absolute("KERNEL")?,
            modules: told.absolute("MODULES")?,
            bin_from: told.absolute("BIN_FROM")?,
            pull: told.word("PULL", &[("missing", true), ("never", false)])?.unwrap_or(true),
            workspace_out: told.word("WORKSPACE_OUT", &[("all", true), ("none", false)])?.unwrap_or(true),
            qemu_user: told.one("QEMU_USER")?.unwrap_or_else(|| "nobody".to_owned()),
            path: told.vars.get("PATH").unwrap_or_else(|| DEFAULT_PATH.into()),
            told: told.of_the_build(),
        })
    }
}
