//! Where the forge token may be shown. git decides by the same rule; a git that need not know it is not told.

use url::Url;

use crate::domain::grant::Credential;

/// The credential, if `url` lies below its scope.
pub(super) fn for_url<'a>(credential: Option<&'a Credential>, url: &str) -> Option<&'a Credential> {
    credential.filter(|credential| covers(&credential.scope, url))
}

/// The same scheme, host and port, and a path that begins with the scope's, whole names only.
fn covers(scope: &str, url: &str) -> bool {
    let (Ok(scope), Ok(url)) = (Url::parse(scope), Url::parse(url)) else { return false };
    let below = match url.path().strip_prefix(scope.path().trim_end_matches('/')) {
        Some(rest) => rest.is_empty() || rest.starts_with('/'),
        None => false,
    };
    below && scope.has_host() && scope.origin() == url.origin()
}

/// Whether two addresses are of one host, by scheme and port too.
pub(super) fn same_host(one: &str, other: &str) -> bool {
    match (Url::parse(one), Url::parse(other)) {
        (Ok(one), Ok(other)) => one.has_host() && one.origin() == other.origin(),
        (Ok(_) | Err(_), Ok(_) | Err(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_covers_what_lies_below_it_and_nothing_else() {
        for (scope, url) in [
            ("https://git.example/o/r.git", "https://git.example/o/r.git"),
            ("https://git.example/o/r", "https://git.example/o/r/info/lfs"),
            ("https://git.example/", "https://GIT.example:443/x/y"),
        ] {
            assert!(covers(scope, url), "{scope} {url}");
        }
        for (scope, url) in [
            ("https://git.example/o/r", "https://git.example/o/r2"),
            ("https://git.example/o/r", "https://git.example/o"),
            ("https://git.example/", "http://git.example/o/r"),
            ("https://git.example/", "https://git.example.evil/o/r"),
            ("https://git.example/", "https://git.example:444/o/r"),
            ("https://git.example/", "https://git.example@evil/o/r"),
            ("", "https://git.example/"),
            ("file:///", "file:///etc"),
        ] {
            assert!(!covers(scope, url), "{scope} {url}");
        }
    }
}
