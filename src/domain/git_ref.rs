//! The names git allows for a ref, so that one handed to git later can mean nothing else.

/// Why a name is none of a ref.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the ref is not a name that git allows")]
pub struct RefError;

/// Checks a full name (`refs/…`) by the rules of git-check-ref-format(1).
///
/// # Errors
/// [`RefError`] for a name that git itself would not take.
pub fn check(name: &str) -> Result<(), RefError> {
    let parts_fit = name.split('/').all(|part| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock"));
    let characters_fit =
        !name.chars().any(|c| c.is_ascii_control() || matches!(c, ' ' | '~' | '^' | ':' | '?' | '*' | '[' | '\\'));
    let fits = name.starts_with("refs/")
        && parts_fit
        && characters_fit
        && !name.ends_with('.')
        && !name.contains("..")
        && !name.contains("@{");
    if fits { Ok(()) } else { Err(RefError) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_names_that_git_allows_are_taken() {
        for name in [
            "-dash",
            "x`id`|&<b>",
            "refs/tags/v9",
            "feat/émoji-🦤",
            "x${NOMAD_TOKEN}",
            "a;b'c\"d$(id)",
            "@",
            "%{x}",
            "+x",
        ] {
            assert_eq!(check(&format!("refs/heads/{name}")), Ok(()), "{name}");
        }
        assert_eq!(check("refs/pull/3/head"), Ok(()));
    }

    #[test]
    fn names_that_mean_something_else_to_git_are_refused() {
        for name in [
            "", "a b", "a..b", "a:b", "*", "a^", "a~1", "a/", "/a", "a//b", ".a", "a/.b", "a.lock", "a.", "x@{1}",
            "a\\b", "a\nb", "a[b", "a?",
        ] {
            assert_eq!(check(&format!("refs/heads/{name}")), Err(RefError), "{name}");
        }
        assert_eq!(check("main"), Err(RefError));
    }
}
