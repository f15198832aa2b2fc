//! What `dev` and `run` read of the environment about this machine.

use std::ffi::OsString;
use std::path::PathBuf;

use super::settings::{Environment, SettingsError};
use crate::dev::Machine;
use crate::sidecar::GIT_VARS;
use crate::sidecar::exec::DEFAULT_PATH;

/// This program, also after its file was replaced.
const PROGRAM: &str = "/proc/self/exe";
/// What docker and podman find their server, their credentials and their storage by.
const CONTAINER_VARS: &[&str] = &[
    "PATH",
    "HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR",
    "DBUS_SESSION_BUS_ADDRESS",
    "DOCKER_HOST",
    "DOCKER_CONTEXT",
    "DOCKER_CONFIG",
    "DOCKER_CERT_PATH",
    "DOCKER_TLS_VERIFY",
    "CONTAINER_HOST",
    "CONTAINER_CONNECTION",
    "CONTAINERS_CONF",
    "REGISTRY_AUTH_FILE",
];

/// `PATH`, `ALBATROS_PATH`, `ALBATROS_LOCAL_BUILDS`, and what gets git through to the outside.
pub(super) fn machine(environment: Environment<'_>) -> Result<Machine, SettingsError> {
    let set = |name: &str| environment(name).filter(|value| !value.is_empty());
    let git_vars = GIT_VARS.iter().filter_map(|name| Some((OsString::from(name), OsString::from(set(name)?))));
    let container_vars = CONTAINER_VARS.iter().filter_map(|name| Some((OsString::from(name), set(name)?.into())));
    Ok(Machine {
        program: PathBuf::from(PROGRAM),
        path: set("PATH").unwrap_or_else(|| DEFAULT_PATH.to_owned()).into(),
        script_path: set("ALBATROS_PATH").map(OsString::from),
        git_vars: git_vars.collect(),
        container_vars: container_vars.collect(),
        builds: match set("ALBATROS_LOCAL_BUILDS") {
            Some(text) => builds(&text)?,
            None => std::thread::available_parallelism().map_or(1, usize::from),
        },
    })
}

fn builds(text: &str) -> Result<usize, SettingsError> {
    let number = text.parse().ok().filter(|number| (1..=1_000).contains(number));
    number.ok_or_else(|| SettingsError {
        name: "ALBATROS_LOCAL_BUILDS".to_owned(),
        why: "expected how many builds may run at once, from 1 to 1000".to_owned(),
    })
}

/// Where temporary files go.
pub(super) fn temp(environment: Environment<'_>) -> PathBuf {
    environment("TMPDIR").filter(|value| !value.is_empty()).map_or_else(|| PathBuf::from("/tmp"), PathBuf::from)
}

/// Where programs keep what they could make again.
pub(super) fn cache(environment: Environment<'_>) -> Option<PathBuf> {
    let set = |name: &str| environment(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = set("XDG_CACHE_HOME").filter(|dir| dir.is_absolute());
    cache.or_else(|| set("HOME").map(|home| home.join(".cache"))).map(|dir| dir.join("albatros"))
}
