//! An archive that the kernel unpacks into its first root: cpio, in the format "newc"
//! (<https://docs.kernel.org/driver-api/early-userspace/buffer-format.html>). Several of them one after the other are one.

use std::io::{self, Read, Write};

/// Names and contents begin at multiples of so many bytes.
const ALIGNED: u64 = 4;
const DIRECTORY: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const CHARACTER: u32 = 0o020_000;

/// An archive on its way to `out`.
#[derive(Debug)]
pub(super) struct Cpio<W> {
    out: W,
    at: u64,
    entries: u32,
}

/// A header's fields that differ from entry to entry.
struct Entry<'a> {
    name: &'a str,
    mode: u32,
    size: u32,
    device: (u32, u32),
}

impl<W: Write> Cpio<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out, at: 0, entries: 0 }
    }

    pub(super) fn directory(&mut self, name: &str) -> io::Result<()> {
        self.entry(&Entry { name, mode: DIRECTORY | 0o755, size: 0, device: (0, 0) })
    }

    /// A character device.
    pub(super) fn device(&mut self, name: &str, major: u32, minor: u32) -> io::Result<()> {
        self.entry(&Entry { name, mode: CHARACTER | 0o600, size: 0, device: (major, minor) })
    }

    /// A file of exactly `size` bytes, which anybody may run.
    pub(super) fn file(&mut self, name: &str, size: u64, from: impl Read) -> io::Result<()> {
        let most = || io::Error::new(io::ErrorKind::FileTooLarge, "more than 4 GiB do not fit into an initrd");
        let short = u32::try_from(size).map_err(|_more| most())?;
        self.entry(&Entry { name, mode: FILE | 0o755, size: short, device: (0, 0) })?;
        let copied = io::copy(&mut from.take(size), &mut self.out)?;
        if copied != size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.at += copied;
        self.fill()
    }

    /// Its end.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.entry(&Entry { name: "TRAILER!!!", mode: 0, size: 0, device: (0, 0) })?;
        Ok(self.out)
    }

    fn entry(&mut self, entry: &Entry<'_>) -> io::Result<()> {
        self.entries += u32::from(entry.mode != 0);
        let (major, minor) = entry.device;
        let name = entry.name.len() as u64 + 1;
        let number = if entry.mode == 0 { 0 } else { self.entries };
        let fields = [number, entry.mode, 0, 0, 1, 0, entry.size, 0, 0, major, minor];
        let mut header = String::from("070701");
        for field in fields {
            header.push_str(&format!("{field:08x}"));
        }
        header.push_str(&format!("{name:08x}{:08x}", 0));
        self.out.write_all(header.as_bytes())?;
        self.out.write_all(entry.name.as_bytes())?;
        self.out.write_all(&[0])?;
        self.at += header.len() as u64 + name;
        self.fill()
    }

    fn fill(&mut self) -> io::Result<()> {
        while !self.at.is_multiple_of(ALIGNED) {
            self.out.write_all(&[0])?;
            self.at += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_aligned_and_ends_with_its_trailer() {
        let mut cpio = Cpio::new(Vec::new());
        cpio.directory("dev").unwrap();
        cpio.device("dev/console", 5, 1).unwrap();
        cpio.file("init", 5, &b"hello"[..]).unwrap();
        let bytes = cpio.finish().unwrap();
        assert_eq!(bytes.len() % 4, 0);
        let at = |needle: &[u8]| bytes.windows(needle.len()).position(|window| window == needle).unwrap();
        assert_eq!(at(b"hello") % 4, 0);
        assert_eq!((at(b"init\0") - 110) % 4, 0, "a header has 110 bytes");
        assert!(at(b"TRAILER!!!\0") > at(b"hello"));
        let device = at(b"dev/console\0") - 110;
        assert_eq!(&bytes[device + 78..device + 94], b"0000000500000001");
    }

    #[test]
    fn a_file_that_ends_too_early_is_an_error() {
        let mut cpio = Cpio::new(Vec::new());
        assert!(cpio.file("init", 6, &b"hello"[..]).is_err());
        assert!(cpio.file("init", 1 << 33, &b"hello"[..]).is_err());
    }
}
