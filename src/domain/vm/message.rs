//! What host and guest say to each other: one JSON object a line, on the link's first stream.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::domain::secret::Secret;

/// Of the messages. Host and guest are one program, so another one means a wrong override.
pub const VERSION: u32 = 1;
/// The longest line in either direction, in bytes: variables are most of it.
pub const LINE_MOST: usize = 1 << 20;

/// What tells the guest's init from everything else in the guest: 64 hexadecimal digits, made for one run.
pub type Nonce = Secret;

/// What the guest says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum ToHost {
    /// The kernel is up and init runs. The first message, before it knows any nonce.
    Booted {
        /// [`VERSION`] of the guest's program.
        version: u32,
    },
    /// Root, workspace and API are there.
    Ready {
        /// The run's.
        nonce: String,
    },
    /// `exec` was started.
    Running {
        /// The run's.
        nonce: String,
    },
    /// `exec` has ended and every process of the workload is gone.
    Done {
        /// The run's.
        nonce: String,
        /// How.
        end: End,
    },
    /// The guest could not get as far as `exec`, or lost it.
    Failed {
        /// The run's.
        nonce: String,
        /// Why, for people.
        why: String,
    },
}

/// How `exec` ended in the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// Its exit code, which is the script's.
    pub code: u8,
    /// The guest's kernel killed something for want of memory meanwhile.
    #[serde(default)]
    pub oom: bool,
}

/// What the host says.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum ToGuest {
    /// The answer to `booted`; once.
    Setup(Box<Setup>),
    /// The workload is to end: this signal to it. Obeyed once.
    Stop {
        /// Its number.
        signal: i32,
    },
    /// The workspace is out: the machine is to be switched off.
    Off,
}

/// Everything a guest is told, as data: nothing of it is ever read as a command line or a script.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Setup {
    /// The run's nonce.
    pub nonce: String,
    /// Milliseconds since 1970 at the host.
    pub now_ms: u64,
    /// What the guest's random numbers begin with: 64 hexadecimal digits.
    pub seed: String,
    /// Of the guest; letters, digits and `-`.
    pub hostname: String,
    /// Who the workload runs as; never 0.
    pub uid: u32,
    /// And its group; never 0.
    pub gid: u32,
    /// The environment of `exec`: names and values, as they are.
    pub env: BTreeMap<String, String>,
    /// The script's token for the controller, for `$NOMAD_ALLOC_DIR/albatros.token`; none in a builder without one.
    pub token: Option<String>,
    /// Whether streams to the controller's API are taken.
    pub api: bool,
    /// Where the workspace comes from and goes to.
    pub workspace: Mount,
    /// Folders of the host beside it.
    pub mounts: Vec<Mount>,
    /// None: a loopback and nothing else.
    pub network: Option<Network>,
    /// How long the workload has after a stop until it is killed, in seconds.
    pub grace: u64,
}

/// A folder of the host that is copied into the guest before `exec` starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Names its stream.
    pub id: String,
    /// Where it is in the guest, an absolute path.
    pub at: String,
    /// The workload may write there, and it is copied back when it has ended.
    pub writable: bool,
}

/// The guest's way out of its machine: qemu's user-mode network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// The guest's address with its prefix length, `10.0.2.15/32`.
    pub address: String,
    /// Where packets go.
    pub gateway: IpAddr,
    /// For `/etc/resolv.conf`.
    pub dns: Vec<IpAddr>,
    /// What the guest never reaches, as `address/length`: the host's own loopback is behind one of them.
    pub deny: Vec<String>,
}
