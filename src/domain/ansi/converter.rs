//! From bytes to lines.

use super::head::{Head, Layout};
use super::line::Line;
use super::row::{Row, is_marked};
use super::sequence::{Act, Sequences, Taken};
use super::style::Style;
use super::utf8::{Pending, Read};

/// The most bytes of a line: progress that is written over and over without a line end is broken here, so that no part of
/// a log is far from the beginning of a line.
pub const BYTES_MOST: u64 = 256 * 1024;

/// The beginning of a line: a [`Converter`] that begins there gives the same lines from there on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Bytes of the log before it.
    pub offset: u64,
    /// The line's number.
    pub number: u64,
    style: Style,
    continued: bool,
}

impl Mark {
    /// The beginning of a log.
    pub const START: Self = Self { offset: 0, number: 1, style: Style::PLAIN, continued: false };
}

/// A line that has ended.
#[derive(Debug)]
pub struct Ready<'a> {
    /// Where it begins.
    pub mark: Mark,
    head: &'a Head,
    row: &'a Row,
}

impl Ready<'_> {
    /// The line.
    #[must_use]
    pub fn line(&self) -> Line {
        Line {
            number: self.mark.number,
            time: self.head.time.clone(),
            source: self.head.source,
            continued: self.mark.continued,
            spans: self.row.spans(),
        }
    }
}

/// Takes the bytes of a log in pieces of any size and gives its lines.
#[derive(Debug, Clone)]
pub struct Converter {
    layout: Layout,
    /// The bytes that have come.
    at: u64,
    /// Where the line in `row` begins.
    begun: Mark,
    /// What stands before the line as far as it has come; none once it was read.
    before: Option<Vec<u8>>,
    head: Head,
    style: Style,
    sequences: Sequences,
    pending: Pending,
    row: Row,
}

impl Converter {
    /// One that begins at a mark of a log with this layout.
    #[must_use]
    pub fn new(layout: Layout, mark: Mark) -> Self {
        let mut converter = Self {
            layout,
            at: mark.offset,
            begun: mark,
            before: None,
            head: Head::default(),
            style: mark.style,
            sequences: Sequences::new(),
            pending: Pending::default(),
            row: Row::default(),
        };
        converter.begin(mark.continued);
        converter
    }

    /// Where the line that has not ended begins.
    #[must_use]
    pub fn mark(&self) -> Mark {
        self.begun
    }

    /// How many bytes of the log have come.
    #[must_use]
    pub fn at(&self) -> u64 {
        self.at
    }

    /// The line that has not ended, as it is now; none when nothing of it has come.
    #[must_use]
    pub fn partial(&self) -> Option<Line> {
        let ready = Ready { mark: self.begun, head: &self.head, row: &self.row };
        (self.at > self.begun.offset).then(|| ready.line())
    }

    /// The next bytes; gives each line that ends with them to `take`.
    pub fn feed(&mut self, mut bytes: &[u8], take: &mut impl FnMut(Ready<'_>)) {
        while let Some((first, rest)) = bytes.split_first() {
            let plain = self.plain(bytes);
            if let Some((text, rest)) = bytes.split_at_checked(plain)
                && plain > 0
            {
                self.row.write_ascii(text, self.style);
                self.at += text.len() as u64;
                bytes = rest;
                continue;
            }
            self.byte(*first, take);
            bytes = rest;
        }
    }

    /// Nothing more will come: gives the last line if no line end stands behind it.
    pub fn finish(&mut self, take: &mut impl FnMut(Ready<'_>)) {
        if let Some(before) = self.before.take() {
            self.replay(&before, take);
        }
        if !self.pending.is_empty() {
            self.pending.clear();
            self.row.write(char::REPLACEMENT_CHARACTER, self.style);
        }
        if self.at > self.begun.offset {
            self.end(false, take);
        }
    }

    /// How many bytes from the first on are printable ASCII and nothing else, and fit into the line.
    fn plain(&self, bytes: &[u8]) -> usize {
        if self.before.is_some() || !self.sequences.is_in_text() || !self.pending.is_empty() {
            return 0;
        }
        let left = BYTES_MOST.saturating_sub(self.at - self.begun.offset);
        let most = self.row.room().min(usize::try_from(left).unwrap_or(usize::MAX));
        bytes.iter().take(most).take_while(|byte| matches!(byte, 0x20..=0x7e)).count()
    }

    fn byte(&mut self, byte: u8, take: &mut impl FnMut(Ready<'_>)) {
        let Some(before) = &mut self.before else {
            return self.of_line(byte, take);
        };
        before.push(byte);
        self.at += 1;
        if byte != b'\n' && before.len() < self.layout.length() {
            return;
        }
        let before = self.before.take().unwrap_or_default();
        match self.layout.read(&before) {
            Some(head) => self.head = head,
            None => self.replay(&before, take),
        }
    }

    /// What was taken for a head is the line's own text.
    fn replay(&mut self, before: &[u8], take: &mut impl FnMut(Ready<'_>)) {
        self.at -= before.len() as u64;
        before.iter().for_each(|byte| self.of_line(*byte, take));
    }

    fn of_line(&mut self, byte: u8, take: &mut impl FnMut(Ready<'_>)) {
        if !(0x80..0xc0).contains(&byte) {
            self.break_character();
        }
        // A character takes few bytes to end; a sequence may never end, and one may stand in another's way for ever.
        if self.pending.is_empty() && byte != b'\n' {
            let is_long = self.at - self.begun.offset >= BYTES_MOST;
            let is_full = self.row.room() == 0 && self.sequences.is_in_text() && byte != b'\r';
            if is_long || is_full {
                self.end(true, take);
            }
        }
        self.at += 1;
        match self.sequences.take(byte, self.style) {
            Taken::Yes(act) => self.act(act),
            Taken::No if byte >= 0x80 => self.part(byte),
            Taken::No => self.ascii(byte, take),
        }
    }

    fn act(&mut self, act: Option<Act>) {
        match act {
            None => {}
            Some(Act::Style(style)) => self.style = style,
            Some(Act::Erase(what)) => self.row.erase(what),
            Some(Act::Column(column)) => self.row.go_to(column),
            Some(Act::By(forward, back)) => self.row.go_by(forward, back),
        }
    }

    fn ascii(&mut self, byte: u8, take: &mut impl FnMut(Ready<'_>)) {
        match byte {
            b'\n' => self.end(false, take),
            b'\r' => self.row.go_to(0),
            0x08 => self.row.go_by(0, 1),
            // Another set of characters, and back: some terminals' reset ends with it.
            0x0e | 0x0f => {}
            byte => self.print(char::from(byte)),
        }
    }

    /// A byte of a character of more than one.
    fn part(&mut self, byte: u8) {
        let was_begun = !self.pending.is_empty();
        match self.pending.push(byte) {
            Read::Char(char) => self.print(char),
            Read::More => {}
            Read::Broken => {
                self.print(char::REPLACEMENT_CHARACTER);
                // Not a part of what was broken, but perhaps the beginning of another.
                if was_begun {
                    self.part(byte);
                }
            }
        }
    }

    /// A character whose rest did not come.
    fn break_character(&mut self) {
        if !self.pending.is_empty() {
            self.pending.clear();
            self.print(char::REPLACEMENT_CHARACTER);
        }
    }

    fn print(&mut self, char: char) {
        let style = if is_marked(char) { self.style.marked() } else { self.style };
        self.row.write(char, style);
    }

    /// Gives the line and begins the next one, which goes on from this one where it was broken.
    fn end(&mut self, is_broken: bool, take: &mut impl FnMut(Ready<'_>)) {
        take(Ready { mark: self.begun, head: &self.head, row: &self.row });
        self.begin(is_broken);
        self.begun = Mark { offset: self.at, number: self.begun.number + 1, style: self.style, continued: is_broken };
    }

    fn begin(&mut self, continued: bool) {
        self.row.clear();
        self.head = Head::default();
        self.sequences.reset();
        if self.layout.both && !continued {
            // The line before may be of the other stream.
            self.style = Style::default();
        }
        let has_head = self.layout.length() > 0 && !continued;
        self.before = has_head.then(Vec::new);
    }
}
