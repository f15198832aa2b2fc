//! Names as archives and directories hold them: bytes, of which some are refused.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path};

use super::error::{PackError, Why};

/// So much of a name is shown.
const SHOWN: usize = 200;

/// A name for people: what a terminal would obey is written out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name(String);

impl Name {
    pub(in crate::sidecar) fn of(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(if bytes.is_empty() { b"." } else { bytes });
        let mut shown: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
        if text.chars().nth(SHOWN).is_some() {
            shown.push('…');
        }
        Self(shown)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A relative path without `.` and `..`, its parts joined by single slashes; empty for the place itself.
pub(in crate::sidecar) fn plain(name: &[u8]) -> Result<Vec<u8>, PackError> {
    let refused = |why| Err(PackError::refused(name, why));
    if name.contains(&0) {
        return refused(Why::Nul);
    }
    let mut plain: Vec<u8> = Vec::with_capacity(name.len());
    for part in Path::new(OsStr::from_bytes(name)).components() {
        match part {
            Component::Normal(part) => {
                if !plain.is_empty() {
                    plain.push(b'/');
                }
                plain.extend_from_slice(part.as_bytes());
            }
            Component::CurDir => {}
            Component::ParentDir => return refused(Why::Up),
            Component::RootDir | Component::Prefix(_) => return refused(Why::Absolute),
        }
    }
    Ok(plain)
}

/// The directory of a plain name, and the last part.
pub(in crate::sidecar) fn split(plain: &[u8]) -> (&[u8], &[u8]) {
    let at = plain.iter().rposition(|byte| *byte == b'/');
    let (above, last) = at.map_or((&[][..], plain), |at| plain.split_at_checked(at).unwrap_or_default());
    (above, last.strip_prefix(b"/").unwrap_or(last))
}

/// A name below a plain one.
pub(in crate::sidecar) fn join(above: &[u8], last: &[u8]) -> Vec<u8> {
    let slash: &[u8] = if above.is_empty() { b"" } else { b"/" };
    [above, slash, last].concat()
}

/// How many directories are above a plain name.
pub(in crate::sidecar) fn depth(plain: &[u8]) -> usize {
    plain.iter().filter(|byte| **byte == b'/').count()
}

/// Whether the link `name` surely stays inside: `..` only first, and no more of it than there are directories above the
/// link. Its directories are none that a link leads through, so going up is what it seems to be; and every other link
/// obeys the same, so going on through one stays inside as well.
pub(super) fn stays_inside(name: &[u8], target: &[u8]) -> bool {
    let mut above = depth(name);
    let mut went_on = false;
    for part in Path::new(OsStr::from_bytes(target)).components() {
        match part {
            Component::CurDir => {}
            Component::Normal(_) => went_on = true,
            Component::ParentDir if went_on => return false,
            Component::ParentDir => match above.checked_sub(1) {
                Some(left) => above = left,
                None => return false,
            },
            Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    !target.is_empty() && !target.contains(&0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_made_plain_or_refused() {
        for (name, made) in [("a/b", "a/b"), ("./a//b/", "a/b"), (".", ""), ("a/./b", "a/b"), ("...", "...")] {
            assert_eq!(plain(name.as_bytes()).unwrap(), made.as_bytes());
        }
        for name in ["/a", "..", "a/..", "../a", "a/../b", "a\0b"] {
            assert!(plain(name.as_bytes()).is_err(), "{name:?}");
        }
        assert_eq!(split(b"a/b/c"), (&b"a/b"[..], &b"c"[..]));
        assert_eq!(split(b"c"), (&b""[..], &b"c"[..]));
    }

    #[test]
    fn a_link_may_go_up_only_first_and_only_as_far_as_it_lies_deep() {
        for (name, target) in [("l", "a"), ("l", "./a/b"), ("d/l", "../a"), ("d/e/l", "../../a/b"), ("l", "a/./b")] {
            assert!(stays_inside(name.as_bytes(), target.as_bytes()), "{name} {target}");
        }
        for (name, target) in
            [("l", "/etc"), ("l", ".."), ("d/l", "../.."), ("l", "a/.."), ("d/l", "e/../../.."), ("l", "")]
        {
            assert!(!stays_inside(name.as_bytes(), target.as_bytes()), "{name} {target}");
        }
    }

    #[test]
    fn what_a_terminal_would_obey_is_written_out() {
        assert_eq!(Name::of(b"a\n\x1b[31m\xff").to_string(), "a\\n\\u{1b}[31m\u{fffd}");
        assert!(Name::of(&[b'x'; 5000]).to_string().chars().count() == SHOWN + 1);
    }

    proptest! {
        #[test]
        fn what_is_plain_is_plain_and_stays_below(name in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(made) = plain(&name) {
                prop_assert_eq!(&plain(&made).unwrap(), &made);
                prop_assert!(!made.starts_with(b"/") && !made.split(|b| *b == b'/').any(|part| part == b".."));
                let (above, last) = split(&made);
                prop_assert_eq!(join(above, last), made);
            }
        }
    }
}
