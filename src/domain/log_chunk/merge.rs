//! Two logs as one, in order of time: a line stays whole, and says whose it is.

use std::collections::VecDeque;

use bytes::Bytes;
use jiff::Timestamp;

use super::{Chunk, Stream};

/// The lines of one log, chunk by chunk.
#[derive(Debug)]
struct Lines {
    text: Bytes,
    /// Where in the text another time begins.
    times: VecDeque<(usize, i64)>,
    at: usize,
    now: i64,
    is_over: bool,
}

impl Lines {
    fn new() -> Self {
        Self { text: Bytes::new(), times: VecDeque::new(), at: 0, now: 0, is_over: false }
    }

    fn is_empty(&self) -> bool {
        self.at >= self.text.len()
    }

    fn feed(&mut self, chunk: Chunk) {
        self.times.drain(..).for_each(|(_, time)| self.now = time);
        (self.text, self.at) = (chunk.text, 0);
        self.times = chunk.times.into_iter().map(|(from, time)| (from as usize, time)).collect();
        self.pass();
    }

    /// The time of what comes next.
    fn pass(&mut self) {
        while let Some((_, time)) = self.times.front().copied().filter(|(from, _)| *from <= self.at) {
            self.now = time;
            self.times.pop_front();
        }
    }

    /// The rest of the line, as far as it is here.
    fn take(&mut self) -> Bytes {
        let rest = self.text.slice(self.at.min(self.text.len())..);
        let end = rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |at| at + 1);
        self.at += end;
        self.pass();
        rest.slice(..end)
    }
}

/// Puts two logs together. Ask [`Merger::wants`], feed what it wants, and take with [`Merger::line`].
#[derive(Debug)]
pub struct Merger {
    stdout: Lines,
    stderr: Lines,
    with_times: bool,
    /// Whose line is not at its end.
    within: Option<Stream>,
}

impl Merger {
    /// `with_times` puts the time before each line, too.
    #[must_use]
    pub fn new(with_times: bool) -> Self {
        Self { stdout: Lines::new(), stderr: Lines::new(), with_times, within: None }
    }

    fn lines(&mut self, stream: Stream) -> &mut Lines {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }

    /// Which log's next chunk is needed; none while there is something to take, or nothing comes any more.
    #[must_use]
    pub fn wants(&self) -> Option<Stream> {
        let wants = |lines: &Lines| lines.is_empty() && !lines.is_over;
        match self.within {
            Some(Stream::Stdout) => wants(&self.stdout).then_some(Stream::Stdout),
            Some(Stream::Stderr) => wants(&self.stderr).then_some(Stream::Stderr),
            None if wants(&self.stdout) => Some(Stream::Stdout),
            None => wants(&self.stderr).then_some(Stream::Stderr),
        }
    }

    /// The next chunk of a log that was wanted.
    pub fn feed(&mut self, stream: Stream, chunk: Chunk) {
        self.lines(stream).feed(chunk);
    }

    /// Something is missing before the next chunk of this log: what follows is a line of its own.
    pub fn cut(&mut self, stream: Stream) {
        if self.within == Some(stream) {
            self.within = None;
        }
    }

    /// No chunk will come of this log.
    pub fn end(&mut self, stream: Stream) {
        self.lines(stream).is_over = true;
    }

    /// The next line, or the part of it that is here; none where something is wanted, or all is taken.
    pub fn line(&mut self) -> Option<Vec<u8>> {
        if self.wants().is_some() {
            return None;
        }
        if let Some(stream) = self.within {
            if self.lines(stream).is_empty() {
                // Its log ended in the middle of the line.
                self.within = None;
                return Some(b"\n".to_vec());
            }
            return Some(self.part(stream, Vec::new()));
        }
        let first = match (self.stdout.is_empty(), self.stderr.is_empty()) {
            (true, true) => return None,
            (false, true) => Stream::Stdout,
            (true, false) => Stream::Stderr,
            (false, false) if self.stderr.now < self.stdout.now => Stream::Stderr,
            (false, false) => Stream::Stdout,
        };
        let time = Timestamp::from_millisecond(self.lines(first).now).unwrap_or_default();
        let name = match first {
            Stream::Stdout => "out",
            Stream::Stderr => "err",
        };
        let before = if self.with_times { format!("{time:.3} {name} | ") } else { format!("{name} | ") };
        Some(self.part(first, before.into_bytes()))
    }

    fn part(&mut self, stream: Stream, mut line: Vec<u8>) -> Vec<u8> {
        line.extend_from_slice(&self.lines(stream).take());
        self.within = (!line.ends_with(b"\n")).then_some(stream);
        line
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn merged(merger: &mut Merger, stdout: Vec<Chunk>, stderr: Vec<Chunk>) -> String {
        let (mut stdout, mut stderr) = (VecDeque::from(stdout), VecDeque::from(stderr));
        let mut text = Vec::new();
        loop {
            if let Some(line) = merger.line() {
                text.extend(line);
                continue;
            }
            let Some(wanted) = merger.wants() else { break };
            let chunks = if wanted == Stream::Stdout { &mut stdout } else { &mut stderr };
            match chunks.pop_front() {
                Some(chunk) => merger.feed(wanted, chunk),
                None => merger.end(wanted),
            }
        }
        String::from_utf8(text).unwrap()
    }

    fn chunk(times: &[(u32, i64)], text: &str) -> Chunk {
        Chunk { offset: 0, times: times.to_vec(), text: Bytes::from(text.to_owned()) }
    }

    #[test]
    fn lines_come_in_order_of_time_and_stay_whole() {
        let stdout = vec![chunk(&[(0, 1), (4, 5)], "one\nfi"), chunk(&[(0, 6)], "ve\nsix\n")];
        let stderr = vec![chunk(&[(0, 2), (4, 5)], "two\nfive too\n"), chunk(&[(0, 7)], "no end")];
        let both = merged(&mut Merger::new(false), stdout.clone(), stderr.clone());
        assert_eq!(both, "out | one\nerr | two\nout | five\nerr | five too\nout | six\nerr | no end\n");
        let dated = merged(&mut Merger::new(true), stdout, stderr);
        assert!(
            dated.starts_with("1970-01-01T00:00:00.001Z out | one\n1970-01-01T00:00:00.002Z err | two\n"),
            "{dated}"
        );
    }

    #[test]
    fn of_one_log_alone_nothing_is_lost() {
        assert_eq!(
            merged(&mut Merger::new(false), vec![chunk(&[(0, 1)], "a\n\nb")], vec![]),
            "out | a\nout | \nout | b\n"
        );
        assert_eq!(merged(&mut Merger::new(false), vec![], vec![]), "");
    }

    proptest! {
        /// However two logs are cut: each line once, those of each log in its order.
        #[test]
        fn each_line_comes_once(
            lines in proptest::collection::vec((any::<bool>(), "[a-z]{0,5}", 0..3_i64), 0..30),
            size in 1..8_usize,
        ) {
            let mut now = 0;
            let mut of: [(Vec<String>, Vec<Chunk>); 2] = Default::default();
            for (is_err, line, later) in lines {
                now += later;
                let (texts, chunks) = &mut of[usize::from(is_err)];
                texts.push(line.clone());
                for piece in format!("{line}\n").as_bytes().chunks(size) {
                    chunks.push(Chunk { offset: 0, times: vec![(0, now)], text: Bytes::copy_from_slice(piece) });
                }
            }
            let [(out, stdout), (err, stderr)] = of;
            let both = merged(&mut Merger::new(false), stdout, stderr);
            let named = |name: &str| both.lines().filter_map(|line| line.strip_prefix(name)).map(str::to_owned).collect::<Vec<_>>();
            prop_assert_eq!(named("out | "), out);
            prop_assert_eq!(named("err | "), err);
        }
    }
}
