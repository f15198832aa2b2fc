//! What runs a machine on this node, tried in order: the device of a node may open and never run anything.

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;

use super::account::{self, AccountError};
use super::attempts::{Attempt, Attempts, BOOT_BY_TCG, given_up};
use super::cut::{Cut, unless_cut};
use super::krun::{self, KrunError};
use super::kvm::Kvm;
use super::machine::{LAST_WORDS, Machine};
use super::qemu::{self, Accel, Begin, Parts, QemuError};
use super::runs::Run;
use super::session::{self, Ending, Plan, Within};
use super::settings::{EngineChoice, VmSettings};
use super::{OFF_WITHIN, OWN};
use crate::domain::vm::Course;
use crate::sidecar::stops::Stops;
use crate::sidecar::vm::image::{Image, ImageError, Store};
use crate::sidecar::{reasons, say};

/// Beside its unpacked beginning, MiB.
const KERNEL_MEMORY: u64 = 64;

/// What runs machines here.
#[derive(Debug)]
pub(super) enum Engine {
    /// qemu, where it is, by what is to be tried.
    Qemu(PathBuf),
    /// podman and crun with krun.
    Krun,
}

/// Why there is no machine.
#[derive(Debug, thiserror::Error)]
pub(super) enum EngineError {
    #[error(transparent)]
    Qemu(#[from] QemuError),
    #[error(transparent)]
    Krun(#[from] KrunError),
    #[error(transparent)]
    Account(#[from] AccountError),
    #[error("this node has no KVM, which --accel kvm asks for ({0}); without it: --accel tcg, or auto")]
    NoKvm(String),
    #[error("the machine's beginning could not be made")]
    Initrd(#[source] ImageError),
    #[error(
        "the machine's memory of {memory} MiB is too small for this kernel and this program: it needs {needed}; give the \
         task {} MiB or more, or set ALBATROS_VM_MEMORY", needed + super::share::HOSTS_MEMORY
    )]
    Memory { memory: u64, needed: u64 },
    #[error("{} cannot be read", .0.display())]
    Read(PathBuf, #[source] std::io::Error),
    #[error("no engine has started a machine")]
    None,
}

/// The engine, as it was told, or the one that is there.
pub(super) fn choose(settings: &VmSettings) -> Result<Engine, EngineError> {
    match settings.engine {
        EngineChoice::Krun if krun::find(&settings.path).is_none() => Err(KrunError::Missing.into()),
        EngineChoice::Krun => Ok(Engine::Krun),
        // krun keeps what it runs in other bounds: nobody gets that without having asked for it.
        EngineChoice::Qemu | EngineChoice::Auto => Ok(Engine::Qemu(qemu::find(&settings.path)?)),
    }
}

/// What a machine is started from.
pub(super) struct Start<'a> {
    pub(super) settings: &'a VmSettings,
    pub(super) run: &'a Run,
    pub(super) image: Option<(&'a Image, &'a Store)>,
}

impl Start<'_> {
    /// Starts a machine and drives it until it is over and gone.
    pub(super) async fn run(
        &self,
        engine: &Engine,
        plan: &mut Plan,
        end: Instant,
        stops: &mut Stops,
    ) -> Result<Ending, EngineError> {
        match engine {
            Engine::Qemu(program) => self.qemu(program.clone(), plan, end, stops).await,
            Engine::Krun => {
                let mut machine = krun::start(self.settings, self.run)?;
                let ending = self.drive(&mut machine, plan, (BOOT_BY_TCG, end), stops).await;
                krun::remove(self.run.dir()).await;
                Ok(ending)
            }
        }
    }

    async fn qemu(
        &self,
        program: PathBuf,
        plan: &mut Plan,
        end: Instant,
        stops: &mut Stops,
    ) -> Result<Ending, EngineError> {
        let (image, store) = self.image.ok_or(EngineError::None)?;
        let kvm = Kvm::of(&self.settings.store);
        let attempts = Attempts::of(self.settings.accel, Kvm::missing(), kvm.has_failed())?;
        if let Some(note) = &attempts.note {
            say(note);
        }
        let parts = self.parts(program, image, store)?;
        let scratch = qemu::scratch(self.run, self.settings.disk, &self.settings.path);
        match unless_cut(stops, end, scratch).await {
            Ok(made) => made?,
            Err(Cut::Stopped(signal)) => return Ok(Ending::Stopped(signal)),
            Err(Cut::Over) => return Ok(Ending::Lost(Course::Booting, session::LIVED.to_owned())),
        }
        let mut hung = false;
        if let Some(attempt) = attempts.before {
            let ending = self.attempt((&parts, store), (attempt, end), plan, stops).await?;
            match given_up(ending, end <= Instant::now()) {
                Err(ending) => return Ok(ending),
                Ok((why, has_hung)) => {
                    hung = has_hung;
                    say(&format!("KVM has not run this machine ({why}): its instructions are translated (TCG)"));
                }
            }
        }
        let ending = self.attempt((&parts, store), (attempts.last, end), plan, stops).await?;
        // Only where the other one could: what fails both is not the device.
        let booted = match &ending {
            Ending::Done(..) => true,
            Ending::Lost(course, _) => *course != Course::Booting,
            Ending::Stopped(_) | Ending::Hung(_) => false,
        };
        if hung && booted {
            kvm.fails();
        }
        Ok(ending)
    }

    async fn attempt(
        &self,
        parts: (&Parts, &Store),
        ((accel, boot), end): (Attempt, Instant),
        plan: &mut Plan,
        stops: &mut Stops,
    ) -> Result<Ending, EngineError> {
        if accel == Accel::Tcg && self.settings.snapshot {
            match self.resumed(parts, plan, end, stops).await {
                Ok(Some(ending)) => return Ok(ending),
                Ok(None) => {}
                Err(why) => say(&format!("there is no snapshot of this machine ({}): it boots", reasons(&why))),
            }
        }
        let mut machine = qemu::start(parts.0, self.run, accel, Begin::Boot)?;
        Ok(self.drive(&mut machine, plan, (boot, end), stops).await)
    }

    fn parts(&self, program: PathBuf, image: &Image, store: &Store) -> Result<Parts, EngineError> {
        let initrd = image.initrd(&self.program(), store).map_err(EngineError::Initrd)?;
        let size = std::fs::metadata(&initrd).map_err(|error| EngineError::Read(initrd.clone(), error))?.len();
        // It is there twice while it is unpacked.
        let needed = KERNEL_MEMORY + 2 * size.div_ceil(1 << 20);
        let memory = self.settings.memory;
        if memory < needed {
            return Err(EngineError::Memory { memory, needed });
        }
        Ok(Parts {
            program,
            kernel: image.kernel.clone(),
            initrd,
            root: image.root.clone(),
            cpus: self.settings.cpus,
            memory,
            network: self.settings.network.is_some(),
            user: account::of(&self.settings.qemu_user, self.settings.accel)?,
        })
    }

    /// The program that is the guest's: this one, or a developer's.
    fn program(&self) -> PathBuf {
        self.settings.bin_from.as_ref().map_or_else(|| PathBuf::from(OWN), |dir| dir.join("albatros"))
    }

    pub(super) async fn drive(
        &self,
        machine: &mut Machine,
        plan: &mut Plan,
        (boot, end): (Duration, Instant),
        stops: &mut Stops,
    ) -> Ending {
        let within = Within::of(boot, self.settings.grace);
        let ending = session::run(machine, plan, within, end, stops).await;
        // podman is to put its container away by itself.
        let patience = match ending {
            Ending::Done(..) if self.image.is_none() => OFF_WITHIN,
            // Whether it was killed, or could not begin, is asked for.
            Ending::Lost(Course::Booting, _) => LAST_WORDS,
            _ => Duration::ZERO,
        };
        machine.end(patience).await;
        if let Ending::Lost(..) | Ending::Hung(_) = &ending {
            let lines = machine.console().harmless();
            if !lines.is_empty() {
                say("the end of the machine's console:");
                lines.iter().for_each(|line| say(&format!("| {line}")));
            }
        }
        ending
    }
}
