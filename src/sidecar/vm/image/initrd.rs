//! The machine's first root: this program as `/init`, the kernel's modules, a console.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::cpio::Cpio;
use super::error::{ImageError, failed};
use super::store::{Held, Kernel, Store, show};
use crate::domain::elf;

/// Archives of another format are made anew.
const FORMAT: &[u8] = b"albatros initrd v1\0";
/// A program is read in pieces of so many bytes.
const PIECE: usize = 256 * 1024;

pub(super) fn find_or_make(program: &Path, kernel: &Kernel, store: &Store) -> Result<(PathBuf, Held), ImageError> {
    let mut file = File::open(program).map_err(failed(program, "read"))?;
    let digest = digest(program, &mut file, kernel)?;
    if let Some(held) = store.initrd(&digest)? {
        return Ok(held);
    }
    file.rewind().map_err(failed(program, "read"))?;
    let draft = store.draft()?;
    let made = draft.path().join("initrd");
    fs::create_dir(&made).map_err(failed(&made, "made"))?;
    write(program, &file, kernel, &made.join("initrd"))?;
    let card = serde_json::json!({"kernel": kernel.digest});
    fs::write(made.join("initrd.json"), card.to_string()).map_err(failed(&made, "written"))?;
    store.add_initrd(&made, &digest)
}

/// By what is in it; on the way the program's beginning is looked at.
fn digest(path: &Path, program: &mut File, kernel: &Kernel) -> Result<String, ImageError> {
    let mut sum = Sha256::new();
    sum.update(FORMAT);
    sum.update(kernel.digest.as_bytes());
    let mut buffer = vec![0; PIECE];
    let mut head = Vec::with_capacity(elf::HEAD);
    loop {
        let read = match program.read(&mut buffer) {
            Ok(0) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read.map_err(failed(path, "read"))?,
        };
        let piece = buffer.get(..read).unwrap_or_default();
        if head.len() < elf::HEAD {
            head.extend(piece.iter().take(elf::HEAD - head.len()));
        }
        sum.update(piece);
    }
    if !elf::is_static(&head) {
        let why = "it is not a static program for this machine; build albatros for a musl target, or name a folder \
                   that has one with --bin-from DIR";
        return Err(ImageError::Program { path: path.to_owned(), why });
    }
    Ok(hex::encode(sum.finalize()))
}

fn write(path: &Path, program: &File, kernel: &Kernel, to: &Path) -> Result<(), ImageError> {
    let written = || failed::<io::Error>(to, "written");
    let size = program.metadata().map_err(failed(path, "read"))?.len();
    let mut cpio = Cpio::new(BufWriter::new(File::create(to).map_err(failed(to, "made"))?));
    cpio.directory("dev").map_err(written())?;
    // What process 1 has as its input and output before it makes a console of its own.
    cpio.device("dev/console", 5, 1).map_err(written())?;
    cpio.file("init", size, program).map_err(written())?;
    let mut out = cpio.finish().map_err(written())?;
    let modules = kernel.modules();
    let mut more = File::open(&modules).map_err(failed(&modules, "read"))?;
    // An archive behind an archive: the first one has ended at a multiple of 4, as the kernel wants it.
    io::copy(&mut more, &mut out).map_err(written())?;
    out.flush().map_err(written())?;
    show(to)
}
