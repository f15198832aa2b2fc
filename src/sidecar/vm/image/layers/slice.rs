//! Parts of files, read where they lie: one open file for any number of them.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::error::{ImageError, failed};

/// A part of a file, from where it is read next to its end.
#[derive(Debug, Clone)]
pub(in super::super) struct Slice {
    file: Arc<File>,
    at: u64,
    left: u64,
}

impl Slice {
    /// A whole file.
    pub(in super::super) fn whole(path: &Path) -> Result<Self, ImageError> {
        let file = File::open(path).map_err(failed(path, "read"))?;
        let metadata = file.metadata().map_err(failed(path, "read"))?;
        if !metadata.is_file() {
            return Err(ImageError::Usage(format!("{} is no file", path.display())));
        }
        Ok(Self { file: Arc::new(file), at: 0, left: metadata.len() })
    }

    /// So much of it.
    pub(in super::super) fn part(&self, at: u64, size: u64) -> Self {
        let at = at.min(self.left);
        Self { file: Arc::clone(&self.file), at: self.at + at, left: size.min(self.left - at) }
    }

    /// Where it is read next.
    pub(in super::super) fn at(&self) -> u64 {
        self.at
    }

    pub(in super::super) fn size(&self) -> u64 {
        self.left
    }
}

impl Read for Slice {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.file.read_at(buffer.get_mut(..most).unwrap_or_default(), self.at)?;
        self.at += read as u64;
        self.left = self.left.saturating_sub(read as u64);
        Ok(read)
    }
}

/// Where the contents of all files of an image go, one behind the other.
#[derive(Debug)]
pub(super) struct Spool {
    path: PathBuf,
    out: BufWriter<File>,
    at: u64,
}

impl Spool {
    pub(super) fn new(path: &Path) -> Result<Self, ImageError> {
        let out = BufWriter::with_capacity(1 << 20, File::create(path).map_err(failed(path, "made"))?);
        Ok(Self { path: path.to_owned(), out, at: 0 })
    }

    /// Where the next one will begin.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// All of it, to be read.
    pub(super) fn finish(mut self) -> Result<Slice, ImageError> {
        self.out.flush().map_err(failed(&self.path, "written"))?;
        Slice::whole(&self.path)
    }
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.at += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
