//! A repository's address: as sent, and the one form that claims use.

use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::percent;

/// The longest address that is taken; every value a build is given ends there.
const MAX_BYTES: usize = 4096;

/// A repository's http(s) address, checked; made by `FromStr`.
///
/// Canonical: scheme and host in lower case, no default port, no trailing `/`, path kept.
/// Refused: any other scheme, userinfo, control characters, `..`, query, fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepoUrl {
    sent: String,
    canonical: String,
}

/// Why an address is not one of a repository; never repeats it, for it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RepoUrlError {
    /// Another scheme, or none.
    #[error("the repository's address must begin with http:// or https://")]
    Scheme,
    /// `user@` or `user:password@`.
    #[error("the repository's address must not hold a user or password")]
    Userinfo,
    /// No host, or something that is none.
    #[error("the repository's address has no valid host and port")]
    Host,
    /// Nothing behind the host.
    #[error("the repository's address has no path")]
    Path,
    /// Control characters, spaces, backslashes, also percent-encoded.
    #[error("the repository's address must not hold spaces, backslashes or control characters")]
    Characters,
    /// `.` or `..` between slashes, also percent-encoded.
    #[error("the repository's address must not hold `.` or `..` between slashes")]
    Dots,
    /// `?` or `#`.
    #[error("the repository's address must not hold a query or fragment")]
    Query,
    /// Longer than 4096 bytes.
    #[error("the repository's address is longer than {MAX_BYTES} bytes")]
    Length,
}

impl RepoUrl {
    /// As the delivery spelled it.
    #[must_use]
    pub fn sent(&self) -> &str {
        &self.sent
    }

    /// The canonical spelling.
    #[must_use]
    pub fn canonical(&self) -> &str {
        &self.canonical
    }

    /// Where a configuration may stand, in the order of looking: (spelling, last part of the key). By the address as
    /// sent, then by the canonical one; each in standard base64, then in the URL-safe one without padding.
    #[must_use]
    pub fn keys(&self) -> Vec<(String, String)> {
        let mut keys: Vec<(String, String)> = Vec::with_capacity(4);
        for spelling in [&self.sent, &self.canonical] {
            for suffix in [STANDARD.encode(spelling), URL_SAFE_NO_PAD.encode(spelling)] {
                if !keys.iter().any(|(_, known)| *known == suffix) {
                    keys.push((spelling.clone(), suffix));
                }
            }
        }
        keys
    }

    /// Whether anything is behind the host: without it is a whole forge, for which an entry with `runners` may stand.
    #[must_use]
    pub fn has_path(&self) -> bool {
        self.canonical.split_once("://").is_some_and(|(_, rest)| rest.contains('/'))
    }

    /// The same where it is one of a repository, and not of a whole forge.
    ///
    /// # Errors
    /// [`RepoUrlError::Path`] where nothing is behind the host.
    pub fn of_repository(self) -> Result<Self, RepoUrlError> {
        if self.has_path() { Ok(self) } else { Err(RepoUrlError::Path) }
    }

    /// The addresses above a repository's: its owner's, and its forge's.
    #[must_use]
    pub fn parents(&self) -> Vec<Self> {
        let above = |url: &str| -> Option<Self> {
            let (before, _) = url.rsplit_once('/')?;
            if before.ends_with('/') { None } else { before.parse().ok() }
        };
        let owner = above(&self.canonical);
        let forge = owner.as_ref().and_then(|owner| above(&owner.canonical));
        owner.into_iter().chain(forge).collect()
    }

    /// The last two parts of the path, the name without `.git`: how forges' APIs name a repository.
    #[must_use]
    pub fn owner_and_name(&self) -> Option<(&str, &str)> {
        let (_, rest) = self.canonical.split_once("://")?;
        let (_, path) = rest.split_once('/')?;
        let (before, name) = path.rsplit_once('/')?;
        let owner = before.rsplit('/').next()?;
        let name = name.strip_suffix(".git").unwrap_or(name);
        (!owner.is_empty() && !name.is_empty()).then_some((owner, name))
    }
}

impl FromStr for RepoUrl {
    type Err = RepoUrlError;

    fn from_str(text: &str) -> Result<Self, RepoUrlError> {
        if text.len() > MAX_BYTES {
            return Err(RepoUrlError::Length);
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
            return Err(RepoUrlError::Characters);
        }
        let (scheme, rest) = text.split_once("://").ok_or(RepoUrlError::Scheme)?;
        let scheme = scheme.to_ascii_lowercase();
        let default_port = match scheme.as_str() {
            "http" => 80,
            "https" => 443,
            _ => return Err(RepoUrlError::Scheme),
        };
        let (authority, path) = rest.find(['/', '?', '#']).map_or((rest, ""), |at| rest.split_at(at));
        if authority.contains('@') {
            return Err(RepoUrlError::Userinfo);
        }
        check_path(path)?;
        let host = canonical_host(authority, default_port)?;
        let canonical = format!("{scheme}://{host}{}", path.trim_end_matches('/'));
        Ok(Self { sent: text.to_owned(), canonical })
    }
}

fn check_path(path: &str) -> Result<(), RepoUrlError> {
    if path.contains(['?', '#']) {
        return Err(RepoUrlError::Query);
    }
    let plain = percent::decode(path.as_bytes(), false);
    if plain.iter().any(|b| b.is_ascii_control() || *b == b'\\') {
        return Err(RepoUrlError::Characters);
    }
    if plain.split(|b| *b == b'/').any(|part| part == b"." || part == b"..") {
        return Err(RepoUrlError::Dots);
    }
    Ok(())
}

fn canonical_host(authority: &str, default_port: u16) -> Result<String, RepoUrlError> {
    let bracket = authority.rfind(']').unwrap_or(0);
    let colon = authority.rfind(':').filter(|at| *at > bracket || !authority.starts_with('['));
    let (host, port) = match colon {
        Some(at) => (authority.get(..at).unwrap_or_default(), authority.get(at + 1..).unwrap_or_default()),
        None => (authority, ""),
    };
    let host = host.to_ascii_lowercase();
    let fits = match host.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']').is_some_and(|ip| ip.parse::<std::net::Ipv6Addr>().is_ok()),
        None => !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_')),
    };
    if !fits {
        return Err(RepoUrlError::Host);
    }
    if port.is_empty() {
        return Ok(host);
    }
    if !port.bytes().all(|b| b.is_ascii_digit()) {
        return Err(RepoUrlError::Host);
    }
    match port.parse::<u16>() {
        Ok(0) | Err(_) => Err(RepoUrlError::Host),
        Ok(port) if port == default_port => Ok(host),
        Ok(port) => Ok(format!("{host}:{port}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refused(text: &str) -> RepoUrlError {
        text.parse::<RepoUrl>().unwrap_err()
    }

    #[test]
    fn one_repository_has_one_canonical_address() {
        for sent in [
            "https://git.example/Quentin/a.git",
            "HTTPS://Git.Example/Quentin/a.git/",
            "https://git.example:443/Quentin/a.git",
            "https://git.example:/Quentin/a.git",
        ] {
            let url: RepoUrl = sent.parse().unwrap();
            assert_eq!(url.canonical(), "https://git.example/Quentin/a.git");
            assert_eq!(url.sent(), sent);
        }
        let port: RepoUrl = "http://127.0.0.1:3300/quentin/albatros.git".parse().unwrap();
        assert_eq!(port.canonical(), port.sent());
        let six: RepoUrl = "http://[::1]:80/a/b".parse().unwrap();
        assert_eq!(six.canonical(), "http://[::1]/a/b");
    }

    #[test]
    fn what_is_no_address_of_a_repository_is_refused() {
        use RepoUrlError as E;
        for (text, why) in [
            ("", E::Scheme),
            ("file:///etc", E::Scheme),
            ("ext::sh -c id", E::Characters),
            ("ext::id", E::Scheme),
            ("--upload-pack=id", E::Scheme),
            ("git@git.example:a/b", E::Scheme),
            ("ssh://git.example/a", E::Scheme),
            ("https:/git.example/a", E::Scheme),
            ("https://user:pw@git.example/a", E::Userinfo),
            ("https://user@git.example/a", E::Userinfo),
            ("https:///a/b", E::Host),
            ("https://git.example:99999/a", E::Host),
            ("https://git.example:0/a", E::Host),
            ("https://git.example:x/a", E::Host),
            ("https://git%2eexample/a", E::Host),
            ("https://[::1/a", E::Host),
            ("https://git.example/a/../b", E::Dots),
            ("https://git.example/a/%2e%2E/b", E::Dots),
            ("https://git.example/a/..", E::Dots),
            ("https://git.example/a%2f..%2fb", E::Dots),
            ("https://git.example/a\\b", E::Characters),
            ("https://git.example/a%0ab", E::Characters),
            ("https://git.example/a%00", E::Characters),
            ("https://git.example/a b", E::Characters),
            (" https://git.example/a", E::Characters),
            ("https://git.example/a\u{0}", E::Characters),
            ("https://git.example/a?x=1", E::Query),
            ("https://git.example/a#x", E::Query),
        ] {
            assert_eq!(refused(text), why, "{text}");
        }
        assert_eq!(refused(&format!("https://git.example/{}", "a".repeat(4096))), E::Length);
    }

    #[test]
    fn a_whole_forge_is_no_repository() {
        use RepoUrlError as E;
        for text in ["https://git.example", "https://git.example//"] {
            let url: RepoUrl = text.parse().unwrap();
            assert_eq!(url.canonical(), "https://git.example");
            assert_eq!(url.of_repository(), Err(E::Path));
        }
        let parents = |text: &str| -> Vec<String> {
            text.parse::<RepoUrl>().unwrap().parents().iter().map(|url| url.canonical().to_owned()).collect()
        };
        assert_eq!(parents("https://git.example/o/r.git"), ["https://git.example/o", "https://git.example"]);
        assert_eq!(parents("https://git.example/f/o/r"), ["https://git.example/f/o", "https://git.example/f"]);
        assert_eq!(parents("https://git.example/r"), ["https://git.example"]);
        assert!(parents("https://git.example").is_empty());
    }

    #[test]
    fn no_refusal_repeats_the_address() {
        assert!(!refused("https://user:hunter2@git.example/a").to_string().contains("hunter2"));
    }

    #[test]
    fn the_sent_spelling_is_looked_up_first() {
        let url: RepoUrl = "https://Git.example/a/b?".trim_end_matches('?').parse().unwrap();
        let keys = url.keys();
        let spellings: Vec<&str> = keys.iter().map(|(spelling, _)| spelling.as_str()).collect();
        assert_eq!(spellings, [url.sent(), url.sent(), url.canonical(), url.canonical()]);
        assert_eq!(keys[0].1, "aHR0cHM6Ly9HaXQuZXhhbXBsZS9hL2I=");
        assert_eq!(keys[1].1, "aHR0cHM6Ly9HaXQuZXhhbXBsZS9hL2I");
    }

    #[test]
    fn forges_name_a_repository_by_the_last_two_parts() {
        let parts = |text: &str| {
            let url: RepoUrl = text.parse().unwrap();
            url.owner_and_name().map(|(owner, name)| format!("{owner} {name}"))
        };
        assert_eq!(parts("https://git.example/quentin/albatros.git/").as_deref(), Some("quentin albatros"));
        assert_eq!(parts("https://git.example/forge/quentin/albatros").as_deref(), Some("quentin albatros"));
        assert_eq!(parts("http://localhost/name"), None);
    }

    proptest! {
        #[test]
        fn an_address_is_refused_or_its_canonical_form_is_its_own(text in "(?i:https?)://[a-zA-Z0-9.]{1,8}(:[0-9]{0,5})?(/[a-zA-Z0-9.%é_-]{0,6}){0,4}") {
            if let Ok(url) = text.parse::<RepoUrl>() {
                let again: RepoUrl = url.canonical().parse().unwrap();
                prop_assert_eq!(again.canonical(), url.canonical());
                prop_assert!((1..=4).contains(&url.keys().len()));
            }
        }

        #[test]
        fn any_text_is_refused_or_kept_as_sent(text in any::<String>()) {
            if let Ok(url) = text.parse::<RepoUrl>() {
                prop_assert_eq!(url.sent(), text);
            }
        }
    }
}
