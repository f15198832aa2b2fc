//! Files on their way in: unpacked as they come, and put in place when all of them are known to be right.

use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::sync::{mpsc, oneshot};

use super::error::{PackError, Why};
use super::pipe::{AHEAD, PIECE, PieceReader};
use super::read::{Kind, Member, Members};
use super::staging::Staging;
use super::{Limits, Packed, names};
use crate::domain::blob::Packing;

/// Something on its way in. Dropped before its end, it leaves nothing.
#[derive(Debug)]
pub(crate) struct Incoming {
    pieces: mpsc::Sender<Bytes>,
    is_right: oneshot::Sender<()>,
    ended: oneshot::Receiver<Result<Packed, PackError>>,
    sum: Sha256,
    size: u64,
}

/// What is unpacked, and where to.
struct Job {
    target: PathBuf,
    packing: Packing,
    name: Vec<u8>,
    limits: Limits,
}

impl Incoming {
    /// Begins to unpack into `target`, on a thread of its own; `name` is what a single file will be called.
    ///
    /// # Errors
    /// When the name is none, or there can be no thread.
    pub(crate) fn start(target: &Path, packing: Packing, name: &str, limits: Limits) -> Result<Self, PackError> {
        let job = Job { target: target.to_owned(), packing, name: single(name)?, limits };
        let (pieces, receiver) = mpsc::channel(AHEAD);
        let (is_right, verdict) = oneshot::channel();
        let (done, ended) = oneshot::channel();
        let thread = std::thread::Builder::new().name("unpack".to_owned());
        let started = thread.spawn(move || {
            // Who has gone away does not want to know.
            let _ = done.send(job.run(PieceReader::new(receiver), verdict));
        });
        started.map_err(PackError::Thread)?;
        Ok(Self { pieces, is_right, ended, sum: Sha256::new(), size: 0 })
    }

    /// Takes the next piece. False: no more are needed, and [`Self::finish`] tells why.
    pub(crate) async fn feed(&mut self, piece: Bytes) -> bool {
        self.sum.update(&piece);
        self.size = self.size.saturating_add(piece.len() as u64);
        self.pieces.send(piece).await.is_ok()
    }

    /// All pieces are there: if they are what was kept, the files are put in place.
    ///
    /// # Errors
    /// See [`PackError`]; then nothing was put anywhere.
    pub(crate) async fn finish(self, size: Option<u64>, sha256: Option<&str>) -> Result<Packed, PackError> {
        drop(self.pieces);
        let is_whole = size.is_none_or(|size| size == self.size);
        let is_same = sha256.is_none_or(|sum| sum.eq_ignore_ascii_case(&hex::encode(self.sum.finalize())));
        if is_whole && is_same {
            // A thread that has ended before says why.
            let _ = self.is_right.send(());
            return self.ended.await.unwrap_or(Err(PackError::Lost));
        }
        drop(self.is_right);
        match self.ended.await {
            Ok(Err(error @ (PackError::Refused { .. } | PackError::File { .. }))) => Err(error),
            _ if is_whole => Err(PackError::Sum("its sum is another")),
            _ => Err(PackError::Sum("its size is another")),
        }
    }
}

/// The name of a single file: one part, and no more.
fn single(name: &str) -> Result<Vec<u8>, PackError> {
    let plain = names::plain(name.as_bytes())?;
    if plain.is_empty() || names::depth(&plain) > 0 {
        return Err(PackError::refused(name.as_bytes(), Why::Strange));
    }
    Ok(plain)
}

impl Job {
    fn run(self, from: impl Read, verdict: oneshot::Receiver<()>) -> Result<Packed, PackError> {
        let mut staging = Staging::new(&self.target, self.limits.links)?;
        let packed = match self.packing {
            Packing::File => self.file(from, &mut staging)?,
            Packing::Archive => {
                let unpacker = zstd::Decoder::new(from).map_err(PackError::Damaged)?;
                unpack(Members::new(unpacker, self.limits), &self.limits, &mut staging)?
            }
        };
        match verdict.blocking_recv() {
            Ok(()) => staging.settle().map(|()| packed),
            Err(_not_right) => Err(PackError::Lost),
        }
    }

    fn file(&self, mut from: impl Read, staging: &mut Staging) -> Result<Packed, PackError> {
        let mut file = staging.file(&self.name)?;
        let bytes = copy(&self.name, &mut from, &mut file, self.limits.bytes, self.limits.bytes)?;
        let mode = rustix::fs::Mode::from_raw_mode(0o644);
        rustix::fs::fchmod(&file, mode).map_err(|error| PackError::file(&self.name, "written", error))?;
        Ok(Packed { entries: 1, bytes })
    }
}

fn unpack(mut members: Members<impl Read>, limits: &Limits, staging: &mut Staging) -> Result<Packed, PackError> {
    let (mut packed, mut entries) = (Packed::default(), 0_u64);
    while let Some(member) = members.next()? {
        let path = names::plain(&member.path)?;
        entries += 1;
        check(&member, &path, limits, entries, packed.bytes)?;
        if path.is_empty() {
            continue;
        }
        if member.kind == Kind::File {
            let mut file = staging.file(&path)?;
            let left = limits.bytes.saturating_sub(packed.bytes);
            packed.bytes += copy(&path, &mut members.data(), &mut file, left, limits.bytes)?;
            Staging::finish(&file, &member, &path)?;
        } else {
            staging.add(&member, &path)?;
        }
        packed.entries += u64::from(member.kind != Kind::Directory);
    }
    Ok(packed)
}

fn check(member: &Member, path: &[u8], limits: &Limits, entries: u64, bytes: u64) -> Result<(), PackError> {
    let refused = |why| Err(PackError::refused(&member.path, why));
    match () {
        () if member.kind == Kind::Fifo => refused(Why::Fifo),
        () if member.kind == Kind::Device => refused(Why::Device),
        () if path.is_empty() && member.kind != Kind::Directory => refused(Why::Strange),
        () if entries > limits.entries => refused(Why::Entries(limits.entries)),
        () if names::depth(path) >= limits.depth => refused(Why::Depth(limits.depth)),
        () if bytes.saturating_add(member.size) > limits.bytes => refused(Why::Bytes(limits.bytes)),
        () => Ok(()),
    }
}

fn copy(path: &[u8], from: &mut impl Read, to: &mut std::fs::File, left: u64, limit: u64) -> Result<u64, PackError> {
    let mut buffer = vec![0; PIECE];
    let mut written = 0_u64;
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => return Ok(written),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(PackError::Damaged(error)),
        };
        written = written.saturating_add(read as u64);
        if written > left {
            return Err(PackError::refused(path, Why::Bytes(limit)));
        }
        let piece = buffer.get(..read).unwrap_or_default();
        to.write_all(piece).map_err(|error| PackError::file(path, "written", error))?;
    }
}
