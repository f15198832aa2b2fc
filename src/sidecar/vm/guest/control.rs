//! The handshake, on the machine's side: lines of JSON on the link's first stream.

use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, ReadHalf, WriteHalf};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::error::{GuestError, doing};
use crate::domain::vm::{End, LINE_MOST, Setup, ToGuest, ToHost, VERSION};
use crate::sidecar::reasons;
use crate::sidecar::vm::link::{Link, Purpose, Stream};

/// The host answers at once; it may have to begin a build's log first.
const SETUP_WITHIN: Duration = Duration::from_secs(60);
/// A line that the host does not take by then is for nobody.
const TAKEN_WITHIN: Duration = Duration::from_secs(60);
/// The longest reason.
const WHY_MOST: usize = 4096;

/// What the host has asked for since the setup.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Asked {
    /// The first signal for the workload; others change nothing.
    pub(super) stop: Option<i32>,
    pub(super) off: bool,
}

/// The way to the host's handshake.
#[derive(Debug)]
pub(super) struct Control {
    to: WriteHalf<Stream>,
    nonce: String,
    asked: watch::Receiver<Asked>,
    _listening: AbortOnDropHandle<()>,
}

impl Control {
    /// Says that this machine has booted, and takes what it is to be.
    pub(super) async fn begin(link: &Link) -> Result<(Self, Setup), GuestError> {
        let (from, mut to) = tokio::io::split(link.open(Purpose::Control)?);
        say(&mut to, &ToHost::Booted { version: VERSION }).await?;
        let mut from = BufReader::new(from);
        let told = timeout(SETUP_WITHIN, first(&mut from)).await;
        let late = |_elapsed| GuestError::Late { what: "the host's answer to a booted machine", within: SETUP_WITHIN };
        let setup = told.map_err(late)??;
        let (tell, asked) = watch::channel(Asked::default());
        let listening = AbortOnDropHandle::new(tokio::spawn(listen(from, tell)));
        Ok((Self { to, nonce: setup.nonce.clone(), asked, _listening: listening }, setup))
    }

    /// What the host asks for from now on.
    pub(super) fn asked(&self) -> watch::Receiver<Asked> {
        self.asked.clone()
    }

    pub(super) async fn ready(&mut self) -> Result<(), GuestError> {
        say(&mut self.to, &ToHost::Ready { nonce: self.nonce.clone() }).await
    }

    pub(super) async fn running(&mut self) -> Result<(), GuestError> {
        say(&mut self.to, &ToHost::Running { nonce: self.nonce.clone() }).await
    }

    pub(super) async fn done(&mut self, end: End) -> Result<(), GuestError> {
        say(&mut self.to, &ToHost::Done { nonce: self.nonce.clone(), end }).await
    }

    pub(super) async fn failed(&mut self, error: &GuestError) -> Result<(), GuestError> {
        let why = reasons(error).chars().take(WHY_MOST).collect();
        say(&mut self.to, &ToHost::Failed { nonce: self.nonce.clone(), why }).await
    }

    /// Waits until the host wants the machine switched off, or `within` is over.
    pub(super) async fn off(&mut self, within: Duration) {
        // One that is gone asks for nothing any more.
        let _ = timeout(within, self.asked.wait_for(|asked| asked.off)).await;
    }
}

async fn say(to: &mut WriteHalf<Stream>, message: &ToHost) -> Result<(), GuestError> {
    const DOING: &str = "saying to the host how far the machine is";
    let mut line = serde_json::to_vec(message).map_err(doing(DOING))?;
    line.push(b'\n');
    let said = async {
        to.write_all(&line).await?;
        to.flush().await
    };
    let late = |_elapsed| GuestError::Late { what: "the host", within: TAKEN_WITHIN };
    timeout(TAKEN_WITHIN, said).await.map_err(late)?.map_err(doing(DOING))
}

async fn first(from: &mut BufReader<ReadHalf<Stream>>) -> Result<Setup, GuestError> {
    loop {
        match next::<ToGuest>(from).await.map_err(doing("reading what the machine is to be"))? {
            Some(ToGuest::Setup(setup)) => return Ok(*setup),
            Some(ToGuest::Stop { .. } | ToGuest::Off) | None => {}
        }
    }
}

/// Takes what the host says later: each thing once.
async fn listen(mut from: BufReader<ReadHalf<Stream>>, tell: watch::Sender<Asked>) {
    while let Ok(message) = next::<ToGuest>(&mut from).await {
        match message {
            Some(ToGuest::Stop { signal }) => tell.send_modify(|asked| {
                asked.stop.get_or_insert(signal);
            }),
            Some(ToGuest::Off) => tell.send_modify(|asked| asked.off = true),
            Some(ToGuest::Setup(_)) | None => {}
        }
    }
}

/// The next line; none: one that is no message.
async fn next<T: DeserializeOwned>(from: &mut BufReader<ReadHalf<Stream>>) -> std::io::Result<Option<T>> {
    let mut line = Vec::new();
    let most = u64::try_from(LINE_MOST).unwrap_or(u64::MAX);
    let read = from.take(most).read_until(b'\n', &mut line).await?;
    match (read, line.last()) {
        (0, _) => Err(std::io::ErrorKind::UnexpectedEof.into()),
        (_, Some(b'\n')) => Ok(serde_json::from_slice(&line).ok()),
        _ => Err(std::io::ErrorKind::InvalidData.into()),
    }
}
