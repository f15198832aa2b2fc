//! What a badge looks like: a word on a colour, to be read in any font.

use askama::Template;

use crate::domain::outcome::Outcome;

/// Beside each text.
const MARGIN: u32 = 6;

/// What a badge says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Passing,
    Failing,
    /// No fault of the script's.
    Error,
    /// Somebody stopped it.
    Cancelled,
    /// Not built, as its author or the configuration wants.
    Skipped,
    /// Under way, or waiting to be.
    Running,
    /// Nothing is known, or nothing that the caller may know.
    Unknown,
}

impl Standing {
    /// Of the newest change: how it came out, if it is over.
    pub(super) fn of(outcome: Option<&Outcome>) -> Self {
        match outcome {
            None => Self::Running,
            Some(Outcome::Success) => Self::Passing,
            Some(Outcome::Failure { .. } | Outcome::Oom { .. } | Outcome::Timeout) => Self::Failing,
            Some(Outcome::Infra { .. } | Outcome::Lost { .. } | Outcome::Expired) => Self::Error,
            Some(Outcome::Cancelled { .. }) => Self::Cancelled,
            Some(Outcome::Skipped { .. }) => Self::Skipped,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Passing => "passing",
            Self::Failing => "failing",
            Self::Error => "error",
            Self::Cancelled => "cancelled",
            Self::Skipped => "skipped",
            Self::Running => "running",
            Self::Unknown => "unknown",
        }
    }

    /// Behind white letters.
    fn colour(self) -> &'static str {
        match self {
            Self::Passing => "#1a7f37",
            Self::Failing => "#cf222e",
            Self::Error => "#9a6700",
            Self::Running => "#0969da",
            Self::Cancelled | Self::Skipped | Self::Unknown => "#57606a",
        }
    }
}

/// `badge.svg`: no style, no script, no font of its own, so that it is the same wherever it is shown. Each text is told
/// how wide it is to be, since nobody knows the font.
#[derive(Debug, Template)]
#[template(path = "badge.svg", config = "src/dispatcher/pages/askama.toml", escape = "html")]
struct Picture<'a> {
    label: &'a str,
    word: &'a str,
    colour: &'a str,
    left: u32,
    right: u32,
}

impl Picture<'_> {
    fn width(&self) -> u32 {
        self.left + self.right
    }

    fn inner(side: u32) -> u32 {
        side - 2 * MARGIN
    }
}

/// The picture; `label` is what it is about, in a word.
pub(super) fn picture(label: &str, standing: Standing) -> Result<String, askama::Error> {
    let word = standing.word();
    let (left, right) = (wide(label) + 2 * MARGIN, wide(word) + 2 * MARGIN);
    Picture { label, word, colour: standing.colour(), left, right }.render()
}

/// How wide a text is in 11 px of a usual font, in pixels.
fn wide(text: &str) -> u32 {
    let tenths = |letter: char| match letter {
        'i' | 'j' | 'l' => 32,
        '.' | '_' | 'I' | 'f' | 't' | 'r' | '-' => 46,
        'm' | 'w' | 'M' | 'W' => 102,
        'A'..='Z' => 77,
        _ => 68,
    };
    text.chars().map(tenths).sum::<u32>().div_ceil(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Standing; 7] = [
        Standing::Passing,
        Standing::Failing,
        Standing::Error,
        Standing::Cancelled,
        Standing::Skipped,
        Standing::Running,
        Standing::Unknown,
    ];

    /// [WCAG 2.2, relative luminance](https://www.w3.org/TR/WCAG22/#dfn-relative-luminance)
    fn luminance(colour: &str) -> f64 {
        let part = |at: usize| f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
        let linear = |part: f64| if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) };
        0.2126 * linear(part(1)) + 0.7152 * linear(part(3)) + 0.0722 * linear(part(5))
    }

    #[test]
    fn white_letters_can_be_read_on_each_colour() {
        for standing in ALL {
            let contrast = 1.05 / (luminance(standing.colour()) + 0.05);
            assert!(contrast >= 4.5, "{standing:?}: {contrast}");
        }
    }

    #[test]
    fn a_badge_says_it_in_words_too_and_runs_nothing() {
        for standing in ALL {
            let svg = picture("build", standing).unwrap();
            assert!(svg.contains(&format!("<title>build: {}</title>", standing.word())), "{svg}");
            assert!(svg.contains("role=\"img\"") && !svg.contains("style") && !svg.contains("script"), "{svg}");
            assert_eq!(svg.matches(&format!(">{}</text>", standing.word())).count(), 1, "{svg}");
            assert!(quick_xml::Reader::from_str(&svg).into_iter_checked(), "{svg}");
        }
    }

    #[test]
    fn a_label_is_as_wide_as_it_is_long() {
        assert!(wide("WWWW") > wide("iiii") && wide("abcdefgh") > wide("abcd"));
        let long = picture(&"m".repeat(64), Standing::Passing).unwrap();
        assert!(long.contains("width=\"7"), "{long}");
    }

    /// Well-formed XML.
    trait Checked {
        fn into_iter_checked(self) -> bool;
    }

    impl Checked for quick_xml::Reader<&[u8]> {
        fn into_iter_checked(mut self) -> bool {
            loop {
                match self.read_event() {
                    Ok(quick_xml::events::Event::Eof) => return true,
                    Ok(_) => {}
                    Err(_) => return false,
                }
            }
        }
    }
}
