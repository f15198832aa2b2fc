//! A machine that was started: its process, the connection into it, and what it has written.

use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::process::Child;
use tokio::time::timeout;

use super::console::Console;

/// A process that was killed is gone by then, or the kernel holds it.
const KILLED_WITHIN: Duration = Duration::from_secs(10);

/// A process whose end of the connection is closed is about to end, and to say how.
pub(super) const LAST_WORDS: Duration = Duration::from_secs(2);

/// The way into a machine.
pub(super) trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// One that runs; dropped, it is killed.
pub(super) struct Machine {
    child: Child,
    connection: Option<Box<dyn Connection>>,
    console: Console,
    /// By somebody else.
    killed: bool,
    /// Its end is ours.
    ours: bool,
}

impl std::fmt::Debug for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machine").field("process", &self.child.id()).finish_non_exhaustive()
    }
}

impl Machine {
    /// `child` is to be killed when it is dropped.
    pub(super) fn new(child: Child, connection: impl Connection + 'static, console: Console) -> Self {
        Self { child, connection: Some(Box::new(connection)), console, killed: false, ours: false }
    }

    /// The way into it, once.
    pub(super) fn connection(&mut self) -> Option<Box<dyn Connection>> {
        self.connection.take()
    }

    /// The next byte that it says, before there is a link; otherwise how it has ended.
    pub(super) async fn hear(&mut self) -> Result<u8, String> {
        if let Some(connection) = &mut self.connection
            && let Ok(said) = connection.read_u8().await
        {
            return Ok(said);
        }
        // Its end of the connection goes a moment before itself.
        self.end(LAST_WORDS).await;
        Err(self.ended().await)
    }

    /// Says a byte to it, before there is a link.
    pub(super) async fn say(&mut self, byte: u8) -> io::Result<()> {
        match &mut self.connection {
            Some(connection) => connection.write_all(&[byte]).await,
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// What it has written, for when it is lost.
    pub(super) fn console(&self) -> &Console {
        &self.console
    }

    /// Waits until its process ends, and says how.
    pub(super) async fn ended(&mut self) -> String {
        match self.child.wait().await {
            Ok(status) => format!("its process has ended ({status})"),
            Err(error) => format!("its process cannot be waited for ({error})"),
        }
    }

    /// Whether, when it was to be ended, somebody else had killed it.
    pub(super) fn was_killed(&self) -> bool {
        self.killed
    }

    /// Ends it: it may do so itself for so long, which is nothing where it was not told to.
    pub(super) async fn end(&mut self, within: Duration) {
        if let Ok(status) = timeout(within, self.child.wait()).await {
            self.killed = !self.ours && status.is_ok_and(|status| status.signal().is_some());
            return;
        }
        self.ours = true;
        // One that is gone already is what is wanted.
        let _ = self.child.start_kill();
        let _ = timeout(KILLED_WITHIN, self.child.wait()).await;
    }
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use rustix::process::{Pid, Signal, kill_process};
    use tokio::process::Command;

    use super::*;

    fn machine(program: &str, args: &[&str]) -> Machine {
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
        let (ours, _theirs) = tokio::io::duplex(16);
        Machine::new(command.spawn().unwrap(), ours, Console::default())
    }

    #[tokio::test]
    async fn whose_end_of_a_machine_it_was_is_known() {
        let mut killed = machine("sleep", &["1000"]);
        let pid = Pid::from_raw(i32::try_from(killed.child.id().unwrap()).unwrap()).unwrap();
        kill_process(pid, Signal::KILL).unwrap();
        killed.end(Duration::from_secs(60)).await;
        assert!(killed.was_killed());
        let mut ours = machine("sleep", &["1000"]);
        ours.end(Duration::ZERO).await;
        assert!(!ours.was_killed());
        // It stays ours.
        ours.end(Duration::from_secs(60)).await;
        assert!(!ours.was_killed());
        let mut by_itself = machine("false", &[]);
        by_itself.end(Duration::from_secs(60)).await;
        assert!(!by_itself.was_killed());
        assert!(by_itself.ended().await.contains("exit status: 1"));
    }

    #[tokio::test]
    async fn what_has_ended_says_nothing_more() {
        let mut machine = machine("false", &[]);
        assert!(machine.hear().await.unwrap_err().contains("exit status: 1"));
    }
}
