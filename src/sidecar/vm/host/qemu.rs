//! Engine `qemu`: its `microvm` machine, which has no devices but those named here.
//!
//! What the machine's process needs is opened here and handed down: it can be a user who may open nothing of ours. Its
//! standard input is the link, its standard output the machine's console.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream as StdStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::io::{FdFlags, fcntl_setfd};
use tokio::net::UnixStream;
use tokio::process::Command;
use tokio::time::timeout;

use super::console::Console;
use super::machine::Machine;
use super::runs::{Run, private};
use super::share;
use super::snapshot::Monitor;
use crate::sidecar::vm::pause::NO_TRUST;

/// The program.
const PROGRAM: &str = "qemu-system-x86_64";
/// This program, also after its file was replaced.
const OWN: &str = "/proc/self/exe";
/// A sparse file system takes a moment.
const DISK_WITHIN: Duration = Duration::from_secs(120);
/// Free bytes to begin with: the disk is sparse, and what it takes later it takes from them.
const FREE_LEAST: u64 = 256 << 20;
/// Translated code, MiB; otherwise qemu takes an eighth of the node's memory for it.
const TRANSLATED: u32 = 64;
/// Where administrators' programs are, which a task's PATH may not name.
const SBIN: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// What runs the machine's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Accel {
    Kvm,
    Tcg,
}

/// Where a machine begins. `F` is a file, or the number that it is handed down by.
#[derive(Debug)]
pub(super) enum Begin<F> {
    /// Its kernel is started.
    Boot,
    /// The same, as far as its pause; the file is the monitor's.
    Pause(F),
    /// From a snapshot that was taken there.
    Snapshot(F),
}

/// A machine on its way to its pause.
#[derive(Debug)]
pub(super) struct Paused {
    pub(super) machine: Machine,
    pub(super) monitor: Monitor,
}

/// Why there is no machine.
#[derive(Debug, thiserror::Error)]
pub(super) enum QemuError {
    #[error("qemu's microvm machine is one of x86_64: on this node only --engine krun can run machines")]
    Processor,
    #[error(
        "{0} is not installed on this node (Debian and Ubuntu: apt-get install qemu-system-x86; Fedora: dnf install qemu-system-x86-core)"
    )]
    NoQemu(&'static str),
    #[error("mke2fs is not installed on this node (apt-get install e2fsprogs)")]
    NoMke2fs,
    #[error("the machine's disk could not be made")]
    Disk(#[source] io::Error),
    #[error(
        "there are only {free} MiB free where the machine's disk is ({}), and it needs {} to begin with: remove what is \
         not needed there (albatros vm image list), or name another folder with ALBATROS_VM_STORE", dir.display(),
         FREE_LEAST >> 20
    )]
    Full { dir: PathBuf, free: u64 },
    #[error("the machine's disk could not be made: {0}")]
    Mke2fs(String),
    #[error("{} cannot be opened", .0.display())]
    Open(PathBuf, #[source] io::Error),
    #[error("the machine's process could not be started")]
    Start(#[source] io::Error),
}

/// What a machine is made of.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) program: PathBuf,
    pub(super) kernel: PathBuf,
    pub(super) initrd: PathBuf,
    pub(super) root: PathBuf,
    pub(super) cpus: u32,
    /// MiB
    pub(super) memory: u64,
    pub(super) network: bool,
    /// For [`super::keep`].
    pub(super) user: Option<String>,
}

/// Where qemu is.
pub(super) fn find(path: &OsString) -> Result<PathBuf, QemuError> {
    if std::env::consts::ARCH != "x86_64" {
        return Err(QemuError::Processor);
    }
    on_path(path, PROGRAM).ok_or(QemuError::NoQemu(PROGRAM))
}

/// A program, where a shell would find it, or an administrator's.
pub(super) fn on_path(path: &OsString, name: &str) -> Option<PathBuf> {
    let dirs = std::env::split_paths(path).chain(SBIN.map(PathBuf::from));
    dirs.map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// Makes the machine's own disk in the run's folder: sparse, so that it takes what is written to it and no more than `size`.
pub(super) async fn scratch(run: &Run, size: u64, path: &OsString) -> Result<(), QemuError> {
    let mke2fs = on_path(path, "mke2fs").ok_or(QemuError::NoMke2fs)?;
    let space = rustix::fs::statvfs(run.dir()).map_err(|error| QemuError::Disk(error.into()))?;
    let free = space.f_bavail.saturating_mul(space.f_frsize);
    if free < FREE_LEAST {
        return Err(QemuError::Full { dir: run.dir().to_owned(), free: free >> 20 });
    }
    let file = run.file("scratch.ext4");
    private(&file).and_then(|file| file.set_len(size)).map_err(QemuError::Disk)?;
    let mut command = Command::new(mke2fs);
    // Nothing of it outlives the machine: no journal. Many small files: an inode each 8 KiB.
    command.args(["-q", "-F", "-t", "ext4", "-m", "0", "-i", "8192", "-O", "^has_journal"]);
    command.args(["-E", "lazy_itable_init=1,nodiscard"]).arg(&file);
    command.env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let slow = || QemuError::Mke2fs(format!("mke2fs has taken longer than {} s", DISK_WITHIN.as_secs()));
    let made = timeout(DISK_WITHIN, command.output()).await.map_err(|_elapsed| slow())?.map_err(QemuError::Disk)?;
    if made.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&made.stderr);
    Err(QemuError::Mke2fs(super::console::harmless(said.lines().next_back().unwrap_or("mke2fs does not say why"))))
}

/// Starts a machine that waits at its pause. Its instructions are translated.
pub(super) fn pause(parts: &Parts, run: &Run) -> Result<Paused, QemuError> {
    let (monitor, theirs) = pair()?;
    let machine = start(parts, run, Accel::Tcg, Begin::Pause(&theirs.into()))?;
    Ok(Paused { machine, monitor: Monitor::new(UnixStream::from_std(monitor).map_err(QemuError::Start)?) })
}

/// Two ends, of which ours does not block.
fn pair() -> Result<(StdStream, StdStream), QemuError> {
    let (ours, theirs) = StdStream::pair().map_err(QemuError::Start)?;
    ours.set_nonblocking(true).map_err(QemuError::Start)?;
    Ok((ours, theirs))
}

/// Starts a machine.
pub(super) fn start(parts: &Parts, run: &Run, accel: Accel, begin: Begin<&OwnedFd>) -> Result<Machine, QemuError> {
    let open = |path: &Path| File::open(path).map_err(|error| QemuError::Open(path.to_owned(), error));
    let scratch = run.file("scratch.ext4");
    // qemu opens it for reading first, and takes no descriptor for that with which one can do more.
    let seen = open(&scratch)?;
    let scratch = private(&scratch).map_err(|error| QemuError::Open(scratch, error))?;
    let files = [open(&parts.kernel)?, open(&parts.initrd)?, open(&parts.root)?, scratch, seen];
    let ((link, theirs), (screen, its_screen)) = (pair()?, pair()?);
    let mut command = Command::new(OWN);
    command.arg0("albatros").args(["vm", "keep", "--parent"]).arg(std::process::id().to_string());
    command.arg("--mark").arg(run.process());
    if let Some(user) = &parts.user {
        command.arg("--user").arg(user);
    }
    let numbers = files.each_ref().map(|file| file.as_raw_fd());
    let (more, begins) = match begin {
        Begin::Boot => (None, Begin::Boot),
        Begin::Pause(monitor) => (Some(monitor), Begin::Pause(monitor.as_raw_fd())),
        Begin::Snapshot(state) => (Some(state), Begin::Snapshot(state.as_raw_fd())),
    };
    command.arg("--").arg(&parts.program).args(args(parts, numbers, accel, &begins));
    command.env_clear().current_dir("/").kill_on_drop(true);
    command.stdin(OwnedFd::from(theirs)).stdout(OwnedFd::from(its_screen)).stderr(Stdio::piped());
    // From here to the start no other process may be started, and none is: these would be handed down to it too.
    for file in files.iter().map(AsFd::as_fd).chain(more.map(AsFd::as_fd)) {
        fcntl_setfd(file, FdFlags::empty()).map_err(|error| QemuError::Start(error.into()))?;
    }
    let mut child = command.spawn().map_err(QemuError::Start)?;
    if let Some(file) = more {
        fcntl_setfd(file, FdFlags::CLOEXEC).map_err(|error| QemuError::Start(error.into()))?;
    }
    drop((command, files));
    let console = Console::default();
    console.watch(UnixStream::from_std(screen).map_err(QemuError::Start)?);
    if let Some(said) = child.stderr.take() {
        console.watch(said);
    }
    let link = UnixStream::from_std(link).map_err(QemuError::Start)?;
    Ok(Machine::new(child, link, console))
}

/// qemu's command line. Nothing in it is a build's or a guest's.
pub(super) fn args(
    parts: &Parts,
    [kernel, initrd, root, scratch, seen]: [i32; 5],
    accel: Accel,
    begin: &Begin<i32>,
) -> Vec<String> {
    let mut args = Vec::new();
    let mut add = |option: &str, value: String| args.extend([option.to_owned(), value]);
    add("-M", "microvm".to_owned());
    match accel {
        Accel::Kvm => {
            add("-accel", "kvm".to_owned());
            add("-cpu", "host".to_owned());
        }
        Accel::Tcg => {
            add("-accel", format!("tcg,thread=multi,tb-size={TRANSLATED}"));
            // Where a processor says that it moves bytes fast by one instruction, kernels do so; translated, that is the
            // slowest way of all.
            add("-cpu", "max,-erms".to_owned());
        }
    }
    add("-smp", parts.cpus.to_string());
    add("-m", parts.memory.to_string());
    add("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny".to_owned());
    add("-display", "none".to_owned());
    add("-kernel", format!("/proc/self/fd/{kernel}"));
    add("-initrd", format!("/proc/self/fd/{initrd}"));
    add("-append", kernel_line(accel, begin));
    add("-chardev", "socket,id=console,fd=1".to_owned());
    add("-serial", "chardev:console".to_owned());
    add("-chardev", "socket,id=link,fd=0".to_owned());
    add("-device", "virtio-serial-device,max_ports=2".to_owned());
    add("-device", "virtserialport,chardev=link,name=albatros".to_owned());
    for (number, name, options) in [(root, "root", "read-only=on"), (scratch, "scratch", "cache=unsafe,discard=unmap")]
    {
        add("-add-fd", format!("fd={number},set={number}"));
        // Without that a machine whose node's disk is full is halted, and nobody is there to let it go on.
        let errors = "werror=report,rerror=report";
        let file = format!("file=/dev/fdset/{number},file.locking=off,format=raw,if=none,{errors}");
        add("-drive", format!("id={name},{file},{options}"));
        add("-device", format!("virtio-blk-device,drive={name},serial={name}"));
    }
    add("-add-fd", format!("fd={seen},set={scratch}"));
    add("-object", "rng-builtin,id=random".to_owned());
    add("-device", "virtio-rng-device,rng=random".to_owned());
    if parts.network {
        add("-netdev", "user,id=net,ipv6=off".to_owned());
        add("-device", "virtio-net-device,netdev=net".to_owned());
    }
    match begin {
        Begin::Boot => {}
        Begin::Pause(monitor) => {
            add("-chardev", format!("socket,id=monitor,fd={monitor}"));
            add("-mon", "chardev=monitor,mode=control".to_owned());
        }
        Begin::Snapshot(state) => add("-incoming", format!("fd:{state}")),
    }
    args.extend(["-nodefaults", "-no-user-config", "-no-reboot"].map(str::to_owned));
    args
}

/// Seen on a node with much to do: a kernel whose instructions are translated measures how fast time is counted, by a device
/// that is translated too, fails, and hangs for ever. So it is told.
fn kernel_line(accel: Accel, begin: &Begin<i32>) -> String {
    let clock = match (accel, share::khz()) {
        (Accel::Tcg, Some(khz)) => format!(" tsc_early_khz={khz}"),
        (Accel::Tcg, None) | (Accel::Kvm, _) => String::new(),
    };
    // A machine from a snapshot is in all its parts the one that was kept.
    let (random, pause) = match begin {
        Begin::Boot => (String::new(), ""),
        Begin::Pause(_) | Begin::Snapshot(_) => (format!(" {NO_TRUST}"), " --pause"),
    };
    format!("console=ttyS0 quiet panic=-1 reboot=t{clock}{random} -- vm guest{pause}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(network: bool) -> Parts {
        Parts {
            program: "/usr/bin/qemu-system-x86_64".into(),
            kernel: "/store/vmlinuz".into(),
            initrd: "/store/initrd".into(),
            root: "/store/root.squashfs".into(),
            cpus: 2,
            memory: 512,
            network,
            user: None,
        }
    }

    #[test]
    fn a_machine_has_no_network_unless_it_is_asked_for_and_never_writes_its_image() {
        let line = args(&parts(false), [3, 4, 5, 6, 7], Accel::Tcg, &Begin::Boot).join(" ");
        assert!(!line.contains("net"), "{line}");
        assert!(
            line.contains(
                "id=root,file=/dev/fdset/5,file.locking=off,format=raw,if=none,werror=report,rerror=report,read-only=on"
            ),
            "{line}"
        );
        assert!(line.contains("-nodefaults -no-user-config -no-reboot"), "{line}");
        assert!(args(&parts(true), [3, 4, 5, 6, 7], Accel::Kvm, &Begin::Boot).join(" ").contains("-netdev user,"));
    }

    #[test]
    fn a_machine_that_is_kept_and_one_from_it_differ_in_nothing_that_is_theirs() {
        let of = |begin| args(&parts(false), [3, 4, 5, 6, 7], Accel::Tcg, &begin);
        let (mut kept, mut begun) = (of(Begin::Pause(8)), of(Begin::Snapshot(9)));
        assert!(kept.join(" ").contains("random.trust_cpu=off") && kept.join(" ").contains("-- vm guest --pause"));
        kept.retain(|word| !word.contains("mon"));
        kept.retain(|word| word != "-chardev");
        begun.retain(|word| word != "-incoming" && word != "fd:9" && word != "-chardev");
        assert_eq!(kept, begun);
        assert!(!of(Begin::Boot).join(" ").contains("--pause"));
    }

    #[test]
    fn a_machine_has_the_processors_and_the_memory_that_it_was_given() {
        let parts = Parts { cpus: 3, memory: 777, ..parts(false) };
        let line = format!("{} ", args(&parts, [3, 4, 5, 6, 7], Accel::Tcg, &Begin::Boot).join(" "));
        assert!(line.contains(" -smp 3 ") && line.contains(" -m 777 "), "{line}");
    }

    #[test]
    fn a_program_is_looked_for_where_a_shell_looks_and_where_administrators_have_theirs() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("qemu-system-x86_64"), "").unwrap();
        let path = OsString::from(dir.path());
        assert_eq!(on_path(&path, PROGRAM), Some(dir.path().join(PROGRAM)));
        assert_eq!(on_path(&path, "no-such-program"), None);
    }
}
