//! The release build of `albatros` as a process of its own: started, measured, stopped.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tempfile::TempDir;

use crate::load;

/// What is measured.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_albatros");
/// A server that has not answered by then never will.
const START_WITHIN: Duration = Duration::from_secs(20);
/// Between two looks at a starting server.
const LOOK: Duration = Duration::from_micros(500);
/// How long an ordered end may take.
const STOP_WITHIN: Duration = Duration::from_secs(8);

/// A running server; dropped, it is stopped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    /// From the start of the process to its first 200.
    pub(crate) started_in: Duration,
    /// What it printed is here, and whatever it spools.
    pub(crate) folder: TempDir,
}

impl Server {
    /// Starts `albatros <arguments> --listen …` with these variables and hardly any other.
    pub(crate) async fn start(arguments: &[&str], variables: &[(&str, &str)]) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let address = free_address()?;
        let printed = File::create(folder.path().join("printed"))?;
        let mut command = Command::new(PROGRAM);
        command.args(arguments).arg("--listen").arg(address.to_string());
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", folder.path()).env("TMPDIR", folder.path());
        command.envs(variables.iter().copied());
        command.stdin(Stdio::null()).stdout(printed.try_clone()?).stderr(printed);
        let began = Instant::now();
        let child = command.spawn().context("albatros does not start")?;
        let mut server = Self { child, address, started_in: Duration::ZERO, folder };
        server.started_in = server.first_answer(began).await?;
        Ok(server)
    }

    async fn first_answer(&mut self, began: Instant) -> anyhow::Result<Duration> {
        loop {
            if load::get(self.address, "/healthz").await.is_ok_and(|status| status == 200) {
                return Ok(began.elapsed());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("albatros ended with {status}: {}", self.printed());
            }
            if began.elapsed() > START_WITHIN {
                bail!("albatros does not answer: {}", self.printed());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// What it has printed, for complaints.
    pub(crate) fn printed(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("printed")).unwrap_or_default()
    }

    /// Resident memory now, bytes.
    pub(crate) fn resident(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// The most resident memory since [`Server::forget_peak`], bytes.
    pub(crate) fn peak(&self) -> u64 {
        self.memory("VmHWM:")
    }

    /// From now on [`Server::peak`] counts anew.
    pub(crate) fn forget_peak(&self) -> anyhow::Result<()> {
        // 5 resets the peak: proc(5), /proc/pid/clear_refs.
        Ok(std::fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5")?)
    }

    fn memory(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or_default() * 1024
    }

    /// Processor time used so far.
    pub(crate) fn processor(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        let behind_name = stat.rsplit(')').next().unwrap_or_default();
        let ticks = behind_name.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum::<u64>();
        Duration::from_millis(ticks * 10)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        // It may have ended by itself; then there is nothing to stop.
        let _gone = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let began = Instant::now();
        while began.elapsed() < STOP_WITHIN {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
