//! Role `run`: a working copy as it stands, in a fresh workspace, in the environment of the cluster. What answers the
//! build is a server of its own, in this process and gone with it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::copy::{CopyError, Head, Repository, directory};
use super::delivery::SENDER;
use super::own::{Server, ServerError};
use super::places::Places;
use super::{Machine, TASKS_THAT_SAY_WHY, Terminal, address_of, kept, left, name_of, quoted};
use crate::api::git::{Git, GitError};
use crate::api::store::Store;
use crate::dispatcher::{App, OwnError, Settings, build_own};
use crate::domain::event::{Change, EventKind, Sender};
use crate::domain::id::{BuildId, ClaimId, Flavor};
use crate::domain::outcome::{EXECUTOR, Outcome, Verdict, judge};
use crate::domain::repo_url::{RepoUrl, RepoUrlError};
use crate::domain::secret::Secret;
use crate::domain::status;
use crate::domain::times::Times;
use crate::engine::{Engine, EngineError, Keep, LocalFiles, LocalSource, LogPiece, LogStream};
use crate::registry::RegistryError;

/// What `run` was told.
#[derive(Debug, Clone)]
pub struct RunSettings {
    /// The working copy.
    pub dir: PathBuf,
    /// What FLAVOR says.
    pub flavor: Flavor,
    /// The longest it may run.
    pub timeout: Duration,
    /// The parameters: what the script's SECRET_PATH holds.
    pub inject: Option<Secret>,
    /// Keep the workspace whatever the outcome; else that of a failed build is kept.
    pub keep: bool,
    /// Where temporary files go.
    pub temp: PathBuf,
    /// Where what outlives a run is kept: `$XDG_CACHE_HOME/albatros`; none where there is no such place.
    pub cache: Option<PathBuf>,
    /// Where artifacts are put; else beside what is kept.
    pub artifacts: Option<PathBuf>,
    /// As for `serve`.
    pub dispatcher: Settings,
    /// This machine.
    pub machine: Machine,
}

/// Why a working copy was not built.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The directory cannot be used.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// Its files could not be listed.
    #[error("the files could not be listed")]
    List(#[from] GitError),
    /// There is nowhere to build.
    #[error("no temporary directory can be made in {0}")]
    Room(PathBuf, #[source] io::Error),
    /// There is nobody to run it.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The build was not started.
    #[error(transparent)]
    Start(#[from] OwnError),
    /// What the build has left cannot be read.
    #[error("what the build has reported cannot be read")]
    Registry(#[from] RegistryError),
    /// The build cannot be looked at.
    #[error("the build cannot be looked at")]
    Observe(#[from] EngineError),
    /// What the build has left cannot be shown.
    #[error("an artifact could not be taken out of the store")]
    Left(#[from] left::LeftError),
    /// Signals cannot be received.
    #[error("signals cannot be received")]
    Signals(#[source] io::Error),
    /// A name that we made ourselves is none.
    #[error("the build has no name")]
    Name(#[from] crate::domain::id::IdError),
    /// The address that we made ourselves is not one.
    #[error("the build has no address")]
    Address(#[from] RepoUrlError),
}

/// Builds the directory as it stands, prints its output live, then its verdict, then where the workspace is kept if it
/// is. Gives the exit code.
///
/// # Errors
/// When the build could not be started or followed.
pub async fn run(settings: RunSettings, terminal: Terminal) -> Result<u8, RunError> {
    let dir = directory(&settings.dir)?;
    let room = tempfile::Builder::new().prefix(kept::PREFIX).tempdir_in(&settings.temp);
    let room = room.map_err(|error| RunError::Room(settings.temp.clone(), error))?;
    let keep = Keep { dir: room.path().join(kept::KEPT), always: settings.keep };
    let places = Places::of(&settings, &dir, room.path(), keep);
    let outcome = build(&settings, &dir, &places, &terminal).await;
    leave(room, &dir, &places.keep, &terminal);
    outcome
}

/// Leaves nothing of a run's room but the workspaces that are kept, and says where these are.
fn leave(room: tempfile::TempDir, dir: &Path, keep: &Keep, terminal: &Terminal) {
    let address = address_of(&name_of(dir));
    let (own, jobs) = (keep.workspace(&address), keep.jobs(&address));
    let mut kept: Vec<String> =
        jobs.iter().map(|(job, path)| format!("that of job {job} in {}", quoted(path))).collect();
    if own.exists() {
        kept.insert(0, format!("in {}", quoted(&own)));
    }
    if kept.is_empty() {
        if let Err(error) = crate::engine::remove_tree(room.path()) {
            tracing::warn!(%error, "{} could not be removed", room.path().display());
        }
        return;
    }
    let room = room.keep();
    if let Err(error) = kept::settle(&room, dir) {
        tracing::warn!(%error, "{} or what is like it beside it could not be cleared", room.display());
    }
    let (kept, room) = (kept.join(", "), quoted(&room));
    terminal.say(&format!("the workspace is kept {kept} until the next one is; rm -rf {room} removes it"));
}

async fn build(settings: &RunSettings, dir: &Path, places: &Places, terminal: &Terminal) -> Result<u8, RunError> {
    let (head, files) = look(dir, settings).await?;
    let address = address_of(&name_of(dir));
    let server = Server::start(settings, places, (&address, LocalSource::Files(files))).await?;
    let change = change(head.as_ref())?;
    let repo = address.parse()?;
    let (claim, build) = build_own(&server.app, &repo, &change, &settings.flavor).await?;
    let outcome = follow(&server.app.engine, &build, terminal).await;
    let code = match outcome {
        Ok(outcome) => tell(&server.app, (&claim, &build), outcome, terminal).await,
        Err(error) => Err(error),
    };
    let store = server.end(&claim, places).await;
    if let (Some(store), Ok(_)) = (store, &code) {
        show(&store, (&repo, &claim), places, terminal).await?;
    }
    code
}

/// Says which artifacts the run has left, and where.
async fn show(
    store: &Store,
    (repo, claim): (&RepoUrl, &ClaimId),
    places: &Places,
    terminal: &Terminal,
) -> Result<(), RunError> {
    for path in left::take(store, (repo, claim), &places.artifacts).await? {
        terminal.say(&format!("artifact: {}", quoted(&path)));
    }
    Ok(())
}

/// Why it failed, where the script did not; then the verdict.
async fn tell(
    app: &App,
    (claim, build): (&ClaimId, &BuildId),
    outcome: Outcome,
    terminal: &Terminal,
) -> Result<u8, RunError> {
    if matches!(outcome, Outcome::Infra { .. }) {
        for task in TASKS_THAT_SAY_WHY {
            print(&app.engine, build, (task, LogStream::Stderr), terminal).await?;
        }
    }
    let times = Times::of(&app.engine.observe(build).await?);
    let took = times.started.zip(times.finished).map(|(from, to)| to.duration_since(from));
    let report = app.registry.report(claim).await?.unwrap_or_default();
    let tests = report.tests.map(|tests| tests.counts);
    let sentence = status::with_trouble(status::sentence(&outcome, took), &outcome, report.trouble.as_deref());
    let sentence = status::with_tests(sentence, &outcome, tests);
    terminal.say(&format!("{}: {sentence}", outcome.word()));
    Ok(outcome.exit_status())
}

/// Which files there are, and what they are a change of, where that can be told.
async fn look(dir: &Path, settings: &RunSettings) -> Result<(Option<Head>, LocalFiles), RunError> {
    let path = &settings.machine.path;
    let listed =
        Git::new(dir, path).run(&["ls-files", "-z", "-co", "--exclude-standard", "--deduplicate", "--", "."]).await;
    let list = match listed {
        Ok(list) => Some(list.into()),
        Err(GitError::Refused { .. }) => None,
        Err(error @ GitError::Start(_)) => return Err(RunError::List(error)),
    };
    let files = LocalFiles { dir: dir.to_owned(), list, history: None };
    let Some(mut repository) = Repository::find(dir, path).await? else { return Ok((None, files)) };
    let head = repository.head().await?;
    let history = head.is_some().then(|| repository.common_dir().to_owned());
    Ok((head, LocalFiles { history, ..files }))
}

/// What is built: a change of what is checked out, as far as that can be told, by the one whose machine this is.
fn change(head: Option<&Head>) -> Result<Change, RunError> {
    let branch = head.map_or("main", Head::branch).to_owned();
    Ok(Change {
        kind: EventKind::Push,
        git_ref: format!("refs/heads/{branch}"),
        branch,
        before: String::new(),
        commit: match head {
            Some(head) => head.commit.clone(),
            None => "0".repeat(40).parse()?,
        },
        sender: Sender { login: SENDER.to_owned(), id: None },
        repository_id: None,
        private: true,
        message: None,
        pull: None,
    })
}

/// Prints until it is over; an interrupt cancels all of it.
async fn follow(engine: &Engine, build: &BuildId, terminal: &Terminal) -> Result<Outcome, RunError> {
    let mut interrupt = signal(SignalKind::interrupt()).map_err(RunError::Signals)?;
    let mut term = signal(SignalKind::terminate()).map_err(RunError::Signals)?;
    let show = async {
        let (out, err) = tokio::join!(
            print(engine, build, (EXECUTOR, LogStream::Stdout), terminal),
            print(engine, build, (EXECUTOR, LogStream::Stderr), terminal)
        );
        out.and(err)
    };
    tokio::pin!(show);
    loop {
        tokio::select! {
            shown = &mut show => break shown?,
            _ = interrupt.recv() => engine.stop(build).await?,
            _ = term.recv() => engine.stop(build).await?,
        }
    }
    let mut hints = engine.hints().await;
    loop {
        if let Verdict::Ended(outcome) = judge(&engine.observe(build).await?, None) {
            return Ok(match outcome {
                Outcome::Cancelled { .. } => Outcome::Cancelled { by: "an interrupt".to_owned() },
                other => other,
            });
        }
        if hints.recv().await.is_none() {
            return Err(RunError::Observe(EngineError::Unknown(build.to_string())));
        }
    }
}

async fn print(
    engine: &Engine,
    build: &BuildId,
    (task, stream): (&str, LogStream),
    terminal: &Terminal,
) -> Result<(), EngineError> {
    let mut source = engine.log(build, task, stream).await?;
    let mut printer = terminal.printer(stream, None);
    while let Some(piece) = source.next().await {
        match piece {
            LogPiece::Data(bytes) => printer.print(&bytes),
            LogPiece::Gap(why) => terminal.say(&why),
            LogPiece::Waiting(_) => {}
            LogPiece::End | LogPiece::Never(_) => break,
        }
    }
    printer.finish();
    Ok(())
}
