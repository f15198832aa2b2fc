//! What is on the wire: a head of nine bytes, and what it says there is behind it.

use super::purpose::LONGEST;

/// The bytes of a head.
pub(super) const HEAD: usize = 9;
/// The most bytes of a stream in one frame: others need not wait long for their turn.
pub(super) const PIECE: usize = 16 << 10;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A new stream; its purpose follows.
    Open,
    /// Bytes of a stream follow.
    Data,
    /// So many more bytes are taken of a stream.
    Credit,
    /// No more bytes come.
    End,
    /// The stream is dead in both directions.
    Reset,
}

/// A frame without what follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) kind: Kind,
    pub(super) id: u32,
    /// Bytes that follow; of [`Kind::Credit`] what is given.
    pub(super) size: u32,
}

impl Head {
    /// None: no frame begins like that.
    pub(super) fn parse(bytes: [u8; HEAD]) -> Option<Self> {
        let [kind, a, b, c, d, e, f, g, h] = bytes;
        let (id, size) = (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]));
        let (kind, fits) = match kind {
            1 => (Kind::Open, (1..=LONGEST).contains(&(size as usize))),
            2 => (Kind::Data, (1..=PIECE).contains(&(size as usize))),
            3 => (Kind::Credit, size > 0),
            4 => (Kind::End, size == 0),
            5 => (Kind::Reset, size == 0),
            _ => return None,
        };
        fits.then_some(Self { kind, id, size })
    }

    pub(super) fn bytes(self) -> [u8; HEAD] {
        let kind = match self.kind {
            Kind::Open => 1,
            Kind::Data => 2,
            Kind::Credit => 3,
            Kind::End => 4,
            Kind::Reset => 5,
        };
        let ([a, b, c, d], [e, f, g, h]) = (self.id.to_be_bytes(), self.size.to_be_bytes());
        [kind, a, b, c, d, e, f, g, h]
    }

    /// How many bytes follow it.
    pub(super) fn follows(self) -> usize {
        match self.kind {
            Kind::Open | Kind::Data => self.size as usize,
            Kind::Credit | Kind::End | Kind::Reset => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_head_is_refused_or_written_as_it_was_read(bytes in any::<[u8; HEAD]>()) {
            if let Some(head) = Head::parse(bytes) {
                prop_assert_eq!(head.bytes(), bytes);
                prop_assert!(head.follows() <= PIECE);
            }
        }
    }

    #[test]
    fn what_is_too_long_for_its_kind_is_no_frame() {
        for (kind, size) in [(1, 257_u32), (1, 0), (2, 0), (2, 16_385), (3, 0), (4, 1), (5, 1), (0, 0), (6, 0)] {
            let [e, f, g, h] = size.to_be_bytes();
            assert_eq!(Head::parse([kind, 0, 0, 0, 1, e, f, g, h]), None, "{kind} {size}");
        }
    }
}
