//! Patterns of branches and files, as `branches`, `paths` and `paths_ignore` of a configuration have them.

use globset::{GlobBuilder, GlobMatcher};

/// The most patterns of a list.
const MOST: usize = 100;
/// The longest pattern, bytes.
const LONGEST: usize = 500;

/// A list of patterns: `*` and `?` stand for characters other than `/`, `**` for whole folders, `{a,b}` for either. One
/// that begins with `!` takes away what earlier ones gave.
#[derive(Debug, Clone)]
pub struct Patterns(Vec<Pattern>);

#[derive(Debug, Clone)]
struct Pattern {
    takes: bool,
    glob: GlobMatcher,
}

/// Why a list of patterns cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// None would mean nothing, or everything.
    #[error("expected at least one pattern: leave the field out to take everything")]
    None,
    /// Too many.
    #[error("more than {MOST} patterns")]
    Many,
    /// Too long.
    #[error("a pattern is longer than {LONGEST} bytes")]
    Long,
    /// Not a pattern; the sentence is the library's.
    #[error("{0}")]
    Glob(String),
    /// Nothing is left that it could take away from.
    #[error("the first pattern begins with `!`, so nothing would match: put `**` before it")]
    NothingFirst,
}

impl Patterns {
    /// Reads a list.
    ///
    /// # Errors
    /// See [`PatternError`].
    pub fn parse<'a>(list: impl IntoIterator<Item = &'a str>) -> Result<Self, PatternError> {
        let patterns: Vec<Pattern> = list.into_iter().take(MOST + 1).map(Pattern::parse).collect::<Result<_, _>>()?;
        match patterns.first() {
            None => Err(PatternError::None),
            Some(_) if patterns.len() > MOST => Err(PatternError::Many),
            Some(first) if !first.takes => Err(PatternError::NothingFirst),
            Some(_) => Ok(Self(patterns)),
        }
    }

    /// Whether a branch or a file's path is meant: by the last pattern that fits it.
    #[must_use]
    pub fn take(&self, name: &str) -> bool {
        self.0.iter().rev().find(|pattern| pattern.glob.is_match(name)).is_some_and(|pattern| pattern.takes)
    }
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, PatternError> {
        if text.len() > LONGEST {
            return Err(PatternError::Long);
        }
        let (takes, text) = text.strip_prefix('!').map_or((true, text), |rest| (false, rest));
        let glob = GlobBuilder::new(text).literal_separator(true).backslash_escape(true).build();
        let glob = glob.map_err(|error| PatternError::Glob(error.to_string()))?;
        Ok(Self { takes, glob: glob.compile_matcher() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn take(list: &[&str], name: &str) -> bool {
        Patterns::parse(list.iter().copied()).unwrap().take(name)
    }

    #[test]
    fn a_star_stays_within_a_folder_and_two_do_not() {
        assert!(take(&["release/*"], "release/1"));
        assert!(!take(&["release/*"], "release/1/x"));
        assert!(take(&["release/**"], "release/1/x"));
        assert!(take(&["**/*.md"], "README.md") && take(&["**/*.md"], "a/b/c.md"));
        assert!(!take(&["*.md"], "a/b.md"));
        assert!(take(&["{main,next}"], "next"));
    }

    #[test]
    fn the_last_pattern_that_fits_decides() {
        let list = ["**", "!docs/**", "docs/build.rs"];
        assert!(take(&list, "src/main.rs") && take(&list, "docs/build.rs"));
        assert!(!take(&list, "docs/a.md"));
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        assert_eq!(Patterns::parse([]).unwrap_err(), PatternError::None);
        assert_eq!(Patterns::parse(["!a"]).unwrap_err(), PatternError::NothingFirst);
        assert!(matches!(Patterns::parse(["a[b"]).unwrap_err(), PatternError::Glob(_)));
        assert_eq!(Patterns::parse(["a"; 101]).unwrap_err(), PatternError::Many);
        assert_eq!(Patterns::parse(["a".repeat(501).as_str()]).unwrap_err(), PatternError::Long);
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_can_be_asked(text in any::<String>(), name in any::<String>()) {
            if let Ok(patterns) = Patterns::parse([text.as_str()]) {
                prop_assert!(!patterns.take(&name) || !text.starts_with('!'));
            }
        }
    }
}
