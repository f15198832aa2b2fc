//! The program that is running, packed once into a file, for builds to fetch.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use flate2::{Compression, GzBuilder};
use sha2::{Digest as _, Sha256};
use tokio::sync::OnceCell;

use crate::domain::elf;

/// The program itself, whatever has become of the file that it was started from.
const RUNNING: &str = "/proc/self/exe";
/// The program's name in the archive.
const NAME: &str = "albatros";
/// Stored, not compressed. A build unpacks three of these before its script starts: measured on Nomad 2.0.5 that takes
/// 0.1 s of two cores for all three as they are, 0.3 to 0.7 s at any other level, which is more than a gigabit network
/// saves by it.
const LEVEL: Compression = Compression::none();
/// What is copied at once.
const BUFFER: usize = 64 * 1024;

/// Why there is no archive.
#[derive(Debug, thiserror::Error)]
pub(super) enum ArchiveError {
    /// It would only run where the same libraries are: not in any image.
    #[error("the running program is not static")]
    NotStatic,
    /// The disk would not give or take it.
    #[error("the running program cannot be packed")]
    Pack(#[source] io::Error),
}

/// The archive, made when it is first asked for.
#[derive(Debug)]
pub(crate) struct Archives {
    folder: PathBuf,
    made: OnceCell<Archive>,
}

/// A `.tar.gz` in an unlinked file: it is gone with the process, and takes disk instead of memory.
#[derive(Debug, Clone)]
pub(super) struct Archive {
    file: Arc<File>,
    /// Bytes.
    pub(super) size: u64,
    /// The same for the same program, whichever replica is asked.
    pub(super) etag: String,
}

impl Archives {
    /// None yet; it will be in `folder`.
    pub(super) fn new(folder: PathBuf) -> Arc<Self> {
        Arc::new(Self { folder, made: OnceCell::new() })
    }

    /// The archive of the running program. Who asks while it is made waits for it, and who leaves does not stop it;
    /// what failed is tried again.
    pub(super) async fn of_this_program(self: &Arc<Self>) -> Result<Archive, ArchiveError> {
        let this = Arc::clone(self);
        let made = tokio::spawn(async move {
            let folder = this.folder.clone();
            let make = move || Archive::make(Path::new(RUNNING), &folder);
            let made = this.made.get_or_try_init(|| async {
                tokio::task::spawn_blocking(make).await.map_err(io::Error::other).map_err(ArchiveError::Pack)?
            });
            made.await.cloned()
        });
        made.await.map_err(io::Error::other).map_err(ArchiveError::Pack)?
    }
}

impl Archive {
    fn make(program: &Path, folder: &Path) -> Result<Self, ArchiveError> {
        let program = File::open(program).map_err(ArchiveError::Pack)?;
        let mut head = Vec::with_capacity(elf::HEAD);
        (&program).take(elf::HEAD as u64).read_to_end(&mut head).map_err(ArchiveError::Pack)?;
        if !elf::is_static(&head) {
            return Err(ArchiveError::NotStatic);
        }
        Self::pack(&program, folder).map_err(ArchiveError::Pack)
    }

    fn pack(program: &File, folder: &Path) -> io::Result<Self> {
        let size = program.metadata()?.len();
        let mut from_start = BufReader::with_capacity(BUFFER, At { file: program, offset: 0 });
        let mut out = Hashing { file: tempfile::tempfile_in(folder)?, size: 0, sha256: Sha256::new() };
        // Neither time nor owner is in it: the same program makes the same bytes.
        let gzip = GzBuilder::new().write(BufWriter::with_capacity(BUFFER, &mut out), LEVEL);
        let mut tar = tar::Builder::new(gzip);
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_mode(0o755);
        header.set_size(size);
        tar.append_data(&mut header, NAME, (&mut from_start).take(size))?;
        tar.into_inner()?.finish()?.flush()?;
        let etag = format!("\"{}\"", hex::encode(out.sha256.finalize()));
        Ok(Self { file: Arc::new(out.file), size: out.size, etag })
    }

    /// The next piece from `offset`; empty at the end.
    pub(super) async fn read(&self, offset: u64) -> io::Result<Bytes> {
        let (file, left) = (Arc::clone(&self.file), self.size.saturating_sub(offset));
        let size = usize::try_from(left).unwrap_or(BUFFER).min(BUFFER);
        let read = tokio::task::spawn_blocking(move || {
            let mut bytes = vec![0; size];
            file.read_exact_at(&mut bytes, offset)?;
            Ok(Bytes::from(bytes))
        });
        read.await.map_err(io::Error::other).flatten()
    }
}

/// A file from its start, wherever others have read to.
struct At<'a> {
    file: &'a File,
    offset: u64,
}

impl Read for At<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(into, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}

/// Counts and hashes what goes into a file.
struct Hashing {
    file: File,
    size: u64,
    sha256: Sha256,
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.sha256.update(bytes.get(..written).unwrap_or_default());
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The beginning of a static program, and something behind it.
    fn program(folder: &Path, more: &[u8]) -> PathBuf {
        let mut bytes = vec![0; 120];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        (bytes[0x20], bytes[0x36], bytes[0x38]) = (64, 56, 1);
        bytes[64] = 1;
        bytes.extend(more);
        let path = folder.join("program");
        std::fs::write(&path, bytes).unwrap();
        path
    }

    async fn whole(archive: &Archive) -> Vec<u8> {
        let mut all = Vec::new();
        while (all.len() as u64) < archive.size {
            all.extend(archive.read(all.len() as u64).await.unwrap());
        }
        assert!(archive.read(archive.size).await.unwrap().is_empty());
        all
    }

    #[tokio::test]
    async fn what_is_packed_comes_out_executable_and_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let noise: Vec<u8> = (0..300_000u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        let path = program(folder.path(), &noise);
        let packed = whole(&Archive::make(&path, folder.path()).unwrap()).await;
        let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(packed.as_slice()));
        let mut entries = tar.entries().unwrap();
        let mut entry = entries.next().unwrap().unwrap();
        assert_eq!((entry.path().unwrap().to_str(), entry.header().mode().unwrap()), (Some("albatros"), 0o755));
        let mut out = Vec::new();
        entry.read_to_end(&mut out).unwrap();
        assert_eq!(out, std::fs::read(&path).unwrap());
        drop(entry);
        assert!(entries.next().is_none());
    }

    #[tokio::test]
    async fn the_same_program_makes_the_same_archive_and_another_one_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = program(folder.path(), b"one");
        let first = Archive::make(&path, folder.path()).unwrap();
        let again = program(folder.path(), b"one");
        let second = Archive::make(&again, folder.path()).unwrap();
        assert_eq!(whole(&first).await, whole(&second).await);
        assert_eq!(first.etag, second.etag);
        let other = Archive::make(&program(folder.path(), b"two"), folder.path()).unwrap();
        assert_ne!(other.etag, first.etag);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left in the folder");
    }

    #[test]
    fn a_script_is_not_packed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("script");
        std::fs::write(&path, "#!/bin/sh\n").unwrap();
        assert!(matches!(Archive::make(&path, folder.path()), Err(ArchiveError::NotStatic)));
        assert!(matches!(Archive::make(&folder.path().join("none"), folder.path()), Err(ArchiveError::Pack(_))));
    }
}
