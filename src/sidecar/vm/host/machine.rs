//! A machine that was started: its process, the connection into it, and what it has written.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::process::Child;
use tokio::time::timeout;

use super::console::Console;

/// A process that was killed is gone by then, or the kernel holds it.
const KILLED_WITHIN: Duration = Duration::from_secs(10);

/// The way into a machine.
pub(super) trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// One that runs; dropped, it is killed.
pub(super) struct Machine {
    child: Child,
    connection: Option<Box<dyn Connection>>,
    console: Console,
}

impl std::fmt::Debug for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machine").field("process", &self.child.id()).finish_non_exhaustive()
    }
}

impl Machine {
    /// `child` is to be killed when it is dropped.
    pub(super) fn new(child: Child, connection: impl Connection + 'static, console: Console) -> Self {
        Self { child, connection: Some(Box::new(connection)), console }
    }

    /// The way into it, once.
    pub(super) fn connection(&mut self) -> Option<Box<dyn Connection>> {
        self.connection.take()
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

    /// Ends it: it may do so itself for so long, which is nothing where it was not told to.
    pub(super) async fn end(&mut self, within: Duration) {
        if timeout(within, self.child.wait()).await.is_ok() {
            return;
        }
        // One that is gone already is what is wanted.
        let _ = self.child.start_kill();
        let _ = timeout(KILLED_WITHIN, self.child.wait()).await;
    }
}
