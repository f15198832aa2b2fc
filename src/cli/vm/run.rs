//! `albatros vm` without a verb: one build in a machine of its own.

use std::ffi::OsString;

use clap::Args;

use crate::cli::exit::Exit;
use crate::cli::in_build;
use crate::sidecar::vm::host::{self, VmFlags};

/// Each flag beats the variable that it names
#[derive(Debug, Default, Args)]
pub(crate) struct RunArgs {
    /// The machine's root filesystem: a name or a digest [NOMAD_META_IMAGE, ALBATROS_VM_IMAGE]
    #[arg(long, value_name = "NAME")]
    image: Option<String>,
    /// Where images, and what a run needs, are [ALBATROS_VM_STORE, default /var/lib/albatros/vm]
    #[arg(long, value_name = "DIR")]
    store: Option<String>,
    /// What runs the machine: auto, qemu or krun [ALBATROS_VM_ENGINE, default auto]
    #[arg(long)]
    engine: Option<String>,
    /// How fast: auto, kvm, or tcg where there is no KVM [ALBATROS_VM_ACCEL, default auto]
    #[arg(long)]
    accel: Option<String>,
    /// Where there is no KVM: auto (begin from a snapshot, which is taken once), or never [ALBATROS_VM_SNAPSHOT]
    #[arg(long)]
    snapshot: Option<String>,
    /// Processors [ALBATROS_VM_CPUS, default those of the task]
    #[arg(long, value_name = "NUMBER")]
    cpus: Option<String>,
    /// Memory of the machine [ALBATROS_VM_MEMORY, default the task's less 128]
    #[arg(long, value_name = "MIB")]
    memory: Option<String>,
    /// Disk of the machine [ALBATROS_VM_DISK, default 4GiB]
    #[arg(long, value_name = "SIZE")]
    disk: Option<String>,
    /// The script's way out: none, or user [ALBATROS_VM_NETWORK, default none]
    #[arg(long)]
    network: Option<String>,
    /// A DNS server for it, of IPv4 [ALBATROS_VM_DNS, separated by spaces]
    #[arg(long, value_name = "ADDRESS")]
    dns: Vec<String>,
    /// What it does not reach besides the host and link-local addresses [ALBATROS_VM_DENY, separated by spaces]
    #[arg(long, value_name = "ADDRESS/LENGTH")]
    deny: Vec<String>,
    /// A folder of this node, copied into the machine; with :rw, and back [ALBATROS_VM_MOUNT, separated by spaces]
    #[arg(long, value_name = "FROM:TO[:rw]")]
    mount: Vec<String>,
    /// The longest the machine may live [ALBATROS_VM_LIFE, default 6h]
    #[arg(long, value_name = "DURATION")]
    life: Option<String>,
    /// How long the script has to end when it is told to [ALBATROS_VM_GRACE, default 8s]
    #[arg(long, value_name = "DURATION")]
    grace: Option<String>,
    /// Another kernel than the image's [ALBATROS_VM_KERNEL]
    #[arg(long, value_name = "FILE")]
    kernel: Option<String>,
    /// Its modules [ALBATROS_VM_MODULES]
    #[arg(long, value_name = "DIR")]
    modules: Option<String>,
    /// Take the albatros in the machine from this folder [ALBATROS_VM_BIN_FROM]
    #[arg(long, value_name = "DIR")]
    bin_from: Option<String>,
    /// An image that is not there: missing (it is fetched) or never [ALBATROS_VM_PULL, default missing]
    #[arg(long)]
    pull: Option<String>,
    /// What of the workspace comes back: all, or none [ALBATROS_VM_WORKSPACE_OUT, default all]
    #[arg(long)]
    workspace_out: Option<String>,
    /// The user that the machine's process runs as, where this one is root [ALBATROS_VM_QEMU_USER, default nobody]
    #[arg(long, value_name = "NAME")]
    qemu_user: Option<String>,
}

impl From<RunArgs> for VmFlags {
    fn from(args: RunArgs) -> Self {
        let one = |text: Option<String>| text.into_iter().collect();
        Self::from_iter([
            ("IMAGE", one(args.image)),
            ("STORE", one(args.store)),
            ("ENGINE", one(args.engine)),
            ("ACCEL", one(args.accel)),
            ("SNAPSHOT", one(args.snapshot)),
            ("CPUS", one(args.cpus)),
            ("MEMORY", one(args.memory)),
            ("DISK", one(args.disk)),
            ("NETWORK", one(args.network)),
            ("DNS", args.dns),
            ("DENY", args.deny),
            ("MOUNT", args.mount),
            ("LIFE", one(args.life)),
            ("GRACE", one(args.grace)),
            ("KERNEL", one(args.kernel)),
            ("MODULES", one(args.modules)),
            ("BIN_FROM", one(args.bin_from)),
            ("PULL", one(args.pull)),
            ("WORKSPACE_OUT", one(args.workspace_out)),
            ("QEMU_USER", one(args.qemu_user)),
        ])
    }
}

impl RunArgs {
    /// Runs a build's `.albatros` in a machine; the exit code is the script's, 125 where the machine was lost or could
    /// not be made.
    pub(crate) fn run(self, vars: impl IntoIterator<Item = (OsString, OsString)>) -> Exit {
        let (flags, vars) = (VmFlags::from(self), vars.into_iter().collect());
        in_build(async { Exit::Code(host::run(&flags, vars).await) })
    }
}
