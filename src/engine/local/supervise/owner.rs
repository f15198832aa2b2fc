//! The pipe from the engine: first the build's grant, for the controller alone, then silence until the build is to end.

use std::io;
use std::os::fd::OwnedFd;
use std::process::ChildStdin;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::pipe;

/// The grant's length goes before it, as so many bytes, big-endian.
pub(in super::super) type Length = u32;

/// Hands the grant on, and returns when the owner has closed the pipe or is dead.
pub(super) async fn until_gone(mut owner: pipe::Receiver, controller: ChildStdin) {
    if hand_on(&mut owner, controller).await.is_ok() {
        let mut byte = [0];
        // Whatever comes now, it is the end.
        let _ = owner.read(&mut byte).await;
    }
}

/// # Errors
/// When the owner is gone before it has said all.
async fn hand_on(owner: &mut pipe::Receiver, controller: ChildStdin) -> io::Result<()> {
    let mut length = [0; size_of::<Length>()];
    owner.read_exact(&mut length).await?;
    let mut controller = pipe::Sender::from_owned_fd(OwnedFd::from(controller))?;
    let mut rest = owner.take(Length::from_be_bytes(length).into());
    let mut piece = Vec::new();
    while rest.limit() > 0 {
        piece.clear();
        if rest.read_buf(&mut piece).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // A controller that is gone is noticed by its end.
        let _ = controller.write_all(&piece).await;
    }
    Ok(())
}
