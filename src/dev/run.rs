//! Role `run`: a working copy as it stands, in a fresh workspace, in the environment of the cluster, without a server.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::copy::{CopyError, Head, Repository, directory};
use super::{Machine, Terminal, address_of, name_of};
use crate::api::git::{Git, GitError};
use crate::domain::id::{BuildId, Flavor};
use crate::domain::outcome::{Outcome, Verdict, judge};
use crate::domain::secret::Secret;
use crate::domain::status;
use crate::domain::times::Times;
use crate::engine::{
    DispatchError, Engine, EngineError, LocalEngine, LocalError, LocalSettings, LocalSource, LogPiece, LogStream, Order,
};

/// What `run` was told.
#[derive(Debug, Clone)]
pub struct RunSettings {
    /// The working copy.
    pub dir: PathBuf,
    /// What FLAVOR says.
    pub flavor: Flavor,
    /// The longest it may run.
    pub timeout: Duration,
    /// What the script's SECRET_PATH holds.
    pub secrets: Option<Secret>,
    /// Where temporary files go.
    pub temp: PathBuf,
    /// This machine.
    pub machine: Machine,
}

/// Why a working copy was not built.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The directory cannot be used.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// Its files could not be copied.
    #[error("the files could not be copied")]
    Files(#[source] io::Error),
    /// Its files could not be listed.
    #[error("the files could not be listed")]
    List(#[from] GitError),
    /// There is nowhere to build.
    #[error("no temporary directory can be made in {0}")]
    Room(PathBuf, #[source] io::Error),
    /// Builds cannot be run there.
    #[error(transparent)]
    Engine(#[from] LocalError),
    /// The build was not started.
    #[error("the build could not be started")]
    Dispatch(#[from] DispatchError),
    /// The build cannot be looked at.
    #[error("the build cannot be looked at")]
    Observe(#[from] EngineError),
    /// Signals cannot be received.
    #[error("signals cannot be received")]
    Signals(#[source] io::Error),
    /// A name that we made ourselves is none.
    #[error("the build has no name")]
    Name(#[from] crate::domain::id::IdError),
}

/// Builds the directory as it stands, prints its output live and its verdict last, and gives the exit code.
///
/// # Errors
/// When the build could not be started or followed.
pub async fn run(settings: RunSettings, terminal: Terminal) -> Result<u8, RunError> {
    let room = tempfile::Builder::new().prefix("albatros-run-").tempdir_in(&settings.temp);
    let room = room.map_err(|error| RunError::Room(settings.temp.clone(), error))?;
    let outcome = build(&settings, room.path(), &terminal).await;
    if let Err(error) = crate::engine::remove_tree(room.path()) {
        tracing::warn!(%error, "{} could not be removed", room.path().display());
    }
    outcome
}

async fn build(settings: &RunSettings, room: &Path, terminal: &Terminal) -> Result<u8, RunError> {
    let dir = directory(&settings.dir)?;
    let files = room.join("files");
    let (head, history) = collect(&dir, settings, &files).await?;
    let address = address_of(&name_of(&dir));
    let engine = Engine::Local(LocalEngine::open(LocalSettings {
        data: room.to_owned(),
        program: settings.machine.program.clone(),
        builds: 1,
        path: settings.machine.path.clone(),
        script_path: settings.machine.script_path.clone(),
        git_vars: Vec::new(),
        namespace: "local".to_owned(),
        sources: BTreeMap::from([(address.clone(), LocalSource::Files { files, history })]),
    })?);
    let build = engine.dispatch(&order(settings, &address, head.as_ref())?).await?;
    let outcome = follow(&engine, &build, terminal).await?;
    let times = Times::of(&engine.observe(&build).await?);
    let took = times.started.zip(times.finished).map(|(from, to)| to.duration_since(from));
    terminal.say(&format!("{}: {}", outcome.word(), status::sentence(&outcome, took)));
    Ok(outcome.exit_status())
}

/// Copies the files, and gives what they are a change of, where that can be told.
async fn collect(dir: &Path, settings: &RunSettings, to: &Path) -> Result<(Option<Head>, Option<PathBuf>), RunError> {
    let path = &settings.machine.path;
    let listed =
        Git::new(dir, path).run(&["ls-files", "-z", "-co", "--exclude-standard", "--deduplicate", "--", "."]).await;
    match listed {
        Ok(list) => copy_listed(dir, &list, to).map_err(RunError::Files)?,
        Err(GitError::Refused { .. }) => copy_all(dir, to).map_err(RunError::Files)?,
        Err(error @ GitError::Start(_)) => return Err(RunError::List(error)),
    }
    let Some(mut repository) = Repository::find(dir, path).await? else { return Ok((None, None)) };
    let head = repository.head().await?;
    let history = head.is_some().then(|| repository.common_dir().to_owned());
    Ok((head, history))
}

fn order(settings: &RunSettings, address: &str, head: Option<&Head>) -> Result<Order, RunError> {
    let commit = head.map_or_else(|| "0".repeat(40), |head| head.commit.to_string());
    let branch = head.map_or("main", Head::branch);
    let meta = [
        ("REPO_URL", address),
        ("COMMIT", &commit),
        ("BRANCH", branch),
        ("FLAVOR", settings.flavor.as_str()),
        ("REF", &format!("refs/heads/{branch}")),
        ("EVENT", "push"),
    ];
    Ok(Order {
        // One build in a directory of its own: any claim does.
        claim: "0".repeat(64).parse()?,
        builder: "run".parse()?,
        meta: meta.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        payload: settings.secrets.clone(),
        timeout: settings.timeout,
        grant: None,
    })
}

/// Prints until it is over; an interrupt cancels all of it.
async fn follow(engine: &Engine, build: &BuildId, terminal: &Terminal) -> Result<Outcome, RunError> {
    let mut interrupt = signal(SignalKind::interrupt()).map_err(RunError::Signals)?;
    let mut term = signal(SignalKind::terminate()).map_err(RunError::Signals)?;
    let show = async {
        let (out, err) = tokio::join!(
            print(engine, build, LogStream::Stdout, terminal),
            print(engine, build, LogStream::Stderr, terminal)
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

async fn print(engine: &Engine, build: &BuildId, stream: LogStream, terminal: &Terminal) -> Result<(), EngineError> {
    let mut source = engine.log(build, crate::domain::outcome::EXECUTOR, stream).await?;
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

fn copy_listed(dir: &Path, list: &[u8], to: &Path) -> io::Result<()> {
    std::fs::create_dir_all(to)?;
    for name in list.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let name = Path::new(OsStr::from_bytes(name));
        copy_one(&dir.join(name), &to.join(name))?;
    }
    Ok(())
}

fn copy_all(dir: &Path, to: &Path) -> io::Result<()> {
    std::fs::create_dir_all(to)?;
    let mut rest = vec![PathBuf::new()];
    while let Some(inside) = rest.pop() {
        for entry in std::fs::read_dir(dir.join(&inside))? {
            let entry = entry?;
            let name = inside.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                rest.push(name);
            } else {
                copy_one(&dir.join(&name), &to.join(&name))?;
            }
        }
    }
    Ok(())
}

/// A file or a link; what was deleted, is a directory (a submodule) or a device is left out, as in a plain checkout.
fn copy_one(from: &Path, to: &Path) -> io::Result<()> {
    let about = match from.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    if let Some(parent) = to.parent() {
        std::fs::create_dir_all(parent)?;
    }
    if about.is_symlink() {
        std::os::unix::fs::symlink(std::fs::read_link(from)?, to)
    } else if about.is_file() {
        std::fs::copy(from, to).map(drop)
    } else {
        Ok(())
    }
}
