//! Each line of a log with the time at which it came.

use jiff::Timestamp;

use super::Chunk;

/// Puts the time before each line, over chunks that follow each other.
#[derive(Debug)]
pub struct Stamper {
    at_line_start: bool,
    last: i64,
}

impl Default for Stamper {
    fn default() -> Self {
        Self { at_line_start: true, last: 0 }
    }
}

impl Stamper {
    /// The chunk's text, each line behind `2026-01-31T12:00:00.000Z ` (UTC, when its beginning came).
    pub fn stamp(&mut self, chunk: &Chunk) -> Vec<u8> {
        let mut stamped = Vec::with_capacity(chunk.text.len() * 2);
        let mut times = chunk.times.iter().peekable();
        let mut at = 0;
        for line in chunk.text.split_inclusive(|byte| *byte == b'\n') {
            while let Some((_, time)) = times.next_if(|(from, _)| *from as usize <= at) {
                self.last = *time;
            }
            if self.at_line_start {
                let time = Timestamp::from_millisecond(self.last).unwrap_or_default();
                stamped.extend_from_slice(format!("{time:.3} ").as_bytes());
            }
            stamped.extend_from_slice(line);
            self.at_line_start = line.ends_with(b"\n");
            at += line.len();
        }
        // What came later than the last line's beginning is good for the next chunk's first.
        self.last = chunk.times.last().map_or(self.last, |(_, time)| *time);
        stamped
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_line_has_the_time_of_its_beginning_also_over_chunks() {
        let mut stamper = Stamper::default();
        let first = Chunk { offset: 0, times: vec![(0, 1), (6, 1_000)], text: Bytes::from("one\ntwo\nth") };
        let second = Chunk { offset: 10, times: vec![(0, 61_000)], text: Bytes::from("ree\nfour") };
        let text = [stamper.stamp(&first), stamper.stamp(&second)].concat();
        let expected = "1970-01-01T00:00:00.001Z one\n1970-01-01T00:00:00.001Z two\n\
            1970-01-01T00:00:01.000Z three\n1970-01-01T00:01:01.000Z four";
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }
}
