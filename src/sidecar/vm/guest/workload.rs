//! `exec` as another user, what it writes, and its end.

use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process};
use tokio::io::AsyncWriteExt as _;
use tokio::net::unix::pipe::Receiver;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::control::Asked;
use super::error::{GuestError, doing};
use super::fence::Fence;
use crate::domain::vm::{End, Setup};
use crate::sidecar::stops::after_signal;
use crate::sidecar::vm::link::{Link, Purpose, Stream};

/// What is left in the pipes when all of the workload is gone: the host's log may take its time.
const OUTPUT_WITHIN: Duration = Duration::from_secs(5 * 60);

/// `exec`, which runs, and what carries its output.
#[derive(Debug)]
pub(super) struct Workload {
    exec: Pid,
    ends: tokio::signal::unix::Signal,
    outputs: JoinSet<()>,
    fence: Fence,
}

impl Workload {
    /// Starts `command`, which is not anybody's to write, inside the fence.
    pub(super) fn start(command: &[&str], setup: &Setup, link: &Link, fence: Fence) -> Result<Self, GuestError> {
        let ends = signal(SignalKind::child()).map_err(doing("watching for ended processes"))?;
        let (program, args) = command.split_first().ok_or(GuestError::Setup("no command"))?;
        let mut command = Command::new(program);
        command.args(args).env_clear().envs(&setup.env).current_dir("/").process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).uid(setup.uid).gid(setup.gid);
        let (stdout, stderr) = (link.open(Purpose::Stdout)?, link.open(Purpose::Stderr)?);
        let started = fence.around(|| command.spawn())?;
        let mut child = started.map_err(doing("starting the program that runs the script"))?;
        let exec = Pid::from_child(&child);
        let mut outputs = JoinSet::new();
        for (pipe, stream) in
            [(child.stdout.take().map(OwnedFd::from), stdout), (child.stderr.take().map(OwnedFd::from), stderr)]
        {
            let Some(pipe) = pipe else { continue };
            let pipe = Receiver::from_owned_fd(pipe).map_err(doing("reading what the script writes"))?;
            outputs.spawn(carry(pipe, stream));
        }
        Ok(Self { exec, ends, outputs, fence })
    }

    /// Waits for the end of `exec`, tells it to end where the host asks for that, and ends all that it has left behind.
    pub(super) async fn end(mut self, asked: watch::Receiver<Asked>, grace: Duration) -> Result<End, GuestError> {
        let (status, stopped) = self.run(asked, grace).await?;
        let reap_all = || {
            let _ = reap(self.exec);
        };
        self.fence.clear(reap_all).await?;
        let oom = self.fence.starved();
        // Nobody is left who could write: the pipes have ends.
        let outputs = async { while self.outputs.join_next().await.is_some() {} };
        let late = |_elapsed| GuestError::Late { what: "the rest of what the script wrote", within: OUTPUT_WITHIN };
        timeout(OUTPUT_WITHIN, outputs).await.map_err(late)?;
        match (status.code(), status.signal()) {
            (Some(code), _) => Ok(End { code: u8::try_from(code).unwrap_or(u8::MAX), oom }),
            (None, Some(number)) if stopped || oom => Ok(End { code: after_signal(number), oom }),
            (None, number) => Err(GuestError::Killed(number.unwrap_or_default())),
        }
    }

    async fn run(
        &mut self,
        mut asked: watch::Receiver<Asked>,
        grace: Duration,
    ) -> Result<(ExitStatus, bool), GuestError> {
        let mut killed_at: Option<Instant> = None;
        let mut stopped = false;
        loop {
            if let Some(status) = reap(self.exec).map_err(doing("waiting for the program that runs the script"))? {
                return Ok((ExitStatus::from_raw(status.as_raw()), stopped));
            }
            tokio::select! {
                _ = self.ends.recv() => {}
                number = stop(&mut asked), if !stopped => {
                    stopped = true;
                    killed_at = Some(Instant::now() + grace);
                    // One that is gone is about to be noticed.
                    let _ = kill_process(self.exec, Signal::from_named_raw(number).unwrap_or(Signal::TERM));
                }
                () = at(killed_at), if killed_at.is_some() => {
                    killed_at = None;
                    self.fence.kill();
                }
            }
        }
    }
}

/// The signal that the host asks for; never, where the host is gone: then the machine is, too.
async fn stop(asked: &mut watch::Receiver<Asked>) -> i32 {
    let number = asked.wait_for(|asked| asked.stop.is_some()).await.ok().and_then(|asked| asked.stop);
    match number {
        Some(number) => number,
        None => std::future::pending().await,
    }
}

async fn at(moment: Option<Instant>) {
    if let Some(moment) = moment {
        sleep_until(moment).await;
    }
}

/// Takes every process that has ended, orphans too; gives the status of `exec` once that has.
fn reap(exec: Pid) -> Result<Option<WaitStatus>, rustix::io::Errno> {
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid == exec => return Ok(Some(status)),
            Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
            Ok(None) | Err(rustix::io::Errno::CHILD) => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}

/// Carries what is written, byte for byte; who writes waits for the host.
async fn carry(mut pipe: Receiver, mut stream: Stream) {
    // Where the host takes no more, neither do we: the writer is told so by its pipe.
    if tokio::io::copy(&mut pipe, &mut stream).await.is_ok() {
        let _ = stream.shutdown().await;
    }
}
