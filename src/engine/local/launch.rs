//! A build from its turn to its end.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout};

use super::start::start;
use super::supervise::{Ending, GRACE, Identity, Length, end_strays};
use super::{Build, End, Shared, kept, rooms};
use crate::domain::grant::Grant;

/// How long a supervisor may take to end its build, before it is taken for stuck and killed.
pub(super) const PATIENCE: Duration = Duration::from_secs(GRACE.as_secs() + 30);
/// How often what is left of a build is hit again.
const TURNS: usize = 200;
/// Between two of those.
const PAUSE: Duration = Duration::from_millis(10);

/// Waits for a place, runs the build, and says how it ended.
pub(super) async fn to_the_end(shared: Arc<Shared>, build: Arc<Build>, limit: Duration, grant: Grant) {
    let place = tokio::select! {
        biased;
        () = build.stop_asked() => None,
        place = shared.places.turn(&build) => place,
    };
    let Some(_place) = place else {
        shared.change(&build, |state| state.end = Some(End::NeverStarted));
        return;
    };
    let end = match start(&shared, &build, limit).await {
        Ok(child) => {
            build.supervised_by(child.id().and_then(Identity::of));
            shared.change(&build, |state| state.started = Some(Timestamp::now()));
            wait(&shared, &build, child, grant).await
        }
        Err(error) => End::Failed(error.to_string()),
    };
    if let Err(error) = kept::keep(shared.settings.keep.as_ref(), &build, &end) {
        tracing::warn!(build = %build.id(), %error, "the workspace of a build could not be kept");
    }
    shared.change(&build, |state| state.end = Some(end));
    clear(&build).await;
}

/// The supervisor's end; its standard input is dropped, which ends the build, once somebody asks for that.
async fn wait(shared: &Shared, build: &Build, mut child: Child, grant: Grant) -> End {
    let (owner, said) = (child.stdin.take(), child.stdout.take());
    let course = async {
        // Kept for as long as the build may run.
        let _owner = hand_over(owner, grant).await;
        if let Some(script) = script_began(said).await {
            shared.change(build, |state| state.script = Some(script));
        }
        let _ = child.wait().await;
    };
    tokio::select! {
        () = course => {}
        () = build.stop_asked() => {
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
    if let Some(container) = build.state().container {
        shared.containers.remove(&container).await;
    }
    End::Lost
}

/// Gives the supervisor what is for the controller, and gives back its pipe. One that has ended is noticed by its end.
async fn hand_over(owner: Option<ChildStdin>, grant: Grant) -> Option<ChildStdin> {
    let mut owner = owner?;
    let wire = grant.to_wire().unwrap_or_default();
    drop(grant);
    let length = Length::try_from(wire.len()).unwrap_or_default();
    if owner.write_all(&length.to_be_bytes()).await.is_ok() {
        let _ = owner.write_all(&wire).await;
    }
    Some(owner)
}

/// When the executor was started; none when the supervisor ended before that.
async fn script_began(said: Option<ChildStdout>) -> Option<Timestamp> {
    let mut line = String::new();
    BufReader::new(said?).read_line(&mut line).await.ok()?;
    line.trim().parse().ok()
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
