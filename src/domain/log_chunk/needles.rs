//! The forms in which a secret may stand in a log.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

/// What is shorter hides too much of a log when it is replaced.
const LEAST: usize = 4;
/// A longer needle is looked for in pieces of so many bytes.
const PIECE: usize = 4096;
/// How `base64`, and how PEM, break lines.
const LINES: [usize; 2] = [76, 64];
/// What all needles may hold together, bytes: the search for them is some forty times as large.
pub const NEEDLES_MOST: usize = 512 * 1024;

/// So much is secret that it cannot be looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the parameters are too long to be looked for in a log: {NEEDLES_MOST} bytes at most, in all their forms")]
pub struct TooManyNeedles;

/// Everything that must not stand in a log: `values` as they are, their lines, and both in base64, URL-encoded and as
/// in JSON. What has fewer than 4 bytes is left out.
///
/// # Errors
/// When it is too much.
pub fn needles<'a>(values: impl IntoIterator<Item = &'a str>) -> Result<Vec<Vec<u8>>, TooManyNeedles> {
    let (mut needles, mut size) = (BTreeSet::new(), 0_usize);
    for value in values {
        let lines = value.lines().map(str::trim);
        for plain in std::iter::once(value).chain(std::iter::once(value.trim())).chain(lines) {
            if plain.len() < LEAST {
                continue;
            }
            for form in forms(plain) {
                for piece in pieces(&form) {
                    let fresh = needles.insert(piece.to_vec());
                    size = size.saturating_add(if fresh { piece.len() } else { 0 });
                }
                if size > NEEDLES_MOST {
                    return Err(TooManyNeedles);
                }
            }
        }
    }
    Ok(needles.into_iter().collect())
}

fn pieces(form: &[u8]) -> impl Iterator<Item = &[u8]> {
    // The last piece reaches back where it would be too short to be looked for.
    let last = form.len().checked_sub(PIECE).and_then(|from| form.get(from..));
    form.chunks(PIECE).chain(last).filter(|piece| piece.len() >= LEAST)
}

fn forms(plain: &str) -> Vec<Vec<u8>> {
    let mut forms = vec![plain.as_bytes().to_vec()];
    for engine in [&STANDARD, &URL_SAFE] {
        let whole = engine.encode(plain);
        for width in LINES {
            if whole.len() > width {
                let lines = whole.as_bytes().chunks(width).filter(|line| line.len() >= 2 * LEAST);
                forms.extend(lines.map(<[u8]>::to_vec));
            }
        }
        forms.push(whole.trim_end_matches('=').as_bytes().to_vec());
        forms.push(whole.into_bytes());
        forms.extend([0, 1, 2].into_iter().map(|before| core(engine, plain.as_bytes(), before)));
    }
    forms.extend(
        [(false, false), (false, true), (true, false), (true, true)].map(|(small, form)| url(plain, small, form)),
    );
    // As it stands in a string of JSON.
    if let Ok(json) = serde_json::to_string(plain) {
        let inner = json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        forms.push(inner.unwrap_or_default().as_bytes().to_vec());
    }
    forms
}

/// What base64 makes of `plain` whatever stands behind it, and whatever the `before` bytes before it are.
fn core(engine: &base64::engine::GeneralPurpose, plain: &[u8], before: usize) -> Vec<u8> {
    let padded = [vec![0; before], plain.to_vec()].concat();
    let whole = (padded.len() * 8) / 6;
    let first = match before {
        0 => 0,
        1 => 2,
        _ => 3,
    };
    engine.encode(padded).as_bytes().get(first..whole).unwrap_or_default().to_vec()
}

/// URL-encoded: with small digits or capital ones, a space as `+` where `form`.
fn url(plain: &str, small: bool, form: bool) -> Vec<u8> {
    let mut text = String::new();
    for byte in plain.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => text.push(char::from(byte)),
            b' ' if form => text.push('+'),
            _ if small => text.push_str(&format!("%{byte:02x}")),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD_NO_PAD;
    use proptest::prelude::*;

    use super::*;

    fn has(needles: &[Vec<u8>], text: &str) -> bool {
        needles.iter().any(|needle| needle == text.as_bytes())
    }

    #[test]
    fn a_value_its_lines_and_their_forms_are_needles() {
        let needles = needles(["pass word/1\nsecond \"line\"\nx\n"]).unwrap();
        for text in [
            "pass word/1\nsecond \"line\"\nx\n",
            "pass word/1",
            "second \"line\"",
            "second \\\"line\\\"",
            "pass%20word%2F1",
            "pass%20word%2f1",
            "pass+word%2F1",
            "cGFzcyB3b3JkLzE=",
            "cGFzcyB3b3JkLzE",
        ] {
            assert!(has(&needles, text), "{text}");
        }
        assert!(!has(&needles, "x"));
        assert!(needles.iter().all(|needle| needle.len() >= LEAST));
    }

    #[test]
    fn nothing_is_no_needle_and_too_much_is_refused() {
        assert_eq!(needles(["", "abc", "\n\n"]), Ok(Vec::new()));
        let long: String = (0..NEEDLES_MOST / 6).map(|n| format!("{n:06}")).collect();
        assert!(needles([long.as_str()]).is_err());
    }

    #[test]
    fn a_long_value_is_covered_by_its_pieces() {
        let long: String = (0..PIECE / 2).map(|n| format!("{n:06}")).collect();
        let needles = needles([long.as_str()]).unwrap();
        assert!(needles.iter().all(|needle| needle.len() <= PIECE));
        assert!(needles.iter().any(|needle| long.as_bytes().ends_with(needle)));
    }

    proptest! {
        #[test]
        fn base64_of_anything_around_a_value_holds_a_needle(
            before in proptest::collection::vec(any::<u8>(), 0..9),
            value in "[ -~]{4,40}",
            behind in proptest::collection::vec(any::<u8>(), 0..9),
        ) {
            let around = [before.as_slice(), value.as_bytes(), behind.as_slice()].concat();
            let needles = needles([value.as_str()]).unwrap();
            for text in [STANDARD.encode(&around), STANDARD_NO_PAD.encode(&around), URL_SAFE.encode(&around)] {
                // Four characters or more of it, wherever it stands.
                let found = needles.iter().any(|needle| text.as_bytes().windows(needle.len()).any(|part| part == needle));
                prop_assert!(found, "{} in {}", value, text);
            }
        }
    }
}
