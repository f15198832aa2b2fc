//! A build's supervisor and its rooms, as its turn comes.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};

use super::{Build, LocalSource, Shared, rooms, source};
use crate::domain::container;
use crate::domain::outcome::GROUP;
use crate::domain::runner::SHARED_LOOPBACK;

/// Starts the supervisor, with what Nomad would tell its tasks.
pub(super) async fn start(shared: &Shared, build: &Build, limit: Duration) -> io::Result<Child> {
    rooms::make(&build.dir)?;
    if let Some(keep) = &shared.settings.keep {
        keep.begin(build)?;
    }
    let recorded = build.recorded();
    let settings = &shared.settings;
    let mut command = Command::new(&settings.program);
    command.arg("supervise").arg(&build.dir).arg("--limit-ms").arg(limit.as_millis().to_string());
    command.env_clear().current_dir(&build.dir).process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    command.envs(settings.git_vars.iter().map(|(name, value)| (name, value)));
    command.env("PATH", &settings.path).env(SHARED_LOOPBACK, "true");
    command.env("NOMAD_JOB_ID", recorded.id.as_str());
    command.env("NOMAD_JOB_NAME", recorded.id.as_str());
    command.env("NOMAD_JOB_PARENT_ID", recorded.id.builder());
    command.env("NOMAD_NAMESPACE", &settings.namespace);
    command.env("NOMAD_REGION", "global").env("NOMAD_DC", "local");
    command.env("NOMAD_GROUP_NAME", GROUP);
    command.env("NOMAD_ALLOC_ID", &recorded.allocation);
    command.env("NOMAD_ALLOC_DIR", build.dir.join(rooms::ALLOC));
    for (key, value) in &recorded.meta {
        command.env(format!("NOMAD_META_{key}"), value);
    }
    if let Some(path) = &settings.script_path {
        command.env("ALBATROS_PATH", path);
    }
    match source::of(shared, build) {
        // A job that wants no files has an empty workspace, whatever there is.
        _ if recorded.job.as_ref().is_some_and(|job| !job.checkout) => {
            command.env("ALBATROS_LOCAL_WORKSPACE", "true");
        }
        Some(source) => {
            source.place(build).await?;
            tell(source, &mut command);
        }
        None => {}
    }
    if recorded.job.as_ref().is_some_and(|job| job.service) {
        // Its connections come from the controller of the build that started it, on this machine too.
        command.env(rooms::LISTEN, "127.0.0.1:0");
    }
    if let Some(image) = recorded.job.as_ref().and_then(|job| job.image.as_deref()) {
        container(shared, build, image, &mut command).await?;
    }
    command.spawn()
}

/// Tells the executor which container its script is to be run in, or that there is none.
async fn container(shared: &Shared, build: &Build, image: &str, command: &mut Command) -> io::Result<()> {
    match shared.containers.container(build, image).await {
        Some(container) => {
            build.change(|state| state.container = Some(container.name.clone()))?;
            command.env(container::VARIABLE, serde_json::to_string(&container)?);
        }
        None => {
            let said = format!("no docker or podman here: image {image} is not used");
            command.env(container::MISSING, said);
        }
    }
    Ok(())
}

/// Tells `prepare` where its files come from.
fn tell(source: &LocalSource, command: &mut Command) {
    let repository = match source {
        LocalSource::Repository(repository) => Some(repository),
        LocalSource::Files(files) => {
            command.env("ALBATROS_LOCAL_WORKSPACE", "true");
            files.history.as_ref()
        }
    };
    if let Some(repository) = repository {
        command.env("ALBATROS_LOCAL_SOURCE", repository);
    }
}
