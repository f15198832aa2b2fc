//! What a machine is told that it is to be.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use super::folders::{Folder, LuggageError};
use super::place::Place;
use super::settings::{ALWAYS_DENIED, Subnet, UserNetwork, VmSettings};
use crate::domain::vm::{Mount, Network, Setup};
use crate::sidecar::exec::Group;
use crate::sidecar::pack::{Limits, Links, Selection};

/// The workload's user and group.
const WORKLOAD: u32 = 1000;
/// Names the workspace's stream.
pub(super) const WORKSPACE: &str = "workspace";
/// Names the stream of a build's secrets where there is no controller.
const PAYLOAD: &str = "payload";
/// Where they are in the machine, whose `/secrets` is memory.
const PAYLOAD_AT: &str = "/secrets/given";
/// What an image does not say: it is Nomad's, or ours.
const NOT_OF_AN_IMAGE: &[&str] = &["NOMAD_", "CONSUL_", "VAULT_", "ALBATROS_", "SECRET_PATH"];
/// qemu's user-mode network (<https://wiki.qemu.org/Documentation/Networking>).
const ADDRESS: &str = "10.0.2.15/32";
const GATEWAY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 2, 2));
/// The folders that go into the machine, and what is to be said of each.
pub(super) struct Luggage {
    pub(super) folders: Vec<Folder>,
    workspace: Mount,
    mounts: Vec<Mount>,
    payload: Option<String>,
}

impl Luggage {
    /// Everything that goes in.
    pub(super) fn pack(settings: &VmSettings, group: Option<&Group>, run: &str) -> Result<Self, LuggageError> {
        let limits = limits(settings);
        let (from, out) = (settings.exec.workspace(), settings.workspace_out);
        let back = out.then(|| Place::own(&from, run, WORKSPACE)).transpose()?;
        let mut folders = vec![Folder::whole(WORKSPACE, &from, back, limits)?];
        let workspace = Mount { id: WORKSPACE.to_owned(), at: "/alloc/workspace".to_owned(), writable: out };
        let mut mounts = Vec::new();
        for (number, folder) in settings.mounts.iter().enumerate() {
            let id = format!("m{number}");
            let back = folder.writable.then(|| Place::shared(&folder.from, run, &id)).transpose()?;
            folders.push(Folder::whole(&id, &folder.from, back, limits)?);
            mounts.push(Mount { id, at: folder.to.clone(), writable: folder.writable });
        }
        let payload = settings.exec.secret_path().filter(|file| group.is_none() && file.is_file());
        let payload = payload.and_then(|file| Some((file.parent()?, file.file_name()?)));
        if let Some((dir, name)) = payload {
            let files = Selection::beneath(dir, &[name.into()], limits)?.into_archive();
            folders.push(Folder { id: PAYLOAD.to_owned(), files, back: None });
            mounts.push(Mount { id: PAYLOAD.to_owned(), at: PAYLOAD_AT.to_owned(), writable: false });
        }
        let payload = payload.map(|(_, name)| Path::new(PAYLOAD_AT).join(name).to_string_lossy().into_owned());
        Ok(Self { folders, workspace, mounts, payload })
    }
}

/// What comes out of a machine is no more than fits on its disk.
pub(super) fn limits(settings: &VmSettings) -> Limits {
    let limits = Limits::default();
    Limits { bytes: limits.bytes.min(settings.disk), links: Links::Anywhere, ..limits }
}

/// All of it.
pub(super) fn of(
    settings: &VmSettings,
    (nonce, seed): (&str, &str),
    luggage: &Luggage,
    group: Option<&Group>,
    of_image: &[(String, String)],
) -> Setup {
    Setup {
        nonce: nonce.to_owned(),
        now_ms: now_ms(),
        seed: seed.to_owned(),
        hostname: "albatros".to_owned(),
        uid: WORKLOAD,
        gid: WORKLOAD,
        env: environment(settings, luggage, group.is_some(), of_image),
        token: group.map(|group| group.token().expose().to_owned()),
        api: group.is_some(),
        workspace: luggage.workspace.clone(),
        mounts: luggage.mounts.clone(),
        network: settings.network.as_ref().map(network),
        grace: settings.grace.as_secs(),
    }
}

/// Milliseconds since 1970.
pub(super) fn now_ms() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or_default()
}

fn environment(
    settings: &VmSettings,
    luggage: &Luggage,
    group: bool,
    of_image: &[(String, String)],
) -> BTreeMap<String, String> {
    let own = |name: &str| NOT_OF_AN_IMAGE.iter().any(|prefix| name.starts_with(prefix));
    let mut env: BTreeMap<_, _> = of_image.iter().filter(|(name, _)| !own(name)).cloned().collect();
    env.extend(settings.told.clone());
    let mut put = |name: &str, value: &str| {
        env.insert(name.to_owned(), value.to_owned());
    };
    put("NOMAD_ALLOC_DIR", "/alloc");
    put("NOMAD_TASK_DIR", "/local");
    put("NOMAD_SECRETS_DIR", "/secrets");
    put("ALBATROS_IMAGE_ENV", "true");
    put("ALBATROS_FINISH", "no");
    if !group {
        // It was checked out here, where the network is.
        put("ALBATROS_LOCAL_WORKSPACE", "true");
    }
    if let Some(path) = &luggage.payload {
        put("SECRET_PATH", path);
    }
    env
}

fn network(told: &UserNetwork) -> Network {
    Network {
        address: ADDRESS.to_owned(),
        gateway: GATEWAY,
        dns: told.dns.clone(),
        deny: ALWAYS_DENIED.iter().chain(&told.deny).map(Subnet::to_string).collect(),
    }
}
