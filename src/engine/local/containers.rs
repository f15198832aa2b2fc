//! docker or podman on this machine: found when the first job asks for an image, and cleared of what a killed engine has
//! left there.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{getgid, getuid};
use sha2::{Digest as _, Sha256};
use tokio::process::Command;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::supervise::Identity;
use super::{Build, LocalSettings};
use crate::domain::container::Container;

/// How long docker or podman may take to say what they are, or to remove a container.
const ANSWERS_WITHIN: Duration = Duration::from_secs(20);
/// Containers of one machine, start and process namespace of it, and user.
const MACHINE: &str = "albatros.machine";
/// The process that the container is of.
const ENGINE: &str = "albatros.engine";

/// What runs containers here, once somebody has asked.
#[derive(Debug)]
pub(super) struct Containers {
    path: OsString,
    vars: BTreeMap<String, String>,
    runtime: OnceCell<Option<Runtime>>,
}

#[derive(Debug)]
struct Runtime {
    program: PathBuf,
    /// So that what the script makes belongs to our user.
    user: Vec<String>,
}

impl Containers {
    pub(super) fn of(settings: &LocalSettings) -> Self {
        let text = |(name, value): &(OsString, OsString)| {
            Some((name.clone().into_string().ok()?, value.clone().into_string().ok()?))
        };
        Self {
            path: settings.path.clone(),
            vars: settings.container_vars.iter().filter_map(text).collect(),
            runtime: OnceCell::new(),
        }
    }

    /// A container for the script of a job; none where there is nothing to run it.
    pub(super) async fn container(&self, build: &Build, image: &str) -> Option<Container> {
        let runtime = self.runtime().await?;
        let recorded = build.recorded();
        let as_image = recorded.job.is_some_and(|job| job.service && !job.checkout);
        let mut options: Vec<String> = ["--init", "--network", "host"].map(str::to_owned).to_vec();
        for (label, value) in [(MACHINE, Some(machine())), (ENGINE, engine())] {
            options.extend(value.into_iter().flat_map(|value| ["--label".to_owned(), format!("{label}={value}")]));
        }
        if !as_image {
            options.extend(runtime.user.iter().cloned());
        }
        Some(Container {
            program: runtime.program.clone(),
            vars: self.vars.clone(),
            name: name(build),
            image: image.to_owned(),
            options,
            as_image,
        })
    }

    /// Ends and removes the container of a build that is over, if it is still there.
    pub(super) async fn remove(&self, name: &str) {
        if let Some(runtime) = self.runtime().await {
            self.ask(&runtime.program, &["rm", "--force", "--volumes", name]).await;
        }
    }

    async fn runtime(&self) -> Option<&Runtime> {
        self.runtime.get_or_init(|| self.find()).await.as_ref()
    }

    async fn find(&self) -> Option<Runtime> {
        let runtime = match self.docker().await {
            Some(docker) => docker,
            None => self.podman().await?,
        };
        self.remove_strays(&runtime.program).await;
        Some(runtime)
    }

    async fn docker(&self) -> Option<Runtime> {
        let program = self.installed("docker")?;
        // It fails where there is only a client.
        self.ask(&program, &["version", "--format", "{{.Server.Os}}"]).await?;
        let security = self.ask(&program, &["info", "--format", "{{json .SecurityOptions}}"]).await?;
        let (user, group) = (getuid(), getgid());
        // Without root's rights its root is our user.
        let mapped = security.contains("rootless") || user.is_root();
        let user = if mapped {
            Vec::new()
        } else {
            vec!["--user".to_owned(), format!("{}:{}", user.as_raw(), group.as_raw())]
        };
        Some(Runtime { program, user })
    }

    async fn podman(&self) -> Option<Runtime> {
        let program = self.installed("podman")?;
        let rootless = self.ask(&program, &["info", "--format", "{{.Host.Security.Rootless}}"]).await?;
        let user = if rootless.trim() == "true" { vec!["--userns=keep-id".to_owned()] } else { Vec::new() };
        Some(Runtime { program, user })
    }

    fn installed(&self, name: &str) -> Option<PathBuf> {
        let is_program =
            |path: &Path| path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0);
        std::env::split_paths(&self.path).map(|dir| dir.join(name)).find(|path| is_program(path))
    }

    /// Removes the containers of engines that are dead: of this machine and user, and of no other.
    async fn remove_strays(&self, program: &Path) {
        let filter = format!("label={MACHINE}={}", machine());
        let format = format!("{{{{.ID}}}} {{{{.Label \"{ENGINE}\"}}}}");
        let listed = self.ask(program, &["ps", "--all", "--filter", &filter, "--format", &format]).await;
        for line in listed.unwrap_or_default().lines() {
            let Some((id, owner)) = line.split_once(' ') else { continue };
            if Identity::parse(owner).is_some_and(|owner| !owner.is_alive()) {
                tracing::warn!(container = id, "a container that a killed albatros has left is removed");
                self.ask(program, &["rm", "--force", "--volumes", id]).await;
            }
        }
    }

    /// What it prints; none where it fails.
    async fn ask(&self, program: &Path, args: &[&str]) -> Option<String> {
        let mut command = Command::new(program);
        command.args(args).env_clear().envs(&self.vars).stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let output = timeout(ANSWERS_WITHIN, command.output()).await.ok()?.ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// The name of a build's container: the build's own, which is random.
fn name(build: &Build) -> String {
    format!("albatros-{}", build.id().child())
}

fn engine() -> Option<String> {
    Identity::of(std::process::id()).map(|this| this.to_text())
}

/// Numbers of processes mean something only within one start of one machine, one namespace and one user's view of it.
fn machine() -> String {
    let namespace = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    let text = format!("{} {} {}", Identity::boot(), namespace.display(), getuid().as_raw());
    hex::encode(Sha256::digest(text)).chars().take(32).collect()
}
