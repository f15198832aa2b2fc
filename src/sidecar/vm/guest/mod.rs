//! The machine's init.
//!
//! ```text
//! kernel (/proc, modules) ─▶ port ─▶ pause? ─▶ its devices ─▶ link ─▶ control: booted, setup ─▶ system ─▶ root ─▶ network ─▶ folders in ─▶ doors ─▶ ready
//!   off ◀── folders out ◀── done ◀── end of all its processes ◀── stop, or its own end ◀── workload (fence, uid) ◀── running
//! ```
//! It is the one process that can reach the host: its port is no device of the new root, it can neither be traced nor
//! seen, and nothing becomes root. A link that is lost ends the machine.

mod control;
mod doors;
mod error;
mod fence;
mod folders;
mod kernel;
mod network;
mod pause;
mod port;
mod power;
mod root;
mod system;
mod trace;
mod workload;

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::thread::set_no_new_privs;

use crate::domain::runner;
use crate::domain::vm::{Mount, Setup};
use crate::sidecar::vm::link::{Incoming, Link, Side};
use crate::sidecar::{reasons, say};
use control::Control;
use doors::Doors;
use error::{GuestError, doing};
use fence::Fence;
use port::Port;
use root::Entered;
use trace::Trace;
use workload::Workload;

/// The host has to take the workspace's last bytes, and to put it in its place.
const OFF_WITHIN: Duration = Duration::from_secs(10 * 60);
/// A host that was told of a failure has nothing more to do.
const OFF_AFTER_FAILURE_WITHIN: Duration = Duration::from_secs(30);
/// `$NOMAD_ALLOC_DIR` in the machine.
const ALLOC: &str = "/alloc";
/// Longest of a Linux host.
const NAME_MOST: usize = 64;

/// What this process is the first one of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inside {
    /// A machine that its kernel has just started.
    Machine,
    /// The same, which waits once it is up to be begun from there.
    Paused,
    /// A container that is a machine, with its root and its network; standard input and output are the link.
    Krun,
}

/// Is the machine's first process: it returns from a container alone, and that has ended then.
#[must_use]
pub fn run(inside: Inside) -> u8 {
    inside.end_on_panic();
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let served = runtime.map_err(doing("starting")).and_then(|runtime| {
        let served = runtime.block_on(serve(inside));
        // What still reads the container's input would be waited for.
        runtime.shutdown_background();
        served
    });
    let code = match served {
        Ok(()) => 0,
        Err(error) => {
            say(&reasons(&error));
            1
        }
    };
    inside.off();
    code
}

async fn serve(inside: Inside) -> Result<(), GuestError> {
    let (link, incoming, trace) = match inside {
        Inside::Machine | Inside::Paused => {
            kernel::mount_own()?;
            let trace = Trace::read();
            trace.done("kernel");
            kernel::load_modules()?;
            trace.done("modules");
            let mut port = Port::open().await?;
            if inside == Inside::Paused {
                pause::pause(&mut port).await?;
                trace.done("pause");
            }
            kernel::load_devices(&kernel::DEVICES)?;
            trace.done("devices");
            let (link, incoming) = Link::start(port, Side::Guest);
            (link, incoming, trace)
        }
        Inside::Krun => {
            let (from, to) = (own_file(std::io::stdin())?, own_file(std::io::stdout())?);
            let (link, incoming) = Link::start(tokio::io::join(from, to), Side::Guest);
            (link, incoming, Trace::read())
        }
    };
    trace.done("link");
    tokio::select! {
        ended = told(inside, &link, incoming, trace) => ended,
        why = link.closed() => Err(why.into()),
    }
}

/// Standard input or output, whatever it is: a pipe, or a device of the container's own.
fn own_file(stream: impl AsFd) -> Result<tokio::fs::File, GuestError> {
    let own = stream.as_fd().try_clone_to_owned().map_err(doing("taking the link"))?;
    Ok(tokio::fs::File::from_std(own.into()))
}

/// From `booted` until the machine is to be switched off.
async fn told(inside: Inside, link: &Link, incoming: Incoming, trace: Trace) -> Result<(), GuestError> {
    let (mut control, setup) = Control::begin(link).await?;
    trace.done("setup");
    match build(inside, (link, incoming), (&mut control, &setup), trace).await {
        Ok(()) => control.off(OFF_WITHIN).await,
        Err(error) => {
            say(&reasons(&error));
            control.failed(&error).await?;
            control.off(OFF_AFTER_FAILURE_WITHIN).await;
        }
    }
    Ok(())
}

async fn build(
    inside: Inside,
    (link, incoming): (&Link, Incoming),
    (control, setup): (&mut Control, &Setup),
    trace: Trace,
) -> Result<(), GuestError> {
    check(setup)?;
    system::tell(setup)?;
    if inside == Inside::Paused {
        pause::random().await?;
    }
    if inside != Inside::Krun && setup.network.is_some() {
        // Modules are where the kernel began, and not in the root.
        kernel::load_devices(&kernel::CARD)?;
    }
    let root = inside.enter().await?;
    trace.done("root");
    inside.connect(setup).await?;
    trace.done("network");
    system::people(setup)?;
    let command = inside.place(root.as_ref(), setup)?;
    for folder in folders(setup) {
        folders::bring(link, folder).await?;
        inside.hand_over(folder, setup)?;
    }
    trace.done("folders");
    let alloc = Path::new(ALLOC);
    let api = setup.api.then(|| alloc.join(runner::SOCKET));
    let doors = Doors::open(link, incoming, api.as_deref(), alloc.join(runner::SERVICE_SOCKET))?;
    let fence = Fence::make(inside != Inside::Krun)?;
    control.ready().await?;
    let workload = Workload::start(&[&command, "exec"], setup, link, fence)?;
    control.running().await?;
    trace.done("running");
    let end = workload.end(control.asked(), Duration::from_secs(setup.grace)).await?;
    drop(doors);
    if let Some(root) = root {
        root.written().await?;
    }
    control.done(end).await?;
    trace.done("done");
    for folder in folders(setup).filter(|folder| folder.writable) {
        folders::send(link, folder).await;
    }
    trace.done("folders out");
    Ok(())
}

/// The workspace first.
fn folders(setup: &Setup) -> impl Iterator<Item = &Mount> {
    std::iter::once(&setup.workspace).chain(&setup.mounts)
}

/// What no machine is told.
fn check(setup: &Setup) -> Result<(), GuestError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let named = (1..=NAME_MOST).contains(&setup.hostname.len()) && setup.hostname.bytes().all(plain);
    let placed = |folder: &Mount| {
        let at = Path::new(&folder.at);
        let climbs = at.components().any(|part| part == std::path::Component::ParentDir);
        at.is_absolute() && !climbs && at.parent().is_some()
    };
    match () {
        () if setup.uid == 0 || setup.gid == 0 => Err(GuestError::Setup("root as the workload's user")),
        () if !named => Err(GuestError::Setup("the machine's name")),
        () if !folders(setup).all(placed) => Err(GuestError::Setup("the place of a folder")),
        () => Ok(()),
    }
}

impl Inside {
    /// Goes to the root that the workload will have; gives what is kept of before.
    async fn enter(self) -> Result<Option<Entered>, GuestError> {
        // Nothing in it becomes root.
        set_no_new_privs(true).map_err(doing("giving up new rights"))?;
        match self {
            Self::Krun => Ok(None),
            Self::Machine | Self::Paused => {
                let entered = root::enter().await?;
                root::furnish()?;
                Ok(Some(entered))
            }
        }
    }

    /// A container has its network and its names already.
    async fn connect(self, setup: &Setup) -> Result<(), GuestError> {
        match (self, &setup.network) {
            (Self::Krun, _) => Ok(()),
            (Self::Machine | Self::Paused, network) => {
                network::start(network.as_ref()).await?;
                system::name(setup)?;
                network.as_ref().map_or(Ok(()), |network| system::ask_at(&network.dns))
            }
        }
    }

    /// Makes the folders that a task has, and puts this program there; gives its path.
    fn place(self, root: Option<&Entered>, setup: &Setup) -> Result<String, GuestError> {
        let alloc = Path::new(ALLOC);
        let bin = alloc.join(runner::BIN);
        for dir in [alloc, Path::new("/local"), Path::new("/secrets"), &alloc.join("data"), &alloc.join("tmp")] {
            system::own(dir, setup)?;
        }
        std::fs::create_dir_all(&bin).map_err(doing("making /alloc/bin"))?;
        let program_at: PathBuf = bin.join("albatros");
        match root {
            Some(Entered { program, .. }) => {
                root::memory("/secrets", &format!("mode=0700,uid={},gid={}", setup.uid, setup.gid))?;
                root::show(program, &program_at)?;
            }
            None => {
                std::fs::copy("/proc/self/exe", &program_at).map_err(doing("copying this program"))?;
            }
        }
        shared("/tmp")?;
        if let Some(token) = &setup.token {
            let written = system::put(&alloc.join(runner::TOKEN), token, 0o644);
            written.map_err(doing("writing the token of the API"))?;
        }
        Ok(program_at.to_string_lossy().into_owned())
    }

    /// A folder that came in is the workload's, or nobody's to write.
    fn hand_over(self, folder: &Mount, setup: &Setup) -> Result<(), GuestError> {
        let at = Path::new(&folder.at);
        match self {
            // The script works there, whether or not it comes back.
            _ if folder.writable || *folder == setup.workspace => folders::give(at, setup),
            Self::Machine | Self::Paused => root::freeze(at),
            Self::Krun => Ok(()),
        }
    }
}

/// A folder for everybody's files.
fn shared(at: &str) -> Result<(), GuestError> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::create_dir_all(at).map_err(doing(format!("making {at}")))?;
    std::fs::set_permissions(at, std::fs::Permissions::from_mode(0o1777)).map_err(doing(format!("opening {at}")))
}
