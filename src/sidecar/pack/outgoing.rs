//! Files on their way out: chosen, and then packed as often as an upload is tried.

use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::unfold;
use tokio::sync::{mpsc, oneshot};

use super::error::PackError;
use super::pipe::{AHEAD, PieceWriter};
use super::walk::Item;
use super::{Limits, Packed, names, walk, write};
use crate::domain::blob::Packing;
use crate::sidecar::trusted::directory;

/// Files beneath a directory, to be packed.
#[derive(Debug, Clone)]
pub(crate) struct Selection {
    root: Arc<OwnedFd>,
    paths: Vec<Vec<u8>>,
    limits: Limits,
    /// An archive even of a single file.
    archive: bool,
}

/// Something on its way out.
#[derive(Debug)]
pub(crate) struct Outgoing {
    /// How it is packed.
    pub(crate) packing: Packing,
    /// Of a single file: its name, without its directory.
    pub(crate) name: Option<String>,
    /// Its size, where that is known beforehand.
    pub(crate) size: Option<u64>,
    pieces: mpsc::Receiver<Bytes>,
    ended: oneshot::Receiver<Result<Packed, PackError>>,
}

/// How the packing went, once its pieces are through.
#[derive(Debug, Clone, Default)]
pub(crate) struct Verdict(Arc<Mutex<Option<Result<Packed, PackError>>>>);

impl Selection {
    /// `paths` beneath `root`, which is opened now; a path that begins with `root` counts as one beneath it.
    ///
    /// # Errors
    /// When `root` cannot be opened, or a path leads outward.
    pub(crate) fn beneath(root: &Path, paths: &[PathBuf], limits: Limits) -> Result<Self, PackError> {
        let open = directory(root).map_err(|error| PackError::file(root.as_os_str().as_bytes(), "opened", error))?;
        let relative = |path: &PathBuf| names::plain(path.strip_prefix(root).unwrap_or(path).as_os_str().as_bytes());
        let paths = paths.iter().map(relative).collect::<Result<_, _>>()?;
        Ok(Self { root: Arc::new(open), paths, limits, archive: false })
    }

    /// `paths` beneath a directory that was opened before.
    ///
    /// # Errors
    /// When a path leads outward.
    pub(crate) fn within(root: Arc<OwnedFd>, paths: &[String], limits: Limits) -> Result<Self, PackError> {
        let paths = paths.iter().map(|path| names::plain(path.as_bytes())).collect::<Result<_, _>>()?;
        Ok(Self { root, paths, limits, archive: false })
    }

    pub(super) fn root(&self) -> &OwnedFd {
        &self.root
    }

    pub(super) fn paths(&self) -> &[Vec<u8>] {
        &self.paths
    }

    /// Always as an archive, so that it finds its place again: for caches.
    #[must_use]
    pub(crate) fn into_archive(self) -> Self {
        Self { archive: true, ..self }
    }

    /// Begins to pack, on a thread of its own; whatever is wrong with the files at once is told at once.
    ///
    /// # Errors
    /// When a single file cannot be opened, or there can be no thread.
    pub(crate) fn start(&self) -> Result<Outgoing, PackError> {
        let (sender, pieces) = mpsc::channel(AHEAD);
        let (done, ended) = oneshot::channel();
        let mut sink = PieceWriter::new(sender);
        let single = if self.archive { None } else { self.single()? };
        let thread = std::thread::Builder::new().name("pack".to_owned());
        let (packing, name, size) = match &single {
            Some((name, _, size)) => (Packing::File, Some(name.clone()), Some(*size)),
            None => (Packing::Archive, None, None),
        };
        let this = self.clone();
        let started = thread.spawn(move || {
            let packed = match single {
                Some((name, file, size)) => write::copy(name.as_bytes(), file, size, &mut sink).and_then(|()| {
                    sink.flush().map_err(PackError::Sink)?;
                    Ok(Packed { entries: 1, bytes: size })
                }),
                None => write::write(&this.root, &this.paths, &this.limits, sink),
            };
            // Who has gone away does not want to know.
            let _ = done.send(packed);
        });
        started.map_err(PackError::Thread)?;
        Ok(Outgoing { packing, name, size, pieces, ended })
    }

    /// The one regular file that this is, if it is one, with a name that is text on one line.
    fn single(&self) -> Result<Option<(String, std::fs::File, u64)>, PackError> {
        let [path] = self.paths.as_slice() else { return Ok(None) };
        if path.is_empty() {
            return Ok(None);
        }
        let name = std::str::from_utf8(names::split(path).1);
        let Some(name) = name.ok().filter(|name| !name.chars().any(char::is_control)) else { return Ok(None) };
        let mut found = None;
        let stop = || PackError::Lost;
        // Its first entry tells; what a directory holds is not walked through here.
        let walked = walk::walk(&self.root, std::slice::from_ref(path), &self.limits, |entry| match entry.item {
            Item::File { file, size, .. } => {
                found = Some((name.to_owned(), file, size));
                Ok(())
            }
            Item::Directory | Item::Link(_) => Err(stop()),
        });
        match walked {
            Ok(()) | Err(PackError::Lost) => Ok(found),
            Err(error) => Err(error),
        }
    }
}

impl Outgoing {
    /// Its pieces for an upload, which breaks where the packing fails; the verdict tells why.
    pub(crate) fn into_stream(self) -> (impl Stream<Item = std::io::Result<Bytes>> + Send + use<>, Verdict) {
        let verdict = Verdict::default();
        let told = verdict.clone();
        let stream = unfold(Some((self.pieces, self.ended)), move |state| {
            let told = told.clone();
            async move {
                let (mut pieces, ended) = state?;
                if let Some(piece) = pieces.recv().await {
                    return Some((Ok(piece), Some((pieces, ended))));
                }
                let packed = ended.await.unwrap_or(Err(PackError::Lost));
                let failed = packed.is_err();
                told.tell(packed);
                failed.then(|| (Err(std::io::Error::other("the files could not be packed")), None))
            }
        });
        (stream, verdict)
    }
}

impl Verdict {
    fn tell(&self, packed: Result<Packed, PackError>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(packed);
    }

    /// How the packing went; none where the upload has ended before it.
    pub(crate) fn take(&self) -> Option<Result<Packed, PackError>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
