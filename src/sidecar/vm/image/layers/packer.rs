//! How an archive is packed, by how it begins.

use std::io::{self, BufReader, Read};

use super::slice::Slice;

/// Read at once, bytes.
const PIECE: usize = 256 * 1024;
/// A zstd archive may want so much memory, as a power of two: 128 MiB, the most that the `zstd` command takes unasked.
const WINDOW: u32 = 27;

/// How something is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Packer {
    None,
    Gzip,
    Zstd,
}

impl Packer {
    pub(in super::super) fn of(slice: &Slice) -> io::Result<Self> {
        let mut head = Vec::new();
        slice.clone().take(4).read_to_end(&mut head)?;
        Ok(match head.as_slice() {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd] => Self::Zstd,
            _ => Self::None,
        })
    }

    pub(in super::super) fn unpack<'a>(self, from: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
        let from = BufReader::with_capacity(PIECE, from);
        Ok(match self {
            Self::None => Box::new(from),
            Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(from)),
            Self::Zstd => {
                let mut unpacker = zstd::Decoder::with_buffer(from)?;
                unpacker.window_log_max(WINDOW)?;
                Box::new(unpacker)
            }
        })
    }
}
