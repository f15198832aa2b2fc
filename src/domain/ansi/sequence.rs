//! Escape sequences: where each ends, and what those do that change the line.

use anstyle_parse::{Params, Parser, Perform};

use super::style::Style;

/// The longest `CSI` sequence; a longer one is given up.
const CONTROL_MOST: usize = 256;
/// The longest operating system command and the like: a picture is longer, and then is shown as the text it is.
const STRING_MOST: usize = 16 * 1024;

/// Where in a sequence the text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Within {
    /// In none.
    Text,
    /// Behind `ESC`, and so many bytes of it.
    Escape(usize),
    /// In `CSI`.
    Control(usize),
    /// In a string that is not for us: OSC, DCS, APC, PM or SOS.
    String(usize),
    /// Behind an `ESC` in such a string, which may be its end.
    StringEscape,
}

/// What a finished sequence does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// Sets the style.
    Style(Style),
    /// Erases a part of the line.
    Erase(u16),
    /// Goes to a column, counted from 0.
    Column(usize),
    /// Goes so far forward, and back.
    By(usize, usize),
}

/// What became of a byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// It was part of a sequence, which may have ended with it.
    Yes(Option<Act>),
    /// It is text: no sequence holds it.
    No,
}

/// Takes sequences out of a text.
#[derive(Debug, Clone)]
pub(super) struct Sequences {
    within: Within,
    parser: Parser,
}

impl Sequences {
    pub(super) fn new() -> Self {
        Self { within: Within::Text, parser: Parser::<anstyle_parse::DefaultCharAccumulator>::new() }
    }

    /// Whether the next byte is text, if it is not `ESC`.
    pub(super) fn is_in_text(&self) -> bool {
        self.within == Within::Text
    }

    /// The next byte. A line end, and whatever cannot be part of a sequence, ends it and is text.
    pub(super) fn take(&mut self, byte: u8, style: Style) -> Taken {
        match (self.within, byte) {
            (Within::Text, 0x1b) => self.go_on(Within::Escape(0)),
            (Within::Text, _) => Taken::No,
            (Within::String(length), _) => self.string(length, byte),
            (Within::StringEscape, b'\\') => self.go_on(Within::Text),
            (Within::StringEscape | Within::Escape(_) | Within::Control(_), 0x1b) => {
                self.reset();
                self.go_on(Within::Escape(0))
            }
            (Within::StringEscape, _) => self.escape(0, byte),
            (Within::Escape(length), _) => self.escape(length, byte),
            (Within::Control(length), 0x20..=0x3f) if length < CONTROL_MOST => {
                self.parser.advance(&mut Dispatch { style, act: None }, byte);
                self.go_on(Within::Control(length + 1))
            }
            (Within::Control(_), 0x40..=0x7e) => {
                let mut dispatch = Dispatch { style, act: None };
                self.parser.advance(&mut dispatch, byte);
                self.within = Within::Text;
                Taken::Yes(dispatch.act)
            }
            (Within::Control(_), _) => self.give_up(),
        }
    }

    fn escape(&mut self, length: usize, byte: u8) -> Taken {
        match byte {
            b'[' if length == 0 => {
                let mut nothing = Dispatch { style: Style::default(), act: None };
                self.parser.advance(&mut nothing, 0x1b);
                self.parser.advance(&mut nothing, b'[');
                self.go_on(Within::Control(0))
            }
            b']' | b'P' | b'X' | b'^' | b'_' if length == 0 => self.go_on(Within::String(0)),
            b'c' if length == 0 => {
                self.within = Within::Text;
                Taken::Yes(Some(Act::Style(Style::default())))
            }
            0x20..=0x2f if length < 4 => self.go_on(Within::Escape(length + 1)),
            0x30..=0x7e => self.go_on(Within::Text),
            _ => self.give_up(),
        }
    }

    fn string(&mut self, length: usize, byte: u8) -> Taken {
        match byte {
            0x07 => self.go_on(Within::Text),
            0x1b => self.go_on(Within::StringEscape),
            b'\n' => self.give_up(),
            _ if length >= STRING_MOST => self.give_up(),
            _ => self.go_on(Within::String(length + 1)),
        }
    }

    fn go_on(&mut self, within: Within) -> Taken {
        self.within = within;
        Taken::Yes(None)
    }

    fn give_up(&mut self) -> Taken {
        self.reset();
        Taken::No
    }

    /// Ends whatever there was.
    pub(super) fn reset(&mut self) {
        if matches!(self.within, Within::Control(_)) {
            // CAN: the parser is back in text, too.
            self.parser.advance(&mut Dispatch { style: Style::default(), act: None }, 0x18);
        }
        self.within = Within::Text;
    }
}

/// What a `CSI` sequence does with this style.
struct Dispatch {
    style: Style,
    act: Option<Act>,
}

impl Perform for Dispatch {
    fn csi_dispatch(&mut self, params: &Params, intermediates: &[u8], _ignore: bool, action: u8) {
        if !intermediates.is_empty() {
            return;
        }
        let first = params.iter().next().and_then(|param| param.first().copied()).unwrap_or(0);
        let count = usize::from(first.max(1));
        self.act = match action {
            b'm' => {
                self.style.apply(params);
                Some(Act::Style(self.style))
            }
            b'K' => Some(Act::Erase(first)),
            b'G' | b'`' => Some(Act::Column(count - 1)),
            b'C' => Some(Act::By(count, 0)),
            b'D' => Some(Act::By(0, count)),
            // What concerns other lines, or the terminal.
            _ => None,
        };
    }
}
