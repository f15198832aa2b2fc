//! The task's process: one run of a machine.
//!
//! ```text
//! group ─▶ controller: it runs ─▶ settings ─▶ job or checkout ─▶ image, initrd ─▶ folder, disk ─▶ engine ═▶ session
//!                 exit code ◀─ finish ◀─ machine ended ◀─ folders back ◀─ done ─────────────────────────┘
//! ```
//! | file | what it is |
//! |---|---|
//! | `settings`, `share`, `resolvers` | what is told, and what of the node a machine gets |
//! | `runs` | a run's folder, and what dead runs have left |
//! | `cut` | what ends a step before it is done |
//! | `engine`, `attempts`, `qemu`, `krun`, `kvm`, `account`, `keep` | what runs a machine, as whom, and that it ends with us |
//! | `resumed`, `snapshot` | one without KVM, which begins where its kernel was up before |
//! | `machine`, `console` | one that was started |
//! | `setup`, `folders`, `place` | what it is told, what it is given, and where that comes back to |
//! | `session`, `door`, `output` | from its first word to its last |
//! | `ending` | what becomes of it for the build |

mod account;
mod attempts;
mod console;
mod cut;
mod door;
mod ending;
mod engine;
mod folders;
mod keep;
mod krun;
mod kvm;
mod machine;
mod output;
mod place;
mod qemu;
mod resolvers;
mod resumed;
mod runs;
mod session;
mod settings;
mod setup;
mod share;
mod snapshot;

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::Instant;

use super::image::{Image, ImageError, Making, Sought, Store};
use crate::domain::secret::Secret;
use crate::sidecar::exec::{self, ExecSettings, Group, GroupError, NOT_PREPARED};
use crate::sidecar::stops::{Stops, after_signal};
use crate::sidecar::{checkout, reasons, said, say};
use cut::{Cut, unless_cut};
use door::Door;
use ending::Told;
use engine::EngineError;
use folders::LuggageError;
use place::Place;
use runs::Run;
use session::{Ending, Plan};
use setup::Luggage;

pub use keep::{KeepSettings, NOT_STARTED, keep};
pub use settings::{VmFlags, VmSettings, VmSettingsError};

/// This program, also after its file was replaced.
const OWN: &str = "/proc/self/exe";
/// A container that was told to be off may be put away by its own engine for so long.
const OFF_WITHIN: Duration = Duration::from_secs(5);

/// Why there was no machine.
#[derive(Debug, thiserror::Error)]
enum VmError {
    #[error(transparent)]
    Checkout(#[from] checkout::CheckoutError),
    #[error(transparent)]
    Group(#[from] GroupError),
    #[error("the image for the machine cannot be had")]
    Image(#[from] ImageError),
    #[error("the store of images could not be opened")]
    Store(#[source] JoinError),
    #[error("there is no image {0:?} on this node, and it is not to be fetched: type `albatros vm image build {0}`")]
    NoImage(String),
    #[error("the folder of the run could not be made in {0}")]
    Run(String, #[source] std::io::Error),
    #[error("there are no random numbers")]
    Random(#[source] getrandom::Error),
    #[error("signals cannot be received")]
    Signals(#[source] std::io::Error),
    #[error("the socket of the build's controller cannot be opened")]
    Door(#[source] std::io::Error),
    #[error("the socket of the service could not be made in NOMAD_ALLOC_DIR")]
    Service(#[source] std::io::Error),
    #[error("what goes into the machine cannot be taken")]
    Luggage(#[from] LuggageError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("its image was not there within {} s, which is all that a machine may live", .0.as_secs())]
    Life(Duration),
    #[error(transparent)]
    Settings(#[from] VmSettingsError),
    #[error("stopped before the machine was started")]
    Stopped(i32),
}

/// Runs a build in a machine of its own, as it was typed and as its task's environment says; the answer is the process's
/// exit code.
pub async fn run(flags: &VmFlags, vars: Vec<(OsString, OsString)>) -> u8 {
    // The log is the script's as well: whoever does not read it is not to hold up the machine's end.
    said::apart();
    let code = one(flags, vars).await;
    said::written().await;
    code
}

async fn one(flags: &VmFlags, vars: Vec<(OsString, OsString)>) -> u8 {
    // Where the system does not know that, the machine is between us and the script all the same.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let (mut stops, mut told) = match begin(&vars).await {
        Ok(begun) => begun,
        Err(error) => return failed(&error),
    };
    match steps(flags, vars, &mut told, &mut stops).await {
        Ok(Ending::Done(end, trouble)) => told.ended(end, trouble, &mut stops).await,
        Ok(Ending::Stopped(signal)) => {
            told.failed("it was stopped, and its machine with it").await;
            after_signal(signal)
        }
        Ok(Ending::Lost(_, why) | Ending::Hung(why)) => {
            let why = format!("the build's machine was lost: {why}");
            say(&why);
            told.failed(&why).await;
            NOT_PREPARED
        }
        Err(error) => {
            let code = failed(&error);
            told.failed(&reasons(&error)).await;
            code
        }
    }
}

/// Declares the build's machine before anything of it can fail.
async fn begin(vars: &[(OsString, OsString)]) -> Result<(Stops, Told), VmError> {
    let exec = ExecSettings::read(vars.iter().cloned()).map_err(VmSettingsError::from)?;
    let mut stops = Stops::listen().map_err(VmError::Signals)?;
    let group = stoppable(&mut stops, Group::outside(&exec)).await?;
    let told = stoppable(&mut stops, Told::begin(group)).await?;
    Ok((stops, told))
}

fn failed(error: &VmError) -> u8 {
    say(&reasons(error));
    match error {
        VmError::Stopped(signal) => after_signal(*signal),
        _ => NOT_PREPARED,
    }
}

async fn stoppable<T, E>(stops: &mut Stops, step: impl Future<Output = Result<T, E>>) -> Result<T, VmError>
where
    VmError: From<E>,
{
    tokio::select! {
        done = step => Ok(done?),
        stop = stops.next() => Err(VmError::Stopped(stop)),
    }
}

/// What the group's build is to do; without one its workspace is made here, where the network is.
async fn prepare(settings: &VmSettings, group: Option<&mut Group>) -> Result<(), VmError> {
    match group {
        Some(group) => Ok(group.take_job().await?),
        None => checkout::make(&settings.exec.plan()).await.map(drop).map_err(VmError::from),
    }
}

async fn steps(
    flags: &VmFlags,
    vars: Vec<(OsString, OsString)>,
    told: &mut Told,
    stops: &mut Stops,
) -> Result<Ending, VmError> {
    let settings = &VmSettings::read(flags, vars)?;
    let end = Instant::now() + settings.life;
    stoppable(stops, prepare(settings, told.group_mut())).await?;
    let group = told.group();
    let engine = engine::choose(settings)?;
    let stored = match engine {
        engine::Engine::Qemu(_) => Some(match unless_cut(stops, end, stored(settings)).await {
            Ok(stored) => stored?,
            Err(Cut::Stopped(signal)) => return Err(VmError::Stopped(signal)),
            Err(Cut::Over) => return Err(VmError::Life(settings.life)),
        }),
        engine::Engine::Krun => None,
    };
    let id = random::<8>()?;
    let failed = |error| VmError::Run(settings.store.display().to_string(), error);
    let begun = async { Run::begin(&settings.store, id).await.map_err(failed) };
    let run = stoppable(stops, begun).await?;
    let mut plan = plan(settings, group, stored.as_ref().map(|(_, image)| image), &run)?;
    let start = engine::Start { settings, run: &run, image: stored.as_ref().map(|(store, image)| (image, store)) };
    Ok(start.run(&engine, &mut plan, end, stops).await?)
}

/// The node's store, and the image in it.
async fn stored(settings: &VmSettings) -> Result<(Store, Image), VmError> {
    let (dir, named) = (settings.store.clone(), settings.image.clone());
    // Others may hold the store for a while, which is waited for without the runtime's one thread.
    let opened = spawn_blocking(move || {
        let store = Store::open(&dir)?;
        let found = store.find(&named)?;
        Ok::<_, ImageError>((store, found))
    });
    let (store, found) = opened.await.map_err(VmError::Store)??;
    let image = image(settings, &store, found).await?;
    Ok((store, image))
}

/// The image, fetched where it is not there.
async fn image(settings: &VmSettings, store: &Store, found: Option<Image>) -> Result<Image, VmError> {
    let image = match found {
        Some(image) => image,
        None if settings.pull => {
            let told = Arc::new(|line: &str| say(&console::harmless(line)));
            store.pull(&settings.image, &Making { kernel: sought(settings), told, ..Making::default() }).await?
        }
        None => return Err(VmError::NoImage(settings.image.clone())),
    };
    if settings.kernel.is_none() && settings.modules.is_none() {
        return Ok(image);
    }
    let (store, sought) = (store.clone(), sought(settings));
    Ok(spawn_blocking(move || image.with_kernel(&sought, &store)).await.map_err(VmError::Store)??)
}

fn sought(settings: &VmSettings) -> Sought {
    Sought { kernel: settings.kernel.clone(), modules: settings.modules.clone() }
}

fn plan(settings: &VmSettings, group: Option<&Group>, image: Option<&Image>, run: &Run) -> Result<Plan, VmError> {
    let (nonce, seed) = (random::<32>()?, random::<32>()?);
    let luggage = Luggage::pack(settings, group, run.id())?;
    let noted = run.note_drafts(luggage.folders.iter().filter_map(|folder| folder.back.as_deref()).map(Place::draft));
    noted.map_err(|error| VmError::Run(settings.store.display().to_string(), error))?;
    let env = image.map(|image| image.config.env.as_slice()).unwrap_or_default();
    let setup = setup::of(settings, (&nonce, &seed), &luggage, group, env);
    let door = group.map(|group| Door::of(group.reached_at())).transpose().map_err(VmError::Door)?;
    let port = group.and_then(Group::job).and_then(|job| job.port);
    let service = port.map(|_port| exec::service_socket(settings.exec.alloc_dir())).transpose();
    Ok(Plan {
        setup,
        folders: luggage.folders,
        limits: setup::limits(settings),
        door: door.map(Arc::new),
        service: service.map_err(VmError::Service)?,
        stdout: Some(Box::new(std::io::stdout())),
        stderr: Some(Box::new(std::io::stderr())),
    })
}

/// So many random bytes, hexadecimal.
fn random<const N: usize>() -> Result<String, VmError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(VmError::Random)?;
    Ok(hex::encode(bytes))
}

/// What tells the host from the script, which has the same token.
fn key() -> Result<Secret, VmError> {
    random::<32>().map(Secret::new)
}
