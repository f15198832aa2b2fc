//! The runner group around a script: its controller, what that gives, and the word that the script has ended.

use std::fs::OpenOptions;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, open};
use tokio::time::{Duration, Instant, sleep, timeout};

use super::settings::ExecSettings;
use super::{Stops, after_signal};
use crate::api::controller::{AddressError, Controller, ControllerAddress, ControllerError, Finished};
use crate::domain::job::JobSpec;
use crate::domain::params::Params;
use crate::domain::runner;
use crate::domain::secret::Secret;
use crate::sidecar::{reasons, say};

/// How long the controller may take to give the parameters.
const PARAMS_WITHIN: Duration = Duration::from_secs(10);
/// Before it is asked again.
const PAUSE: Duration = Duration::from_millis(200);
/// How long it may take to have everything kept, and to deliver the report.
const FINISH_WITHIN: Duration = Duration::from_secs(12 * 60);
/// The same where somebody waits for the build's end.
const FINISH_WHEN_STOPPED: Duration = Duration::from_secs(2);
/// In `$NOMAD_SECRETS_DIR`: what SECRET_PATH names.
const PARAMS: &str = "albatros.params";
/// In `$NOMAD_SECRETS_DIR`: Nomad's own API, for whoever can open it. Without ACLs it does whatever it is asked, and no
/// network is needed for that.
const NOMAD_SOCKET: &str = "api.sock";
/// The largest token.
const TOKEN_MOST: u64 = 4096;

/// Why there is no group where there should be one.
#[derive(Debug, thiserror::Error)]
pub(in crate::sidecar) enum GroupError {
    #[error("ALBATROS_API cannot be read")]
    Address(#[from] AddressError),
    #[error("the token of the build's API cannot be read")]
    Token(#[source] io::Error),
    #[error("the build's controller gives no parameters")]
    Params(#[source] ControllerError),
    #[error("the build's controller does not take that the build runs in a machine")]
    Machine(#[source] ControllerError),
    #[error("the build's controller does not say what this job is to do")]
    Job(#[source] ControllerError),
    #[error("the build's controller has not answered for {} s", PARAMS_WITHIN.as_secs())]
    Silent,
    #[error("there is no workspace: did task prepare run?")]
    NoWorkspace,
    #[error("NOMAD_SECRETS_DIR is not set: there is no place for the parameters")]
    NoSecretsDir,
    #[error("the parameters could not be written to NOMAD_SECRETS_DIR")]
    Write(#[source] io::Error),
    #[error("the socket of Nomad's API could not be removed from NOMAD_SECRETS_DIR")]
    NomadSocket(#[source] io::Error),
}

/// The group that this executor is in.
#[derive(Debug)]
pub(in crate::sidecar) struct Group {
    controller: Controller,
    address: ControllerAddress,
    token: Secret,
    params: Option<PathBuf>,
    /// The same, by name.
    named: Params,
    job: Option<JobSpec>,
}

impl Group {
    /// The group, and what it gives to the script; none for a builder with nothing but an executor.
    pub(super) async fn join(settings: &ExecSettings) -> Result<Option<Self>, GroupError> {
        let Some(mut group) = Self::outside(settings).await? else { return Ok(None) };
        group.take_params(settings).await?;
        group.take_job().await?;
        Ok(Some(group))
    }

    /// The same without what only the script is given: for the host of its machine.
    pub(in crate::sidecar) async fn outside(settings: &ExecSettings) -> Result<Option<Self>, GroupError> {
        let socket = settings.alloc_dir.join(runner::SOCKET);
        let address: ControllerAddress = match &settings.api {
            Some(text) => text.parse()?,
            None if socket.symlink_metadata().is_ok() => ControllerAddress::Unix(socket),
            None => return Ok(None),
        };
        if !settings.workspace().is_dir() {
            return Err(GroupError::NoWorkspace);
        }
        let token = match &settings.token {
            Some(token) => token.clone(),
            None => token(&settings.alloc_dir.join(runner::TOKEN)).map_err(GroupError::Token)?,
        };
        let controller = reach(&address, token.clone()).map_err(GroupError::Params)?;
        Ok(Some(Self { controller, address, token, params: None, named: Params::default(), job: None }))
    }

    /// Asks what this build is to do.
    pub(in crate::sidecar) async fn take_job(&mut self) -> Result<(), GroupError> {
        self.job = patiently(GroupError::Job, || self.controller.job()).await?;
        Ok(())
    }

    async fn take_params(&mut self, settings: &ExecSettings) -> Result<(), GroupError> {
        let text = patiently(GroupError::Params, || self.controller.raw_params()).await?;
        self.params = match &text {
            None => None,
            Some(text) => {
                let dir = settings.secrets_dir.as_deref().ok_or(GroupError::NoSecretsDir)?;
                Some(write(&dir.join(PARAMS), text).map_err(GroupError::Write)?)
            }
        };
        // What is no env file is there as it stands, at SECRET_PATH.
        self.named = text.and_then(|text| Params::parse(text.expose()).ok()).unwrap_or_default();
        if let Some(dir) = &settings.secrets_dir {
            remove(&dir.join(NOMAD_SOCKET)).map_err(GroupError::NomadSocket)?;
        }
        Ok(())
    }

    /// Where the controller is.
    pub(in crate::sidecar) fn reached_at(&self) -> &ControllerAddress {
        &self.address
    }

    /// The controller.
    pub(in crate::sidecar) fn controller(&self) -> &Controller {
        &self.controller
    }

    /// What ALBATROS_API says.
    pub(super) fn address(&self) -> String {
        self.address.to_string()
    }

    /// What ALBATROS_TOKEN says.
    pub(in crate::sidecar) fn token(&self) -> &Secret {
        &self.token
    }

    /// What SECRET_PATH says; none where the build may have no parameters, or has none.
    pub(super) fn params(&self) -> Option<&Path> {
        self.params.as_deref()
    }

    /// What this build is to do, where it is a job of another one.
    pub(in crate::sidecar) fn job(&self) -> Option<&JobSpec> {
        self.job.as_ref()
    }

    /// The parameters by name: a job has those that it named as its environment, too.
    pub(super) fn named(&self) -> &Params {
        &self.named
    }

    /// Tells the controller that the script has ended with `code`, and waits until what was to be kept is kept and the
    /// report is handed on. Gives what the build ends with: a script's success is none where it is not known that all is
    /// kept; everything else stays as it is.
    pub(super) async fn finish(self, code: u8, stops: &mut Stops) -> u8 {
        self.finish_by(code, stops, || self.controller.finish(code)).await
    }

    /// The same by the host of a machine, whose key is `key`; `trouble` is why the build is none.
    pub(in crate::sidecar) async fn finish_machine(
        self,
        code: u8,
        (key, trouble): (&Secret, Option<&str>),
        stops: &mut Stops,
    ) -> u8 {
        self.finish_by(code, stops, || self.controller.finish_machine(code, Some(key), trouble)).await
    }

    async fn finish_by<F>(&self, code: u8, stops: &mut Stops, ask: impl FnOnce() -> F) -> u8
    where
        F: Future<Output = Result<Finished, ControllerError>>,
    {
        if let Some(params) = &self.params {
            // The script may have done so.
            let _ = std::fs::remove_file(params);
        }
        let within = if stops.seen() { FINISH_WHEN_STOPPED } else { FINISH_WITHIN };
        let told = tokio::select! {
            told = timeout(within, ask()) => told,
            stop = stops.next() => {
                say("stopped before everything was kept and the build's report was delivered");
                return if code == 0 { after_signal(stop) } else { code };
            }
        };
        let trouble = match told {
            Ok(Ok(finished)) => {
                finished.notes.iter().for_each(|note| say(note));
                finished.trouble
            }
            Ok(Err(error)) => Some(format!("the build's report may not have been delivered: {}", reasons(&error))),
            Err(_elapsed) => {
                Some("the build's report may not have been delivered: the controller took too long".to_owned())
            }
        };
        let Some(trouble) = trouble else { return code };
        say(&trouble);
        if code == 0 { runner::NOT_KEPT } else { code }
    }
}

/// The very socket that is there before the script starts, whatever that puts in its place.
fn reach(address: &ControllerAddress, token: Secret) -> Result<Controller, ControllerError> {
    let ControllerAddress::Unix(path) = address else { return Controller::new(address, token) };
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let socket = open(path, flags, Mode::empty()).map_err(|error| ControllerError::Socket(error.into()))?;
    Controller::through(socket, token)
}

/// Asks again while the controller is busy or just starting.
pub(in crate::sidecar) async fn patiently<T, F>(
    refused: impl Fn(ControllerError) -> GroupError,
    ask: impl Fn() -> F,
) -> Result<T, GroupError>
where
    F: Future<Output = Result<T, ControllerError>>,
{
    let end = Instant::now() + PARAMS_WITHIN;
    loop {
        let Ok(asked) = tokio::time::timeout_at(end, ask()).await else {
            return Err(GroupError::Silent);
        };
        match asked {
            Ok(given) => return Ok(given),
            Err(error) if is_passing(&error) && Instant::now() + PAUSE < end => sleep(PAUSE).await,
            Err(error) => return Err(refused(error)),
        }
    }
}

fn token(file: &Path) -> io::Result<Secret> {
    let nofollow = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or_default();
    let mut text = String::new();
    OpenOptions::new().read(true).custom_flags(nofollow).open(file)?.take(TOKEN_MOST).read_to_string(&mut text)?;
    match text.trim() {
        "" => Err(io::Error::new(io::ErrorKind::InvalidData, "it is empty")),
        token => Ok(Secret::new(token)),
    }
}

/// A new file that only this user reads.
fn write(file: &Path, text: &Secret) -> io::Result<PathBuf> {
    remove(file)?;
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?.write_all(text.expose().as_bytes())?;
    Ok(file.to_owned())
}

/// Removes a file, if it is there.
fn remove(file: &Path) -> io::Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Err(_) | Ok(()) => Ok(()),
    }
}

/// Whether asking again may help.
fn is_passing(error: &ControllerError) -> bool {
    match error {
        ControllerError::NoAnswer(_) => true,
        ControllerError::Refused(..) => error.waiting(),
        ControllerError::Client(_) | ControllerError::Socket(_) | ControllerError::Strange(_) => false,
    }
}
