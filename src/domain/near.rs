//! "Did you mean": the known word that a typed one is nearest to.

/// How alike two words must be, from 0 to 1, for one to be taken as the other, mistyped.
const ALIKE: f64 = 0.8;

/// The word of `known` that `typed` was probably meant to be; none where it is one of them, or like none.
pub fn nearest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed_lower = typed.to_ascii_lowercase();
    let mut best: Option<(f64, &str)> = None;
    for word in known {
        if word == typed {
            return None;
        }
        let alike = strsim::jaro_winkler(&typed_lower, &word.to_ascii_lowercase());
        // Words of three letters are alike by chance; two letters that changed places are no chance.
        let close = alike >= ALIKE && strsim::osa_distance(&typed_lower, &word.to_ascii_lowercase()) <= 2;
        if close && best.is_none_or(|(than, _)| alike > than) {
            best = Some((alike, word));
        }
    }
    best.map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_word_is_known_and_another_one_is_not() {
        let known = ["default", "rust", "big", "nightly"];
        for (typed, meant) in [
            ("rsut", Some("rust")),
            ("Rust", Some("rust")),
            ("rust", None),
            ("defualt", Some("default")),
            ("nigthly", Some("nightly")),
            ("small", None),
            ("deploy", None),
            ("bag", None),
            ("", None),
        ] {
            assert_eq!(nearest(typed, known), meant, "{typed}");
        }
    }
}
