//! A build's log, from its first byte to its end, whatever happens to connections, nodes and log files meanwhile.
//!
//! A build can have several attempts (a node was lost, the builder reschedules): they are read one after the other,
//! and where a later one begins is told.

mod attempt;
mod connection;
mod position;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, mpsc};
use tokio::time::sleep;

use self::attempt::Next;
use self::connection::{Connection, Poured};
use self::position::Position;
use super::super::{Hint, LogPiece, LogStream};
use crate::api::nomad::{Nomad, NomadError};
use crate::domain::id::BuildId;
use crate::domain::nomad::{Allocation, Snapshot};
use crate::domain::outcome::{EXECUTOR, Verdict, judge};

/// How long to wait for news of a build before looking by oneself.
const LOOK: Duration = Duration::from_secs(5);

/// The first pause before a log that does not begin, or broke off, is asked for again; doubled with each try in vain.
const PAUSE: Duration = Duration::from_millis(50);

/// The longest of these pauses.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The pause before a log that may begin at any moment is asked for again: its first line is what people wait for.
const EAGER_PAUSE: Duration = Duration::from_millis(100);

/// So many of these pauses; who pulls a large image will not start within moments.
const EAGER_TRIES: u32 = 50;

/// For how long Nomad may not answer at all before reading is given up.
const UNANSWERED: Duration = Duration::from_secs(600);

/// Tries in vain after which what a build that is over has not shown is given up.
const TRIES: u32 = 5;

/// Which log.
pub(super) struct Log {
    pub(super) build: BuildId,
    pub(super) task: String,
    pub(super) stream: LogStream,
}

/// Nobody reads any more, or it was given up: in both cases there is nothing left to do.
struct Gone;

/// How far an attempt's log was read.
enum Read {
    /// To its end, as far as that can be had; what is missing was told.
    Through,
    /// There is nothing to read of it, and why.
    Nothing(String),
}

/// Reads one log and passes it on.
pub(super) struct Follower {
    nomad: Nomad,
    log: Log,
    out: mpsc::Sender<LogPiece>,
    news: broadcast::Receiver<Hint>,
    /// What the reader was last told to wait for.
    waits_for: String,
}

impl Follower {
    pub(super) fn new(nomad: Nomad, log: Log, out: mpsc::Sender<LogPiece>, news: broadcast::Receiver<Hint>) -> Self {
        Self { nomad, log, out, news, waits_for: String::new() }
    }

    /// Returns once all is read, given up, or nobody reads any more.
    pub(super) async fn run(mut self, streams: Arc<Semaphore>) {
        let Ok(_permit) = self.permit(streams).await else {
            return;
        };
        let _ = self.follow().await;
    }

    async fn permit(&mut self, streams: Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Gone> {
        if let Ok(permit) = Arc::clone(&streams).try_acquire_owned() {
            return Ok(permit);
        }
        self.wait_for("one of the logs that are being read to end").await?;
        tokio::select! {
            permit = streams.acquire_owned() => permit.map_err(|_| Gone),
            () = self.out.closed() => Err(Gone),
        }
    }

    /// One attempt after the other.
    async fn follow(&mut self) -> Result<(), Gone> {
        let mut done = BTreeSet::new();
        let mut attempts = 0_u32;
        let mut nothing = None;
        loop {
            let snapshot = self.observe().await?;
            let verdict = judge(&snapshot, None);
            match attempt::next(&snapshot.allocations, &done, &self.log.task) {
                Next::Read(allocation) => {
                    if attempts > 0 {
                        self.tell(LogPiece::Gap(attempt::again(allocation, attempts + 1))).await?;
                    }
                    match self.read(allocation).await? {
                        Read::Through => attempts += 1,
                        Read::Nothing(why) => nothing = Some(why),
                    }
                    done.insert(allocation.id.clone());
                    // Only the executor's end may be followed by another attempt of it.
                    if self.log.task == EXECUTOR || attempts == 0 {
                        continue;
                    }
                    return self.tell(LogPiece::End).await;
                }
                Next::None if is_over(&verdict) => {
                    let last = match attempts {
                        0 => LogPiece::Never(nothing.unwrap_or_else(|| attempt::never(&verdict, &self.log.task))),
                        _ => LogPiece::End,
                    };
                    return self.tell(last).await;
                }
                Next::None => {
                    self.wait_for(&attempt::waits_for(&verdict)).await?;
                    self.news_or(LOOK).await?;
                }
            }
        }
    }

    /// All of one attempt's log, over as many connections as that takes.
    async fn read(&mut self, allocation: &Allocation) -> Result<Read, Gone> {
        let mut position = Position::default();
        let mut vain = 0_u32;
        let mut allocation = allocation.clone();
        loop {
            let before = position.read();
            let problem = match self.connect(&allocation, &mut position).await? {
                Ok(()) => return Ok(Read::Through),
                Err(problem) => problem,
            };
            vain = if position.read() > before { 1 } else { vain.saturating_add(1) };
            position.rewind();
            self.wait_for(&problem.waits_for(&self.log.task)).await?;
            // The node knows of a start before the servers do, so its log is asked for more often than they are.
            if !problem.is_eager(vain) || vain.is_multiple_of(10) {
                let snapshot = self.observe().await?;
                let found = snapshot.allocations.iter().find(|one| one.id == allocation.id);
                let left = found.is_none() || attempt::is_left(&snapshot, &allocation.id);
                let over = left || is_over(&judge(&snapshot, None));
                if over && (problem.is_final() || vain >= TRIES) {
                    return self.given_up(&position, problem).await;
                }
                allocation = found.unwrap_or(&allocation).clone();
            }
            self.news_or(problem.pause(vain)).await?;
        }
    }

    async fn given_up(&mut self, position: &Position, problem: Problem) -> Result<Read, Gone> {
        let why = problem.sentence(&self.log.task);
        if position.read() == 0 {
            return Ok(Read::Nothing(why));
        }
        self.tell(LogPiece::Gap(format!("the rest is missing: {why}"))).await?;
        Ok(Read::Through)
    }

    /// One connection, from its opening to its end.
    async fn connect(&mut self, allocation: &Allocation, position: &mut Position) -> Result<Result<(), Problem>, Gone> {
        let follow = !attempt::is_settled(allocation, &self.log.task, jiff::Timestamp::now());
        let stream = match self.log.stream {
            LogStream::Stdout => "stdout",
            LogStream::Stderr => "stderr",
        };
        let opened = tokio::select! {
            opened = self.nomad.log(&allocation.id, &self.log.task, stream, follow) => opened,
            () = self.out.closed() => return Err(Gone),
        };
        let frames = match opened {
            Ok(frames) => frames,
            Err(error) => return Ok(Err(Problem::of(error))),
        };
        let dead = attempt::is_dead(std::slice::from_ref(allocation), &allocation.id, &self.log.task);
        let mut connection = Connection { follower: self, allocation: &allocation.id, position, follow, dead };
        Ok(match connection.pour(frames).await? {
            Poured::All => Ok(()),
            Poured::Broken => Err(Problem::Broken),
        })
    }

    /// What there is to know of the build, however long it takes to be told.
    async fn observe(&mut self) -> Result<Snapshot, Gone> {
        let began = Instant::now();
        let mut pause = PAUSE;
        loop {
            let observed = tokio::select! {
                observed = super::observe(&self.nomad, &self.log.build) => observed,
                () = self.out.closed() => return Err(Gone),
            };
            match observed {
                Ok(snapshot) => return Ok(snapshot),
                Err(error) if began.elapsed() > UNANSWERED => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "a log is given up");
                    return Err(Gone);
                }
                Err(_) => {}
            }
            self.wait_for("Nomad to answer").await?;
            pause = (pause * 2).min(LONGEST_PAUSE);
            tokio::select! {
                () = sleep(pause) => {}
                () = self.out.closed() => return Err(Gone),
            }
        }
    }

    /// Returns when something may have happened to the build, or after `limit`.
    async fn news_or(&mut self, limit: Duration) -> Result<(), Gone> {
        let (news, build) = (&mut self.news, &self.log.build);
        tokio::select! {
            () = news_of(news, build) => Ok(()),
            () = sleep(limit) => Ok(()),
            () = self.out.closed() => Err(Gone),
        }
    }

    /// Tells the reader what is waited for, once.
    async fn wait_for(&mut self, what: &str) -> Result<(), Gone> {
        if self.waits_for == what {
            return Ok(());
        }
        what.clone_into(&mut self.waits_for);
        self.tell(LogPiece::Waiting(format!("waiting for {what}"))).await
    }

    async fn tell(&mut self, piece: LogPiece) -> Result<(), Gone> {
        self.out.send(piece).await.map_err(|_| Gone)
    }
}

/// Returns when something may have happened to the build. May be given up at any time.
async fn news_of(news: &mut broadcast::Receiver<Hint>, build: &BuildId) {
    loop {
        match news.recv().await {
            Ok(Hint::Build(other)) if other != *build => {}
            Ok(Hint::Build(_) | Hint::All) | Err(RecvError::Lagged(_)) => return,
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

fn is_over(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Ended(_))
}

/// Why a connection gave no log to its end.
enum Problem {
    /// The task has not started yet, as far as the node knows.
    NotStarted,
    /// The node has removed the log, or Nomad the allocation.
    Removed,
    /// The node cannot be reached.
    Unreachable,
    /// There is no such task.
    NoTask,
    /// The right is missing, or the agent has just started.
    Denied,
    /// It broke off, fell silent, or could not be opened.
    Broken,
}

impl Problem {
    /// By Nomad's text: its statuses do not tell these apart.
    fn of(error: NomadError) -> Self {
        let words = error.words();
        if error.is_denied() {
            Self::Denied
        } else if words.contains("not started yet") {
            Self::NotStarted
        } else if words.contains("No path to node") {
            Self::Unreachable
        } else if words.contains("unknown task name") {
            Self::NoTask
        } else if words.contains("not found on client") || words.contains("nknown allocation") {
            Self::Removed
        } else {
            tracing::debug!(error = &error as &dyn std::error::Error, "a log could not be opened");
            Self::Broken
        }
    }

    /// Waiting changes nothing once the build is over.
    fn is_final(&self) -> bool {
        matches!(self, Self::NotStarted | Self::Removed | Self::NoTask)
    }

    /// It may pass at any moment.
    fn is_eager(&self, vain: u32) -> bool {
        matches!(self, Self::NotStarted) && vain < EAGER_TRIES
    }

    fn pause(&self, vain: u32) -> Duration {
        if self.is_eager(vain) { EAGER_PAUSE } else { PAUSE.saturating_mul(1 << vain.min(10)).min(LONGEST_PAUSE) }
    }

    /// To stand behind "waiting for".
    fn waits_for(&self, task: &str) -> String {
        match self {
            Self::NotStarted => format!("the task {task} to start"),
            Self::Unreachable => "its node to come back".to_owned(),
            Self::Denied => "the right to read logs".to_owned(),
            Self::Removed | Self::NoTask | Self::Broken => "Nomad to send the log".to_owned(),
        }
    }

    fn sentence(&self, task: &str) -> String {
        match self {
            Self::NotStarted => format!("the task {task} never started"),
            Self::Removed => "Nomad has removed the log of this build".to_owned(),
            Self::Unreachable => "the node that has the log is out of reach".to_owned(),
            Self::NoTask => format!("the builder has no task {task}"),
            Self::Denied => "Albatros has no right to read logs (read-logs)".to_owned(),
            Self::Broken => "the log could not be read from Nomad".to_owned(),
        }
    }
}
