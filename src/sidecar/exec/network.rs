//! `ALBATROS_NETWORK=none`: the script in a network namespace of its own, which holds a loopback and nothing else.
//!
//! For drivers that give a task no network of its own. It needs no right: the namespace belongs to a user namespace in
//! which our user and group are themselves and nobody else is anybody. Where the system forbids that, the script is
//! not run.

use std::io;

use nix::sched::{CloneFlags, unshare};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with};
use rustix::process::{Resource, Rlimit, getegid, geteuid, setrlimit};

use super::settings::ExecSettings;
use crate::sidecar::SettingsError;
use crate::sidecar::checkout::Source;

/// Processes and threads of one script. The kernel counts them by user namespace, so other builds of the same user do
/// not count; nothing else keeps a script of the exec driver from filling the node with them. Root is not counted.
const PROCESSES: u64 = 2048;

/// Which network a script is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Network {
    /// The task's.
    Host,
    /// None.
    None,
}

/// Why a script that is to have no network cannot be kept from it.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// Its own checkout needs the network that it is to leave.
    #[error("ALBATROS_NETWORK=none needs a builder with the tasks controller, sidecar and prepare")]
    NoGroup,
    /// The system allows no such namespace.
    #[error(
        "ALBATROS_NETWORK=none: this system lets no user make a network namespace, so the script is not run; \
         allow user namespaces, let the driver isolate the task, or set ALBATROS_NETWORK=host"
    )]
    Namespace(#[source] io::Error),
    /// Our user is nobody in the new namespace.
    #[error("ALBATROS_NETWORK=none: the user could not be kept in the script's namespace, so the script is not run")]
    User(#[source] io::Error),
    /// No limit.
    #[error("ALBATROS_NETWORK=none: the number of processes could not be limited, so the script is not run")]
    Processes(#[source] io::Error),
    /// No loopback.
    #[error("ALBATROS_NETWORK=none: the loopback could not be set up, so the script is not run")]
    Loopback(#[source] io::Error),
}

impl Network {
    pub(super) fn parse(word: Option<&str>) -> Result<Self, SettingsError> {
        match word {
            None | Some("host") => Ok(Self::Host),
            Some("none") => Ok(Self::None),
            Some(_) => Err(SettingsError::Word("ALBATROS_NETWORK", "expected none or host")),
        }
    }

    /// Without a network nothing can be fetched.
    pub(super) fn check_checkout(self, source: &Source) -> Result<(), NetworkError> {
        match (self, source) {
            (Self::None, Source::Remote) => Err(NetworkError::NoGroup),
            (Self::None | Self::Host, _) => Ok(()),
        }
    }
}

/// Leaves the network where the settings say so. To be called before there is any other thread.
///
/// # Errors
/// When that is not possible: the script must not run then.
pub fn isolate(settings: &ExecSettings) -> Result<(), NetworkError> {
    match settings.network {
        Network::Host => Ok(()),
        Network::None => leave(),
    }
}

fn leave() -> Result<(), NetworkError> {
    let (user, group) = (geteuid().as_raw(), getegid().as_raw());
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET)
        .map_err(|error| NetworkError::Namespace(error.into()))?;
    let write = |name: &str, text: String| std::fs::write(format!("/proc/self/{name}"), text);
    write("setgroups", "deny".to_owned())
        .and_then(|()| write("uid_map", format!("{user} {user} 1")))
        .and_then(|()| write("gid_map", format!("{group} {group} 1")))
        .map_err(NetworkError::User)?;
    limit_processes().map_err(|error| NetworkError::Processes(error.into()))?;
    loopback().map_err(NetworkError::Loopback)
}

/// A limit that is lower already stays.
fn limit_processes() -> rustix::io::Result<()> {
    let most = rustix::process::getrlimit(Resource::Nproc).maximum.map_or(PROCESSES, |most| most.min(PROCESSES));
    setrlimit(Resource::Nproc, Rlimit { current: Some(most), maximum: Some(most) })
}

/// RTM_NEWLINK for interface 1, which a new namespace's loopback is, with IFF_UP; see rtnetlink(7).
fn loopback() -> io::Result<()> {
    const LENGTH: u32 = 32;
    const RTM_NEWLINK: u16 = 16;
    /// NLM_F_REQUEST and NLM_F_ACK
    const FLAGS: u16 = 1 | 4;
    const IFF_UP: u32 = 1;
    let mut message = Vec::new();
    message.extend(LENGTH.to_ne_bytes());
    message.extend(RTM_NEWLINK.to_ne_bytes());
    message.extend(FLAGS.to_ne_bytes());
    // Sequence and port; family, padding and type.
    message.extend([0; 12]);
    message.extend(1_u32.to_ne_bytes());
    message.extend(IFF_UP.to_ne_bytes());
    message.extend(IFF_UP.to_ne_bytes());

    // Protocol 0 is NETLINK_ROUTE.
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    send(&socket, &message, SendFlags::empty())?;
    let mut answer = [0_u8; 256];
    let (read, _length) = recv(&socket, &mut answer, RecvFlags::empty())?;
    // A header of 16 bytes, then the negative error number.
    let number = answer.get(..read).and_then(|answer| answer.get(16..20)).and_then(|four| four.try_into().ok());
    match number.map(i32::from_ne_bytes) {
        Some(0) => Ok(()),
        Some(number) => Err(Errno::from_raw_os_error(number.saturating_neg()).into()),
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}
