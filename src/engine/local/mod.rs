//! Builds as child processes of this machine, in Nomad's words: nothing above the engine sees a difference.
//!
//! ```text
//! engine ──grant──▶ albatros supervise ──▶ controller, sidecar, sidecar prepare; then exec ──▶ .albatros
//!    └─ watches ◀── stdout, stderr, ending.json in <data>/builds/dispatch-…/
//! ```
//! The engine holds the other end of the supervisor's standard input: dropping it, by will or by death, ends the build.

mod build;
mod containers;
mod files;
mod follow;
mod kept;
mod launch;
mod places;
mod revive;
mod rooms;
mod source;
mod start;
mod supervise;
mod task_states;
mod words;

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::mpsc;

pub use kept::Keep;
pub use rooms::remove as remove_tree;
pub use source::{LocalFiles, LocalSource};
pub use supervise::{SuperviseError, SuperviseSettings, run as supervise};

use self::build::{Build, End, Job, Recorded, State};
use self::containers::Containers;
use self::places::Places;
use super::{Child, DispatchError, EngineError, Hint, IdentifyError, LogSource, LogStream, Order, Placed};
use crate::domain::builder::{ALWAYS, BuilderShape, PayloadMode};
use crate::domain::id::{BuildId, BuilderName, ClaimId};
use crate::domain::identity::Identity;
use crate::domain::nomad::Snapshot;
use crate::domain::outcome::EXECUTOR;
use crate::domain::runner::{PREPARE, SIDECAR};
use crate::domain::secret::Secret;

/// What a local engine was told.
#[derive(Debug, Clone)]
pub struct LocalSettings {
    /// Builds and their logs are kept below this directory.
    pub data: PathBuf,
    /// This program; `/proc/self/exe` stays right when the file is replaced.
    pub program: PathBuf,
    /// How many builds run at once; at least one does.
    pub builds: usize,
    /// How many of their jobs run at once, services not counted; at least one does.
    pub jobs: usize,
    /// `PATH` of git.
    pub path: OsString,
    /// `PATH` of scripts; none for `exec`'s own default.
    pub script_path: Option<OsString>,
    /// What git alone is given: proxies, certificates.
    pub git_vars: Vec<(OsString, OsString)>,
    /// What docker or podman are given: where they are, and their user's settings.
    pub container_vars: Vec<(OsString, OsString)>,
    /// Nomad's namespace, region: only words here.
    pub namespace: String,
    /// What becomes of workspaces; none when they go with their builds.
    pub keep: Option<Keep>,
    /// Where the repositories are that are on this machine, by REPO_URL; all others are fetched.
    pub sources: BTreeMap<String, LocalSource>,
}

/// Why a local engine cannot work.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// Another process has the directory.
    #[error("{0} is in use by another albatros: end that one, or choose another with --data")]
    InUse(PathBuf),
    /// The directory cannot be used.
    #[error("{0} cannot be used for builds")]
    Data(PathBuf, #[source] io::Error),
}

/// Builds as child processes of this one.
#[derive(Debug)]
pub struct LocalEngine {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    settings: LocalSettings,
    places: Places,
    containers: Containers,
    builds: Mutex<Builds>,
    watchers: Mutex<Vec<mpsc::Sender<Hint>>>,
    /// Held for as long as this engine lives: two of them would end each other's builds.
    _lock: File,
}

#[derive(Debug, Default)]
struct Builds {
    by_id: BTreeMap<BuildId, Arc<Build>>,
    by_claim: HashMap<ClaimId, BuildId>,
}

/// Hints that may wait for a reader; one that is dropped is only late.
const HINTS: usize = 256;

impl LocalEngine {
    /// Opens a data directory, and ends what an engine that was killed has left running.
    ///
    /// # Errors
    /// When the directory cannot be used, or another process uses it.
    pub fn open(settings: LocalSettings) -> Result<Self, LocalError> {
        let (lock, builds) = revive::open(&settings.data)?;
        let (places, containers) = (Places::of(&settings), Containers::of(&settings));
        let watchers = Mutex::default();
        let shared =
            Arc::new(Shared { settings, places, containers, builds: Mutex::new(builds), watchers, _lock: lock });
        for build in shared.all() {
            if build.state().end.is_none() {
                tokio::spawn(revive::bury(shared.clone(), build));
            }
        }
        Ok(Self { shared })
    }

    /// Ends all builds, and waits until nothing of them is left.
    pub async fn end_all(&self) {
        let open: Vec<_> = self.shared.all().into_iter().filter(|build| build.state().end.is_none()).collect();
        for build in &open {
            self.shared.change(build, |state| state.stop = true);
        }
        for build in open {
            let mut state = build.watch();
            // Whoever ends it is bounded, and gives a reason in any case.
            let _ = state.wait_for(|state| state.end.is_some()).await;
        }
    }

    fn known(&self, build: &BuildId) -> Result<Arc<Build>, EngineError> {
        self.shared.get(build).ok_or_else(|| EngineError::Unknown(build.to_string()))
    }

    pub(super) async fn builder(&self, _name: &BuilderName) -> Result<BuilderShape, EngineError> {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Ok(BuilderShape {
            meta_required: words(&ALWAYS),
            meta_optional: words(&["REF", "EVENT", "SENDER", "PULL_REQUEST", "TRUSTED", "ALBATROS_CLAIM", "IMAGE"]),
            payload: PayloadMode::Optional,
            has_controller: true,
            modify_index: 1,
        })
    }

    /// Any name will do here, so none can be mistyped.
    pub(super) async fn builders(&self) -> Result<Vec<String>, EngineError> {
        Ok(Vec::new())
    }

    pub(super) async fn dispatch(&self, order: &Order) -> Result<BuildId, DispatchError> {
        let Some(grant) = order.grant.clone() else {
            return Err(DispatchError::Permanent(
                "a build on this machine needs to be told what it is given".to_owned(),
            ));
        };
        let mut builds = self.shared.lock();
        if let Some(build) = builds.by_claim.get(&order.claim).and_then(|id| builds.by_id.get(id)) {
            let recorded = build.recorded();
            if recorded.meta != order.meta || recorded.id.builder() != order.builder.as_str() {
                return Err(DispatchError::NotOurs(recorded.id.to_string()));
            }
            return Ok(recorded.id);
        }
        let job = grant.job.as_deref().map(Job::of);
        let build = self.shared.record(order, job).map_err(|error| DispatchError::Passing(Box::new(error)))?;
        let id = build.id();
        let build = Arc::new(build);
        builds.by_claim.insert(order.claim.clone(), id.clone());
        builds.by_id.insert(id.clone(), build.clone());
        drop(builds);
        tokio::spawn(launch::to_the_end(self.shared.clone(), build, order.timeout, grant));
        Ok(id)
    }

    pub(super) async fn observe(&self, build: &BuildId) -> Result<Snapshot, EngineError> {
        Ok(self.shared.get(build).map(|build| words::snapshot(&build.recorded(), &self.shared)).unwrap_or_default())
    }

    pub(super) async fn find(
        &self,
        builder: &BuilderName,
        token: &ClaimId,
        _since: i64,
    ) -> Result<Option<BuildId>, EngineError> {
        let found = self.shared.lock().by_claim.get(token).cloned();
        Ok(found.filter(|id| id.builder() == builder.as_str()))
    }

    pub(super) async fn children(&self, builder: &BuilderName, most: usize) -> Result<Vec<Child>, EngineError> {
        let all = self.shared.all().into_iter().map(|build| build.recorded());
        let mut children: Vec<Child> = all
            .filter(|one| one.id.builder() == builder.as_str())
            .map(|one| Child {
                submit_time: words::nanoseconds(one.submitted),
                token: Some(one.claim.to_string()),
                id: one.id,
            })
            .collect();
        children.sort_by_key(|child| std::cmp::Reverse(child.submit_time));
        children.truncate(most);
        Ok(children)
    }

    pub(super) async fn stop(&self, build: &BuildId) -> Result<(), EngineError> {
        let Some(build) = self.shared.get(build) else { return Ok(()) };
        if build.state().end.is_some() {
            return Ok(());
        }
        build.change(|state| state.stop = true).map_err(|error| EngineError::Unavailable(Box::new(error)))
    }

    pub(super) async fn log(&self, build: &BuildId, task: &str, stream: LogStream) -> Result<LogSource, EngineError> {
        // The controller's is for whoever owns the machine: it is in the build's directory.
        let Some(task) = [EXECUTOR, PREPARE, SIDECAR].into_iter().find(|known| *known == task) else {
            return Err(EngineError::Unknown(format!("task {task}")));
        };
        Ok(follow::log(&self.known(build)?, task, stream))
    }

    pub(super) async fn hints(&self) -> mpsc::Receiver<Hint> {
        let (sender, receiver) = mpsc::channel(HINTS);
        // The channel is new and empty.
        let _ = sender.try_send(Hint::All);
        self.shared.watchers().push(sender);
        receiver
    }

    pub(super) async fn identify(&self, _token: &Secret) -> Result<Identity, IdentifyError> {
        Err(IdentifyError::None)
    }

    pub(super) async fn placed(&self, _allocation: &str) -> Result<Option<Placed>, EngineError> {
        Ok(None)
    }

    pub(super) async fn check(&self) -> Result<Vec<String>, EngineError> {
        let path = &self.shared.settings.path;
        let found = std::env::split_paths(path).any(|dir| dir.join("git").is_file());
        Ok(if found { Vec::new() } else { vec!["git is not installed: no build can be checked out".to_owned()] })
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Builds> {
        self.builds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watchers(&self) -> MutexGuard<'_, Vec<mpsc::Sender<Hint>>> {
        self.watchers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, build: &BuildId) -> Option<Arc<Build>> {
        self.lock().by_id.get(build).cloned()
    }

    fn all(&self) -> Vec<Arc<Build>> {
        self.lock().by_id.values().cloned().collect()
    }

    /// Changes a build's state, and tells whoever listens.
    fn change(&self, build: &Build, change: impl FnOnce(&mut State)) {
        if let Err(error) = build.change(change) {
            tracing::error!(build = %build.id(), %error, "the state of a build could not be written down");
        }
        self.hint(&build.id());
    }

    fn hint(&self, build: &BuildId) {
        self.watchers().retain(|watcher| {
            !matches!(watcher.try_send(Hint::Build(build.clone())), Err(mpsc::error::TrySendError::Closed(_)))
        });
    }

    fn record(&self, order: &Order, job: Option<Job>) -> io::Result<Build> {
        let now = Timestamp::now();
        let mut random = [0_u8; 20];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let hex = hex::encode(random);
        let (child, allocation) = hex.split_at_checked(8).unwrap_or_default();
        let child = format!("dispatch-{}-{child}", now.as_second());
        let id = format!("{}/{child}", order.builder).parse().map_err(io::Error::other)?;
        let dir = self.settings.data.join("builds").join(child);
        let recorded = Recorded {
            id,
            claim: order.claim.clone(),
            meta: order.meta.clone(),
            job,
            submitted: now,
            allocation: uuid(allocation),
            supervisor: None,
            state: State::default(),
        };
        Build::create(dir, recorded)
    }
}

/// 32 hexadecimal digits, as allocation ids are written.
fn uuid(hex: &str) -> String {
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
}
