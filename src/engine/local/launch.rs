//! A build from its turn to its end.

use std::io;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::process::{Child, Command};

use super::supervise::{Ending, GRACE, Identity, end_strays};
use super::{Build, End, LocalSource, Shared, rooms};
use crate::domain::outcome::{EXECUTOR, GROUP};
use crate::domain::secret::Secret;

/// How long a supervisor may take to end its build, before it is taken for stuck and killed.
pub(super) const PATIENCE: Duration = Duration::from_secs(GRACE.as_secs() + 30);
/// How often what is left of a build is hit again.
const TURNS: usize = 200;
/// Between two of those.
const PAUSE: Duration = Duration::from_millis(10);

/// Waits for a place, runs the build, and says how it ended.
pub(super) async fn to_the_end(shared: Arc<Shared>, build: Arc<Build>, limit: Duration, secrets: Option<Secret>) {
    let permit = tokio::select! {
        biased;
        () = build.stop_asked() => None,
        permit = shared.slots.acquire() => permit.ok(),
    };
    let Some(_permit) = permit else {
        shared.change(&build, |state| state.end = Some(End::NeverStarted));
        return;
    };
    let end = match start(&shared, &build, limit, secrets.as_ref()) {
        Ok(child) => {
            drop(secrets);
            build.supervised_by(child.id().and_then(Identity::of));
            shared.change(&build, |state| state.started = Some(Timestamp::now()));
            wait(&build, child).await
        }
        Err(error) => End::Failed(error.to_string()),
    };
    shared.change(&build, |state| state.end = Some(end));
    clear(&build).await;
}

/// The supervisor's end; its standard input is dropped, which ends the build, once somebody asks for that.
async fn wait(build: &Build, mut child: Child) -> End {
    let owner = child.stdin.take();
    tokio::select! {
        _ = child.wait() => {}
        () = build.stop_asked() => {
            drop(owner);
            if tokio::time::timeout(PATIENCE, child.wait()).await.is_err() {
                // A process that cannot be killed is waited for by nobody.
                let _ = child.kill().await;
            }
        }
    }
    if let Some(ending) = Ending::read(&build.dir) {
        return End::Told(ending);
    }
    end_all_strays(build).await;
    End::Lost
}

/// Ends what a dead supervisor has left.
pub(super) async fn end_all_strays(build: &Build) {
    for _turn in 0..TURNS {
        if end_strays(build.id().as_str(), &build.dir) == 0 {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
    tracing::error!(build = %build.id(), "processes of a build that is over could not be ended");
}

/// Off the runtime: a workspace may be large.
pub(super) async fn clear(build: &Build) {
    let dir = build.dir.clone();
    let cleared = tokio::task::spawn_blocking(move || rooms::clear(&dir)).await;
    if let Ok(Err(error)) = cleared {
        tracing::warn!(build = %build.id(), %error, "the files of a build could not be removed");
    }
}

fn start(shared: &Shared, build: &Build, limit: Duration, secrets: Option<&Secret>) -> io::Result<Child> {
    let file = rooms::make(&build.dir, secrets)?;
    let recorded = build.recorded();
    let settings = &shared.settings;
    let mut command = Command::new(&settings.program);
    command.arg("supervise").arg(&build.dir).arg("--limit-ms").arg(limit.as_millis().to_string());
    command.env_clear().current_dir(&build.dir).process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::inherit());
    command.envs(settings.git_vars.iter().map(|(name, value)| (name, value)));
    command.env("PATH", &settings.path);
    command.env("NOMAD_JOB_ID", recorded.id.as_str());
    command.env("NOMAD_JOB_NAME", recorded.id.as_str());
    command.env("NOMAD_JOB_PARENT_ID", recorded.id.builder());
    command.env("NOMAD_NAMESPACE", &settings.namespace);
    command.env("NOMAD_REGION", "global").env("NOMAD_DC", "local");
    command.env("NOMAD_GROUP_NAME", GROUP).env("NOMAD_TASK_NAME", EXECUTOR);
    command.env("NOMAD_ALLOC_ID", &recorded.allocation);
    command.env("NOMAD_ALLOC_DIR", build.dir.join(rooms::ALLOC));
    command.env("NOMAD_TASK_DIR", build.dir.join(rooms::LOCAL));
    command.env("NOMAD_SECRETS_DIR", build.dir.join(rooms::SECRETS));
    for (key, value) in &recorded.meta {
        command.env(format!("NOMAD_META_{key}"), value);
    }
    if let Some(file) = file {
        command.env("SECRET_PATH", file);
    }
    if let Some(path) = &settings.script_path {
        command.env("ALBATROS_PATH", path);
    }
    if let Some(source) = recorded.meta.get("REPO_URL").and_then(|url| settings.sources.get(url)) {
        hand_over(source, build, &mut command)?;
    }
    command.spawn()
}

/// Tells `exec` where its files come from.
fn hand_over(source: &LocalSource, build: &Build, command: &mut Command) -> io::Result<()> {
    let repository = match source {
        LocalSource::Repository(repository) => Some(repository),
        LocalSource::Files { files, history } => {
            std::fs::rename(files, build.dir.join(rooms::ALLOC).join("workspace"))?;
            command.env("ALBATROS_LOCAL_WORKSPACE", "true");
            history.as_ref()
        }
    };
    if let Some(repository) = repository {
        command.env("ALBATROS_LOCAL_SOURCE", repository);
    }
    Ok(())
}
