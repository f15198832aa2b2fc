//! The keys of one object that is being read: cheap for what forges send, and never slow for what anybody else does.

use std::borrow::Cow;
use std::collections::HashSet;

/// Up to here keys are compared with each other, beyond it hashed: a hash that nobody can foresee costs more than the
/// few comparisons that are left after [`Keys::bit`], but many keys would cost their square.
const FEW: usize = 128;

/// The keys seen so far.
#[derive(Debug, Default)]
pub(super) struct Keys<'a> {
    /// A bit for each key of `few`: a key whose bit is not set is surely new.
    bits: [u64; 4],
    few: Vec<Cow<'a, str>>,
    many: HashSet<Cow<'a, str>>,
}

impl<'a> Keys<'a> {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.few.len() + self.many.len()
    }

    /// Adds a key; gives it back when it is there already.
    pub(super) fn add(&mut self, key: Cow<'a, str>) -> Result<(), Cow<'a, str>> {
        let (word, bit) = Self::bit(&key);
        let known = self.bits.get(word).is_some_and(|bits| bits & bit != 0);
        if known && self.few.contains(&key) {
            return Err(key);
        }
        if self.few.len() >= FEW {
            return self.many.replace(key).map_or(Ok(()), Err);
        }
        if let Some(bits) = self.bits.get_mut(word) {
            *bits |= bit;
        }
        self.few.push(key);
        Ok(())
    }

    /// Where a key's bit is: of its length, its first bytes and its last.
    fn bit(key: &str) -> (usize, u64) {
        let bytes = key.as_bytes();
        let byte = |byte: Option<&u8>| u64::from(byte.copied().unwrap_or_default());
        let middle = byte(bytes.get(bytes.len() / 2));
        let mixed = bytes.len() as u64 ^ byte(bytes.first()) << 8 ^ middle << 16 ^ byte(bytes.last()) << 24;
        let mixed = mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56;
        (usize::try_from(mixed >> 6).unwrap_or_default(), 1 << (mixed & 63))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_key_is_taken_once_however_many_there_are(keys in prop::collection::vec("[a-c]{0,6}", 0..600)) {
            let (mut seen, mut plain) = (Keys::default(), HashSet::new());
            for key in &keys {
                prop_assert_eq!(seen.add(Cow::Borrowed(key)).is_ok(), plain.insert(key));
            }
            prop_assert_eq!(seen.len(), plain.len());
        }
    }
}
