//! One event stream for all who want to know that something has happened to a build.

use std::sync::OnceLock;
use std::time::Duration;

use tokio::sync::broadcast;
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::super::Hint;
use crate::api::nomad::{EventStream, Nomad, NomadError, PageQuery};

/// Hints a slow listener may be behind; beyond that it is told to read all again.
const BACKLOG: usize = 4_096;

/// Nomad gives a sign of life each 30 s.
const SILENCE: Duration = Duration::from_secs(75);

/// The pause before the first new try, doubled with each one in vain.
const PAUSE: Duration = Duration::from_millis(500);

/// The longest pause between tries; nothing hangs on hints but speed.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Hints for any number of listeners over one connection, which is opened for the first of them.
#[derive(Debug)]
pub(super) struct News {
    nomad: Nomad,
    hints: broadcast::Sender<Hint>,
    listening: OnceLock<DropGuard>,
}

impl News {
    pub(super) fn new(nomad: Nomad) -> Self {
        Self { nomad, hints: broadcast::channel(BACKLOG).0, listening: OnceLock::new() }
    }

    /// Hints from now on.
    pub(super) fn subscribe(&self) -> broadcast::Receiver<Hint> {
        let receiver = self.hints.subscribe();
        self.listening.get_or_init(|| {
            let stop = CancellationToken::new();
            let (nomad, hints) = (self.nomad.clone(), self.hints.clone());
            tokio::spawn(stop.clone().run_until_cancelled_owned(listen(nomad, hints)));
            stop.drop_guard()
        });
        receiver
    }
}

async fn listen(nomad: Nomad, hints: broadcast::Sender<Hint>) {
    let mut pause = PAUSE;
    loop {
        let began = match open(&nomad).await {
            Ok(stream) => relay(stream, &hints).await,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "Nomad's events cannot be read");
                false
            }
        };
        pause = if began { PAUSE } else { (pause * 2).min(LONGEST_PAUSE) };
        sleep(pause).await;
    }
}

/// From the present on: what was missed is made up for by reading all again.
async fn open(nomad: &Nomad) -> Result<EventStream, NomadError> {
    let now = nomad.jobs(&PageQuery { prefix: "albatros asks for the index", size: 1, ..PageQuery::default() }).await?;
    nomad.events(now.index).await
}

/// Passes hints on until the stream ends, and says whether there was anything at all: without the right to read events
/// it ends at once.
async fn relay(mut stream: EventStream, hints: &broadcast::Sender<Hint>) -> bool {
    let mut began = false;
    loop {
        let batch = match timeout(SILENCE, stream.next()).await {
            Ok(Ok(Some(batch))) => batch,
            Ok(Ok(None)) => {
                tracing::info!(began, "Nomad's event stream has ended");
                return began;
            }
            Ok(Err(error)) => {
                tracing::info!(error = &error as &dyn std::error::Error, "Nomad's event stream broke");
                return began;
            }
            Err(_) => {
                tracing::info!("Nomad's event stream has gone silent");
                return began;
            }
        };
        // Nobody listening is no failure.
        if !began {
            let _ = hints.send(Hint::All);
            began = true;
        }
        for build in batch.builds {
            let _ = hints.send(Hint::Build(build));
        }
    }
}
