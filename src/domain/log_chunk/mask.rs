//! Secrets replaced by `***` in a stream of bytes, however it is cut.

use std::collections::VecDeque;
use std::ops::Range;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use super::Draft;

/// What stands in the place of a secret, or of several that overlap or touch.
const MASK: &[u8] = b"***";

/// Why needles cannot be looked for.
#[derive(Debug, thiserror::Error)]
#[error("the search for secrets in the log cannot be prepared")]
pub struct MaskerError(#[from] aho_corasick::BuildError);

/// Replaces needles. What is held back is the beginning of one, so never more than the longest.
#[derive(Debug)]
pub struct Masker {
    /// In order, so that the beginning of one is found.
    needles: Vec<Vec<u8>>,
    search: Option<AhoCorasick>,
    longest: usize,
    held: Vec<u8>,
    /// From which byte of those held on they came when.
    times: VecDeque<(usize, i64)>,
    /// What of those held is to be hidden: in order, neither overlapping nor touching.
    hidden: Vec<Range<usize>>,
    /// The last byte that was let go stands under a mask.
    masked: bool,
}

impl Masker {
    /// One for these needles; empty ones are left out.
    ///
    /// # Errors
    /// When they are too large together.
    pub fn new(needles: impl IntoIterator<Item = Vec<u8>>) -> Result<Self, MaskerError> {
        let mut needles: Vec<Vec<u8>> = needles.into_iter().filter(|needle| !needle.is_empty()).collect();
        needles.sort();
        needles.dedup();
        let longest = needles.iter().map(Vec::len).max().unwrap_or(0);
        let search = if needles.is_empty() {
            None
        } else {
            let mut builder = AhoCorasick::builder();
            // All matches, those within others too; and the form that stays small with many needles.
            builder.match_kind(MatchKind::Standard).kind(Some(AhoCorasickKind::ContiguousNFA));
            Some(builder.build(&needles)?)
        };
        let (held, times, hidden) = (Vec::new(), VecDeque::new(), Vec::new());
        Ok(Self { needles, search, longest, held, times, hidden, masked: false })
    }

    /// Takes bytes that arrived `at`, and lets go into `out` what cannot be part of a secret any more.
    pub fn push(&mut self, bytes: &[u8], at: i64, out: &mut Draft) {
        let Some(search) = &self.search else { return out.add(bytes, at) };
        self.times.push_back((self.held.len(), at));
        self.held.extend_from_slice(bytes);
        let found = search.find_overlapping_iter(&self.held).map(|found| found.start()..found.end());
        let mut hidden: Vec<Range<usize>> = self.hidden.drain(..).chain(found).collect();
        hidden.sort_by_key(|range| range.start);
        for range in hidden {
            match self.hidden.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                Some(_) | None => self.hidden.push(range),
            }
        }
        self.let_go(self.undecided(), out);
    }

    /// Lets go the rest: nothing comes behind it.
    pub fn finish(&mut self, out: &mut Draft) {
        self.let_go(self.held.len(), out);
    }

    /// From where on what is held may be the beginning of a needle.
    fn undecided(&self) -> usize {
        let len = self.held.len();
        let first = len.saturating_sub(self.longest.saturating_sub(1));
        let begins = |from: &usize| {
            let tail = self.held.get(*from..).unwrap_or_default();
            let next = self.needles.partition_point(|needle| needle.as_slice() < tail);
            self.needles.get(next).is_some_and(|needle| needle.starts_with(tail))
        };
        (first..len).find(begins).unwrap_or(len)
    }

    fn let_go(&mut self, until: usize, out: &mut Draft) {
        let mut at = 0;
        let mut ranges = self.hidden.iter().peekable();
        while at < until {
            let time = self.times.iter().rfind(|(from, _)| *from <= at).map_or(0, |(_, time)| *time);
            let later = self.times.iter().map(|(from, _)| *from).find(|from| *from > at);
            while ranges.next_if(|range| range.end <= at).is_some() {}
            let (masked, end) = match ranges.peek() {
                Some(range) if range.start <= at => (true, range.end),
                Some(range) => (false, range.start),
                None => (false, until),
            };
            let end = end.min(later.unwrap_or(until)).min(until);
            match (masked, self.masked) {
                (false, _) => out.add(self.held.get(at..end).unwrap_or_default(), time),
                (true, false) => out.add(MASK, time),
                (true, true) => {}
            }
            self.masked = masked;
            at = end;
        }
        self.forget(until);
    }

    /// Drops what was let go.
    fn forget(&mut self, until: usize) {
        self.held.drain(..until);
        self.hidden.retain(|range| range.end > until);
        for range in &mut self.hidden {
            *range = range.start.saturating_sub(until)..range.end.saturating_sub(until);
        }
        while self.times.get(1).is_some_and(|(from, _)| *from <= until) {
            self.times.pop_front();
        }
        for (from, _) in &mut self.times {
            *from = from.saturating_sub(until);
        }
        if self.held.is_empty() {
            self.times.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::log_chunk::needles;

    fn masked(needles: &[&str], pieces: &[&[u8]]) -> String {
        let mut masker = Masker::new(needles.iter().map(|needle| needle.as_bytes().to_vec())).unwrap();
        let mut out = Draft::default();
        for (at, piece) in pieces.iter().enumerate() {
            masker.push(piece, i64::try_from(at).unwrap(), &mut out);
        }
        masker.finish(&mut out);
        out.take().map_or_else(String::new, |chunk| String::from_utf8_lossy(&chunk.text).into_owned())
    }

    /// The same by looking at each byte: whether a needle stands over it.
    fn naive(needles: &[String], text: &[u8]) -> String {
        let mut under = vec![false; text.len()];
        for needle in needles.iter().filter(|needle| !needle.is_empty()) {
            for at in 0..text.len() {
                if text[at..].starts_with(needle.as_bytes()) {
                    under[at..at + needle.len()].fill(true);
                }
            }
        }
        let mut out = Vec::new();
        for (at, byte) in text.iter().enumerate() {
            match (under[at], at > 0 && under[at - 1]) {
                (false, _) => out.push(*byte),
                (true, false) => out.extend_from_slice(MASK),
                (true, true) => {}
            }
        }
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn overlapping_needles_and_needles_in_needles_leave_nothing() {
        assert_eq!(masked(&["abcd", "cdef"], &[b"xabcdefx"]), "x***x");
        assert_eq!(masked(&["abcd", "abcdefgh"], &[b"abcdefg abcdefgh"]), "***efg ***");
        assert_eq!(masked(&["bcde", "abcdefgh"], &[b"abcdefx"]), "a***fx");
        assert_eq!(masked(&["secret"], &[b"secretsecret!"]), "***!");
        assert_eq!(masked(&["aaaa"], &[b"baaaaaab"]), "b***b");
    }

    #[test]
    fn a_secret_over_a_border_is_hidden_and_what_only_began_like_one_is_not() {
        assert_eq!(masked(&["s3cr3t"], &[b"a s3c", b"r3", b"t b"]), "a *** b");
        assert_eq!(masked(&["s3cr3t"], &[b"a s3c", b"r3", b"x b"]), "a s3cr3x b");
        assert_eq!(masked(&["s3cr3t"], &[b"a s3cr3"]), "a s3cr3");
    }

    #[test]
    fn what_cannot_be_the_beginning_of_a_secret_is_let_go_at_once() {
        let mut masker = Masker::new([b"s3cr3t".to_vec()]).unwrap();
        let mut out = Draft::default();
        masker.push(b"hello s3", 1, &mut out);
        assert_eq!(out.take().unwrap().text, "hello ");
        masker.push(b"x", 2, &mut out);
        let chunk = out.take().unwrap();
        assert_eq!((chunk.text.as_ref(), chunk.times.as_slice()), (b"s3x".as_slice(), [(0, 1), (2, 2)].as_slice()));
        assert!(masker.held.is_empty() && masker.times.is_empty() && masker.hidden.is_empty());
    }

    #[test]
    fn a_secret_of_several_lines_is_hidden_whole_and_by_line() {
        let secret = "-----BEGIN-----\nMIIEvQ\n-----END-----\n";
        let needles = needles([secret]).unwrap();
        let mut masker = Masker::new(needles).unwrap();
        let mut out = Draft::default();
        masker.push(format!("<{secret}> MIIEvQ TUlJRXZR MIIEvX\n").as_bytes(), 0, &mut out);
        masker.finish(&mut out);
        assert_eq!(out.take().unwrap().text, "<***> *** *** MIIEvX\n");
    }

    proptest! {
        /// However the input is cut, the output is the same, and it is what looking at each byte gives.
        #[test]
        fn cuts_change_nothing(
            needles in proptest::collection::vec("[ab]{1,6}", 0..5),
            text in proptest::collection::vec(proptest::sample::select(b"abc".to_vec()), 0..60),
            cuts in proptest::collection::vec(0..60_usize, 0..12),
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect();
            let words: Vec<&str> = needles.iter().map(String::as_str).collect();
            prop_assert_eq!(masked(&words, &pieces), naive(&needles, &text));
        }

        /// Never more than the longest needle is held back.
        #[test]
        fn memory_is_bounded(
            needles in proptest::collection::vec("[ab]{1,6}", 1..5),
            text in proptest::collection::vec(proptest::sample::select(b"ab".to_vec()), 0..200),
        ) {
            let longest = needles.iter().map(String::len).max().unwrap();
            let mut masker = Masker::new(needles.into_iter().map(String::into_bytes)).unwrap();
            let mut out = Draft::default();
            for byte in text {
                masker.push(&[byte], 0, &mut out);
                prop_assert!(masker.held.len() < longest && masker.times.len() <= longest);
            }
        }
    }
}
