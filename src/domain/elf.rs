//! Whether a program needs nothing of the system that it runs on.

/// How much of a program's beginning [`is_static`] must be given: linkers put the program headers right after the
/// file's own, and there are a dozen of 56 bytes.
pub const HEAD: usize = 4096;

const MAGIC: &[u8] = b"\x7fELF";
/// `EI_CLASS`: 64 bits.
const CLASS_64: u8 = 2;
/// `EI_DATA`: little-endian.
const LITTLE_ENDIAN: u8 = 1;
/// `PT_INTERP`: the loader that a dynamic program asks for.
const INTERPRETER: u32 = 3;

/// Whether `head`, the beginning of a program, is that of a 64-bit little-endian ELF file that asks for no loader
/// (<https://refspecs.linuxfoundation.org/elf/gabi4+/ch5.pheader.html>). What cannot be read is not static.
#[must_use]
pub fn is_static(head: &[u8]) -> bool {
    matches!(asks_for_a_loader(head), Some(false))
}

fn asks_for_a_loader(head: &[u8]) -> Option<bool> {
    if !head.starts_with(MAGIC) || head.get(4) != Some(&CLASS_64) || head.get(5) != Some(&LITTLE_ENDIAN) {
        return None;
    }
    let offset = usize::try_from(u64::from_le_bytes(bytes(head, 0x20)?)).ok()?;
    let size = usize::from(u16::from_le_bytes(bytes(head, 0x36)?));
    let count = usize::from(u16::from_le_bytes(bytes(head, 0x38)?));
    for index in 0..count {
        let at = index.checked_mul(size)?.checked_add(offset)?;
        if u32::from_le_bytes(bytes(head, at)?) == INTERPRETER {
            return Some(true);
        }
    }
    // A file without program headers is no program.
    (count > 0).then_some(false)
}

fn bytes<const N: usize>(head: &[u8], at: usize) -> Option<[u8; N]> {
    head.get(at..at.checked_add(N)?)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert, proptest};

    use super::*;

    /// A program with headers of these types.
    fn program(types: &[u32]) -> Vec<u8> {
        let mut head = vec![0; 64];
        head[..4].copy_from_slice(MAGIC);
        (head[4], head[5]) = (CLASS_64, LITTLE_ENDIAN);
        head[0x20] = 64;
        head[0x36] = 56;
        head[0x38] = u8::try_from(types.len()).unwrap();
        for kind in types {
            head.extend(kind.to_le_bytes());
            head.extend([0; 52]);
        }
        head
    }

    #[test]
    fn a_program_without_a_loader_is_static() {
        assert!(is_static(&program(&[6, 1, 1, 2])), "a position-independent one has a dynamic section all the same");
        assert!(!is_static(&program(&[6, INTERPRETER, 1])));
        assert!(!is_static(&program(&[])));
        assert!(!is_static(&program(&[1, 1])[..70]), "what is cut off is not known");
        assert!(!is_static(b"#!/bin/sh\n"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(noise in proptest::collection::vec(any::<u8>(), 0..300), cut in 0usize..300) {
            prop_assert!(!is_static(&noise));
            let whole = program(&[1, 2, INTERPRETER]);
            prop_assert!(!is_static(&whole[..cut.min(whole.len())]));
        }
    }
}
