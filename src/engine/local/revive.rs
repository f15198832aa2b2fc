//! What an earlier engine has left in a data directory: its ended builds to tell of, its running ones to end.

use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::{Timestamp, ToSpan as _};
use rustix::fs::FlockOperation;
use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use super::launch::{clear, end_all_strays};
use super::supervise::{Ending, GRACE, Why};
use super::{Build, Builds, End, LocalError, Shared, rooms};

/// How long an ended build is kept, in hours: a day more than its claim.
const KEPT_HOURS: i64 = 8 * 24;
/// How long a supervisor that has seen its owner die may take to end its build.
const LAST_GRACE: Duration = Duration::from_secs(GRACE.as_secs() + 2);
/// Between two looks at it.
const LOOK: Duration = Duration::from_millis(20);

/// Locks the directory and reads what is in it; what is old goes.
pub(super) fn open(data: &Path) -> Result<(std::fs::File, Builds), LocalError> {
    let failed = |error| LocalError::Data(data.to_owned(), error);
    let builds = data.join("builds");
    DirBuilder::new().recursive(true).mode(0o700).create(&builds).map_err(failed)?;
    let lock = OpenOptions::new().write(true).create(true).truncate(false).open(builds.join("lock")).map_err(failed)?;
    match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Err(rustix::io::Errno::WOULDBLOCK) => return Err(LocalError::InUse(data.to_owned())),
        Err(error) => return Err(failed(error.into())),
        Ok(()) => {}
    }
    Ok((lock, read(&builds).map_err(failed)?))
}

fn read(dir: &Path) -> io::Result<Builds> {
    let mut all = Builds::default();
    let oldest = Timestamp::now() - KEPT_HOURS.hours();
    for entry in std::fs::read_dir(dir)? {
        let Some(build) = Build::load(&entry?.path()) else { continue };
        let recorded = build.recorded();
        if recorded.submitted < oldest && recorded.state.end.is_some() {
            rooms::remove(&build.dir)?;
            continue;
        }
        all.by_claim.insert(recorded.claim, recorded.id.clone());
        all.by_id.insert(recorded.id, Arc::new(build));
    }
    Ok(all)
}

/// Ends what remains of a build whose engine was killed. What had ended by itself before that keeps its outcome.
pub(super) async fn bury(shared: Arc<Shared>, build: Arc<Build>) {
    if let Some(supervisor) = build.recorded().supervisor {
        let end = Instant::now() + LAST_GRACE;
        while supervisor.is_alive() && Instant::now() < end {
            sleep(LOOK).await;
        }
        supervisor.signal(Signal::KILL);
    }
    end_all_strays(&build).await;
    if let Some(container) = build.state().container {
        shared.containers.remove(&container).await;
    }
    let end = match Ending::read(&build.dir) {
        // A supervisor whose owner died was not told to stop by anybody.
        Some(ending) if ending.why != Why::Stopped || build.state().stop => End::Told(ending),
        Some(_) | None => End::Lost,
    };
    shared.change(&build, |state| state.end = Some(end));
    clear(&build).await;
}
