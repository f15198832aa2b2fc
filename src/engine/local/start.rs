//! A build's supervisor and its rooms, as its turn comes.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};

use super::{Build, LocalSource, Shared, rooms};
use crate::domain::outcome::GROUP;
use crate::domain::runner::WORKSPACE;

/// Starts the supervisor, with what Nomad would tell its tasks.
pub(super) fn start(shared: &Shared, build: &Build, limit: Duration) -> io::Result<Child> {
    rooms::make(&build.dir)?;
    let recorded = build.recorded();
    let settings = &shared.settings;
    let mut command = Command::new(&settings.program);
    command.arg("supervise").arg(&build.dir).arg("--limit-ms").arg(limit.as_millis().to_string());
    command.env_clear().current_dir(&build.dir).process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    command.envs(settings.git_vars.iter().map(|(name, value)| (name, value)));
    command.env("PATH", &settings.path);
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
    if let Some(source) = recorded.meta.get("REPO_URL").and_then(|url| settings.sources.get(url)) {
        give(source, build, &mut command)?;
    }
    command.spawn()
}

/// Tells `prepare` where its files come from.
fn give(source: &LocalSource, build: &Build, command: &mut Command) -> io::Result<()> {
    let repository = match source {
        LocalSource::Repository(repository) => Some(repository),
        LocalSource::Files { files, history } => {
            std::fs::rename(files, build.dir.join(rooms::ALLOC).join(WORKSPACE))?;
            command.env("ALBATROS_LOCAL_WORKSPACE", "true");
            history.as_ref()
        }
    };
    if let Some(repository) = repository {
        command.env("ALBATROS_LOCAL_SOURCE", repository);
    }
    Ok(())
}
