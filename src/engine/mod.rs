//! Where builds run: a Nomad cluster, or child processes of this one. Both answer in Nomad's words.

mod local;
mod nomad;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use crate::domain::builder::BuilderShape;
use crate::domain::grant::Grant;
use crate::domain::id::{BuildId, BuilderName, ClaimId};
use crate::domain::identity::{Identity, IdentityError};
use crate::domain::nomad::{Allocation, Job, Snapshot};
use crate::domain::secret::Secret;

pub use local::{
    Keep, LocalEngine, LocalError, LocalFiles, LocalSettings, LocalSource, SuperviseError, SuperviseSettings,
    remove_tree, supervise,
};
pub use nomad::NomadEngine;

/// Nomad's hints come in bursts, a dozen at a build's start; one read answers for all of them.
const READS_APART: Duration = Duration::from_millis(200);

/// What is to be dispatched: the plan, fitted to the builder.
#[derive(Debug, Clone)]
pub struct Order {
    /// The idempotency token.
    pub claim: ClaimId,
    /// The builder.
    pub builder: BuilderName,
    /// Exactly what is sent as meta.
    pub meta: BTreeMap<String, String>,
    /// The payload, byte for byte.
    pub payload: Option<Secret>,
    /// The longest the executor may run; the local engine enforces it itself, on Nomad `serve` does.
    pub timeout: Duration,
    /// What the build may have; for the local engine alone, whose controller is handed it at its start. On Nomad the
    /// controller asks for it.
    pub grant: Option<Grant>,
}

/// Why a dispatch did not happen.
#[derive(Debug, thiserror::Error)]
pub enum DispatchError {
    /// It will never work as things stand; the sentence is for the person who pushed.
    #[error("{0}")]
    Permanent(String),
    /// The child under our token is not what we asked for: somebody else dispatched it, or with other values.
    #[error("a build that Albatros did not start holds this change's token: {0}")]
    NotOurs(String),
    /// Try again.
    #[error("the build could not be dispatched now")]
    Passing(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Why the engine did not answer.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// No such thing.
    #[error("{0} is not known")]
    Unknown(String),
    /// It could not be asked; a later try may succeed.
    #[error("the engine cannot be reached")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A right is missing, or the request makes no sense to it.
    #[error("the engine refused: {0}")]
    Refused(String),
}

/// Why nobody knows who the bearer of a token is.
#[derive(Debug, thiserror::Error)]
pub enum IdentifyError {
    /// Builds here have no identities: they are given what they may have at their start.
    #[error("builds of this server have no identities")]
    None,
    /// It is not a token of this cluster for us, or not any more.
    #[error(transparent)]
    Refused(#[from] IdentityError),
    /// The engine's keys could not be read; a later try may succeed.
    #[error("the engine's keys cannot be read")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// An allocation and the job that it is one of, as they are now.
#[derive(Debug, Clone)]
pub struct Placed {
    /// The allocation, of whatever namespace.
    pub allocation: Allocation,
    /// The job of that id in our namespace.
    pub job: Job,
}

/// Which of a task's two streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LogStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A piece of a log on its way in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogPiece {
    /// Bytes, in order, none left out.
    Data(Bytes),
    /// Something is missing here, in words for people ("12 MB were rotated away").
    Gap(String),
    /// Nothing to read yet, and why ("waiting for a node"); said once for each reason.
    Waiting(String),
    /// The task has ended and all of it has been read.
    End,
    /// There is no log and never will be, in words for people (collected, never started).
    Never(String),
}

/// A log being read: call [`LogSource::next`] until it gives `End` or `Never`.
#[derive(Debug)]
pub struct LogSource {
    pieces: tokio::sync::mpsc::Receiver<LogPiece>,
}

impl LogSource {
    /// A source fed by a task of its engine; the channel's bound is what keeps memory flat.
    #[must_use]
    pub fn new(pieces: tokio::sync::mpsc::Receiver<LogPiece>) -> Self {
        Self { pieces }
    }

    /// One that says why there is no log, and nothing else.
    #[must_use]
    pub fn never(why: &str) -> Self {
        let (to, pieces) = tokio::sync::mpsc::channel(1);
        // There is room for one.
        drop(to.try_send(LogPiece::Never(why.to_owned())));
        Self::new(pieces)
    }

    /// The next piece; none when the engine gave up, which a reader is told as a gap.
    pub async fn next(&mut self) -> Option<LogPiece> {
        self.pieces.recv().await
    }
}

/// A child in a list.
#[derive(Debug, Clone)]
pub struct Child {
    /// Its id.
    pub id: BuildId,
    /// The token it was dispatched with, where the list tells it.
    pub token: Option<String>,
    /// Nanoseconds since 1970.
    pub submit_time: i64,
}

/// Something about this build may have changed. Only a hint: it may be missing, late or double.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hint {
    /// This build.
    Build(BuildId),
    /// The stream broke or began: read all again.
    All,
}

/// Nomad or this machine.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a process has one, for as long as it runs")]
pub enum Engine {
    /// A cluster.
    Nomad(NomadEngine),
    /// This machine.
    Local(LocalEngine),
}

/// One call to the backend that is in use.
macro_rules! each {
    ($self:ident, $name:ident ( $($arg:expr),* )) => {
        match $self {
            Engine::Nomad(one) => one.$name($($arg),*).await,
            Engine::Local(one) => one.$name($($arg),*).await,
        }
    };
}

impl Engine {
    /// What the builder takes; kept for a short time by its modify index.
    ///
    /// # Errors
    /// [`EngineError::Unknown`] when there is no such parameterized job.
    pub async fn builder(&self, name: &BuilderName) -> Result<BuilderShape, EngineError> {
        each!(self, builder(name))
    }

    /// The names of builders that there are, for who has mistyped one; not more than one page of them.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn builders(&self) -> Result<Vec<String>, EngineError> {
        each!(self, builders())
    }

    /// Dispatches with the claim as idempotency token, and reads the child back: parent, every meta value, payload and
    /// token must equal the order.
    ///
    /// # Errors
    /// See [`DispatchError`].
    pub async fn dispatch(&self, order: &Order) -> Result<BuildId, DispatchError> {
        each!(self, dispatch(order))
    }

    /// Job, allocations and evaluations, read in that order.
    ///
    /// # Errors
    /// When the engine does not answer; a job that is gone is no error.
    pub async fn observe(&self, build: &BuildId) -> Result<Snapshot, EngineError> {
        each!(self, observe(build))
    }

    /// The builder's child with this token, submitted since `since` (nanoseconds since 1970, less a minute for clocks).
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn find(
        &self,
        builder: &BuilderName,
        token: &ClaimId,
        since: i64,
    ) -> Result<Option<BuildId>, EngineError> {
        each!(self, find(builder, token, since))
    }

    /// The builder's children, newest first, at most `most`.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn children(&self, builder: &BuilderName, most: usize) -> Result<Vec<Child>, EngineError> {
        each!(self, children(builder, most))
    }

    /// Stops a build, never purging it. A build that is over or unknown is no error.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn stop(&self, build: &BuildId) -> Result<(), EngineError> {
        each!(self, stop(build))
    }

    /// Reads one stream of the executor's log from its first byte to its end, live.
    ///
    /// # Errors
    /// [`EngineError::Unknown`] when there is no such build.
    pub async fn log(&self, build: &BuildId, task: &str, stream: LogStream) -> Result<LogSource, EngineError> {
        each!(self, log(build, task, stream))
    }

    /// How long after one read of a build the next one may come that a hint asks for.
    #[must_use]
    pub fn reads_apart(&self) -> Duration {
        match self {
            Self::Nomad(_) => READS_APART,
            // It is a look into memory.
            Self::Local(_) => Duration::ZERO,
        }
    }

    /// Hints about builds, without end; reconnects by itself.
    pub async fn hints(&self) -> tokio::sync::mpsc::Receiver<Hint> {
        each!(self, hints())
    }

    /// What the token of a workload says, once it is checked.
    ///
    /// # Errors
    /// See [`IdentifyError`].
    pub async fn identify(&self, token: &Secret) -> Result<Identity, IdentifyError> {
        each!(self, identify(token))
    }

    /// An allocation with its job; none where either is not there.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn placed(&self, allocation: &str) -> Result<Option<Placed>, EngineError> {
        each!(self, placed(allocation))
    }

    /// The rights that are missing, a sentence each; empty when all is well.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn check(&self) -> Result<Vec<String>, EngineError> {
        each!(self, check())
    }
}
