//! One local build: what is written down of it, and how far it is.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::files;
use super::supervise::{Ending, Identity};
use crate::domain::id::{BuildId, ClaimId, JobName};
use crate::domain::job::JobSpec;

/// The record's name in the build's directory.
const FILE: &str = "build.json";

/// What is written down of a build: enough for the next server. Never its secrets.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Recorded {
    pub(super) id: BuildId,
    pub(super) claim: ClaimId,
    pub(super) meta: BTreeMap<String, String>,
    /// What of it is a job's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) job: Option<Job>,
    pub(super) submitted: Timestamp,
    pub(super) allocation: String,
    #[serde(default)]
    pub(super) supervisor: Option<Identity>,
    #[serde(default)]
    pub(super) state: State,
}

/// What a build is that another one has started.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Job {
    pub(super) name: JobName,
    pub(super) service: bool,
    pub(super) image: Option<String>,
    /// Its files are the commit's.
    pub(super) checkout: bool,
}

impl Job {
    pub(super) fn of(spec: &JobSpec) -> Self {
        Self {
            name: spec.name.clone(),
            service: spec.service,
            image: spec.image.clone(),
            checkout: spec.checkout.unwrap_or(!spec.service),
        }
    }
}

/// How far a build is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    /// When its turn came: its first tasks were started.
    #[serde(default)]
    pub(super) started: Option<Timestamp>,
    /// When the executor was started.
    #[serde(default)]
    pub(super) script: Option<Timestamp>,
    /// The container of its script, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) container: Option<String>,
    /// Somebody asked for its end.
    #[serde(default)]
    pub(super) stop: bool,
    /// How it ended.
    #[serde(default)]
    pub(super) end: Option<End>,
}

/// How a build ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum End {
    /// Its supervisor wrote it down.
    Told(Ending),
    /// Stopped while it waited for its turn.
    NeverStarted,
    /// Its server or its supervisor was killed.
    Lost,
    /// The supervisor could not be started, and why.
    Failed(String),
}

/// A build in memory.
#[derive(Debug)]
pub(super) struct Build {
    pub(super) dir: PathBuf,
    /// What never changes, and the supervisor as it was last written down.
    recorded: std::sync::Mutex<Recorded>,
    state: watch::Sender<State>,
}

impl Build {
    /// Writes a new build down.
    pub(super) fn create(dir: PathBuf, recorded: Recorded) -> io::Result<Self> {
        std::fs::create_dir_all(&dir)?;
        let build = Self::new(dir, recorded);
        build.save()?;
        Ok(build)
    }

    /// A build that an earlier server wrote down.
    pub(super) fn load(dir: &Path) -> Option<Self> {
        let recorded = files::read_json::<Recorded>(&dir.join(FILE)).ok()??;
        Some(Self::new(dir.to_owned(), recorded))
    }

    fn new(dir: PathBuf, recorded: Recorded) -> Self {
        let (state, _) = watch::channel(recorded.state.clone());
        Self { dir, recorded: std::sync::Mutex::new(recorded), state }
    }

    pub(super) fn recorded(&self) -> Recorded {
        let mut now = self.lock().clone();
        now.state = self.state.borrow().clone();
        now
    }

    pub(super) fn id(&self) -> BuildId {
        self.lock().id.clone()
    }

    pub(super) fn state(&self) -> State {
        self.state.borrow().clone()
    }

    pub(super) fn watch(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// Waits until somebody asks for its end.
    pub(super) async fn stop_asked(&self) {
        let mut state = self.state.subscribe();
        while !state.borrow_and_update().stop {
            if state.changed().await.is_err() {
                return;
            }
        }
    }

    /// Changes the state and writes it down; a state that could not be written holds in memory all the same.
    pub(super) fn change(&self, change: impl FnOnce(&mut State)) -> io::Result<()> {
        self.state.send_modify(change);
        self.save()
    }

    /// Who to look for, should this server be killed.
    pub(super) fn supervised_by(&self, supervisor: Option<Identity>) {
        self.lock().supervisor = supervisor;
    }

    fn save(&self) -> io::Result<()> {
        // Under the lock, so that an older state is never written over a newer one.
        let mut recorded = self.lock();
        recorded.state = self.state.borrow().clone();
        files::write_json(&self.dir.join(FILE), &*recorded)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Recorded> {
        self.recorded.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
