//! How text looks: what "select graphic rendition" (ECMA-48, 8.3.117, and xterm's colours) has set.

use anstyle_parse::Params;

use super::palette;

/// Attributes and colours. Colours are of xterm's 256; others are taken for the nearest of those.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Style {
    foreground: Option<u8>,
    background: Option<u8>,
    bits: u8,
}

const BOLD: u8 = 1;
const DIM: u8 = 2;
const ITALIC: u8 = 4;
const UNDERLINE: u8 = 8;
const STRIKE: u8 = 16;
const INVERSE: u8 = 32;
const MARK: u8 = 64;

/// Attributes and their classes, those of colour apart.
const CLASSES: [(u8, &str); 6] =
    [(BOLD, "b"), (DIM, "d"), (ITALIC, "i"), (UNDERLINE, "u"), (STRIKE, "s"), (MARK, "odd")];

impl Style {
    /// As nothing has been set.
    pub(super) const PLAIN: Self = Self { foreground: None, background: None, bits: 0 };

    /// For a character that is shown by a mark in its place.
    pub(super) fn marked(self) -> Self {
        Self { bits: self.bits | MARK, ..self }
    }

    /// Applies the parameters of one `CSI m`.
    pub(super) fn apply(&mut self, params: &Params) {
        let mut params = params.iter();
        let mut any = false;
        while let Some(param) = params.next() {
            any = true;
            let (code, sub) = param.split_first().map_or((0, [].as_slice()), |(code, sub)| (*code, sub));
            if !matches!(code, 38 | 48 | 58) {
                self.set(code, sub);
                continue;
            }
            let colour = match sub {
                [] => plain_colour(&mut params),
                sub => colon_colour(sub),
            };
            match code {
                38 => self.foreground = colour.or(self.foreground),
                48 => self.background = colour.or(self.background),
                _ => {}
            }
        }
        if !any {
            *self = Self::default();
        }
    }

    fn set(&mut self, code: u16, sub: &[u16]) {
        match code {
            0 => *self = Self::default(),
            1 => self.bits |= BOLD,
            2 => self.bits |= DIM,
            3 => self.bits |= ITALIC,
            4 if sub.first() == Some(&0) => self.bits &= !UNDERLINE,
            4 | 21 => self.bits |= UNDERLINE,
            7 => self.bits |= INVERSE,
            9 => self.bits |= STRIKE,
            22 => self.bits &= !(BOLD | DIM),
            23 => self.bits &= !ITALIC,
            24 => self.bits &= !UNDERLINE,
            27 => self.bits &= !INVERSE,
            29 => self.bits &= !STRIKE,
            30..=37 => self.foreground = byte(code - 30),
            39 => self.foreground = None,
            40..=47 => self.background = byte(code - 40),
            49 => self.background = None,
            90..=97 => self.foreground = byte(code - 90 + 8),
            100..=107 => self.background = byte(code - 100 + 8),
            // Blinking, concealed text, fonts and frames: shown as what they are without.
            _ => {}
        }
    }

    /// The classes of a span: `b d i u s`, `odd` for a mark in the place of a character; `f0`…`f255` a colour of text, made readable on the log's own background;
    /// `g0`…`g255` a background with text that is readable on it; `h0`…`h255` a colour of text on such a background, as
    /// it is; `inv` with the log's own colours exchanged.
    pub(super) fn classes(self) -> String {
        let mut classes: Vec<String> = Vec::new();
        let attributes = CLASSES.iter().filter(|(bit, _)| self.bits & bit != 0);
        classes.extend(attributes.map(|(_, class)| (*class).to_owned()));
        let is_inverse = self.bits & INVERSE != 0;
        let (text, ground) =
            if is_inverse { (self.background, self.foreground) } else { (self.foreground, self.background) };
        match (text, ground) {
            (None, None) if !is_inverse => {}
            (_, None) if is_inverse => classes.push("inv".to_owned()),
            (None, None) => {}
            (Some(text), None) => classes.push(format!("f{text}")),
            (text, Some(ground)) => {
                classes.push(format!("g{ground}"));
                let readable = text.filter(|text| palette::is_readable(palette::rgb(*text), palette::rgb(ground)));
                classes.extend(readable.map(|text| format!("h{text}")));
            }
        }
        classes.join(" ")
    }
}

/// What follows `38`, `48` or `58` as parameters of their own: `5;n` or `2;r;g;b`.
fn plain_colour<'a>(params: &mut impl Iterator<Item = &'a [u16]>) -> Option<u8> {
    let mut next = || params.next().and_then(|param| param.first().copied());
    match next()? {
        5 => byte(next()?),
        2 => {
            let (red, green, blue) = (next()?, next()?, next()?);
            Some(palette::nearest([byte(red)?, byte(green)?, byte(blue)?]))
        }
        _ => None,
    }
}

/// The same with colons: `5:n`, `2:r:g:b` or, with a colour space, `2::r:g:b`.
fn colon_colour(sub: &[u16]) -> Option<u8> {
    match sub {
        [5, index, ..] => byte(*index),
        [2, red, green, blue] | [2, _, red, green, blue, ..] => {
            Some(palette::nearest([byte(*red)?, byte(*green)?, byte(*blue)?]))
        }
        _ => None,
    }
}

fn byte(number: u16) -> Option<u8> {
    u8::try_from(number).ok()
}
