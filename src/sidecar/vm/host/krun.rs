//! Engine `krun`: podman with crun's `krun`, which makes a container a machine. Its standard input and output are the link.
//!
//! By the documentation of podman and crun (`man krun`): the image is podman's own of that name, and no disk of ours.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use super::console::Console;
use super::machine::Machine;
use super::qemu::on_path;
use super::runs::Run;
use super::settings::VmSettings;

/// Where the program is in the container.
const GUEST: &str = "/.albatros";

/// Where anything can be written in it.
const WRITTEN: [&str; 4] = ["/alloc", "/local", "/secrets", "/tmp"];
/// In a run's folder: which podman has its container.
const MARK: &str = "podman";
/// podman waits for nobody's end.
const REMOVED_WITHIN: Duration = Duration::from_secs(30);

/// Why there is no machine.
#[derive(Debug, thiserror::Error)]
pub(super) enum KrunError {
    #[error("podman and crun with krun are not installed on this node (Fedora: dnf install podman crun-krun)")]
    Missing,
    #[error(
        "this program's file cannot be found, which the container is to have: was it replaced? Name its folder with --bin-from DIR"
    )]
    Program,
    #[error("podman could not be started")]
    Start(#[source] io::Error),
}

/// podman, where krun is there too.
pub(super) fn find(path: &OsString) -> Option<PathBuf> {
    on_path(path, "krun")?;
    on_path(path, "podman")
}

/// Starts a machine.
pub(super) fn start(settings: &VmSettings, run: &Run) -> Result<Machine, KrunError> {
    let podman = find(&settings.path).ok_or(KrunError::Missing)?;
    let program = program(settings.bin_from.as_deref())?;
    // By that the container is found again by whoever removes it.
    std::fs::write(run.file(MARK), podman.as_os_str().as_encoded_bytes()).map_err(KrunError::Start)?;
    let mut command = Command::new("/proc/self/exe");
    command.arg0("albatros").args(["vm", "keep", "--parent"]).arg(std::process::id().to_string());
    command.arg("--mark").arg(run.process()).arg("--").arg(podman);
    command.args(["run", "--rm", "--interactive", "--runtime", "krun", "--pull", "never", "--log-driver", "none"]);
    command.arg("--name").arg(format!("albatros-{}", run.id()));
    command.arg("--network").arg(if settings.network.is_some() { "slirp4netns" } else { "none" });
    command.arg("--annotation").arg(format!("krun.cpus={}", settings.cpus));
    command.arg("--annotation").arg(format!("krun.ram_mib={}", settings.memory));
    command.arg("--volume").arg(volume(&program)).args(["--security-opt", "no-new-privileges"]);
    // What the script writes is bounded by the machine's disk, and is memory.
    command.args(["--read-only", "--read-only-tmpfs=false"]);
    for dir in WRITTEN {
        command.arg("--tmpfs").arg(format!("{dir}:rw,nodev,nosuid,exec,size={}", settings.disk / WRITTEN.len() as u64));
    }
    command.args(["--user", "0:0", "--entrypoint", GUEST]);
    command.args(["--", settings.image.as_str(), "vm", "guest", "--inside", "krun"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(KrunError::Start)?;
    let console = Console::default();
    if let Some(said) = child.stderr.take() {
        console.watch(said);
    }
    let no_pipe = || KrunError::Start(io::ErrorKind::BrokenPipe.into());
    let (to, from) = child.stdin.take().zip(child.stdout.take()).ok_or_else(no_pipe)?;
    Ok(Machine::new(child, tokio::io::join(from, to), console))
}

/// Removes the container of a run that had one, whatever state it is in.
pub(super) async fn remove(run: &Path) {
    let Ok(podman) = std::fs::read(run.join(MARK)) else { return };
    let Some(id) = run.file_name() else { return };
    let mut name = OsString::from("albatros-");
    name.push(id);
    let mut command = Command::new(OsString::from_vec(podman));
    command.args(["rm", "--force", "--ignore", "--time", "0"]).arg(name);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    // One that is left is podman's to clean up.
    let _ = timeout(REMOVED_WITHIN, command.status()).await;
}

/// By a path that podman finds too, for which `/proc/self` is podman.
fn program(bin_from: Option<&Path>) -> Result<PathBuf, KrunError> {
    if let Some(dir) = bin_from {
        return Ok(dir.join("albatros"));
    }
    let own = std::env::current_exe().map_err(KrunError::Start)?;
    if own.is_file() { Ok(own) } else { Err(KrunError::Program) }
}

fn volume(program: &Path) -> OsString {
    let mut volume = program.as_os_str().to_owned();
    volume.push(format!(":{GUEST}:ro"));
    volume
}
