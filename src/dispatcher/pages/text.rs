//! Names that others have chosen, as they may stand on a page.

/// Characters of a name on a page; the rest is cut off.
const MOST: usize = 200;

/// In one line, at most 200 characters, and nothing that a browser would obey: controls and marks that turn the direction
/// of text are replaced.
pub(crate) fn name(text: &str) -> String {
    cut(&tame(text, |_| false), MOST)
}

/// The same of a text of several lines, uncut.
pub(crate) fn lines(text: &str) -> String {
    tame(text, |c| matches!(c, '\n' | '\t'))
}

/// The beginning, and a mark where something is missing.
pub(crate) fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut start: String = text.chars().take(most.saturating_sub(1)).collect();
    start.push('…');
    start
}

fn tame(text: &str, kept: impl Fn(char) -> bool) -> String {
    let wild = |c: char| {
        let turns =
            matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        let is_none = matches!(u32::from(c) & 0xffff, 0xfffe | 0xffff) || matches!(c, '\u{fdd0}'..='\u{fdef}');
        turns || is_none || c.is_control()
    };
    text.chars().map(|c| if wild(c) && !kept(c) { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_obeys_nothing_and_ends() {
        assert_eq!(name("main"), "main");
        assert_eq!(name("a\u{202e}b\u{0}c\nd\u{ffff}"), "a�b�c�d�");
        assert_eq!(lines("a\r\n\tb"), "a�\n\tb");
        let long = name(&"é".repeat(10_000));
        assert_eq!((long.chars().count(), long.chars().last()), (MOST, Some('…')));
    }
}
