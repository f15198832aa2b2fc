//! What git's own words mean: the one place that reads them.

use super::GitError;

/// Why a forge's side of git did not give what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It wants a user and a password, or others than it was shown.
    Credential,
    /// It knows who asks, and says no.
    Forbidden,
    /// There is no such repository, or none that it would tell us of.
    NoRepository,
    /// There is no such ref.
    NoRef,
    /// It sends us elsewhere, and we do not go there.
    Moved,
    /// Who it is cannot be proved.
    Certificate,
    /// It cannot be reached, is too slow or has trouble of its own: asking again may help.
    Unreachable,
    /// git has no `lfs` here.
    NoLfs,
    /// Anything else; a commit that it does not give by itself among it.
    Other,
}

/// What is said for a git that did not end.
pub(super) const TOO_LONG: &str = "it was not done after an hour";

/// What git (2.20 to 2.51) and curl below it write with `LC_ALL=C`; the first that is found counts.
const WORDS: &[(&str, Refusal)] = &[
    // A hang-up may stand behind these.
    ("not our ref", Refusal::Other),
    ("unadvertised object", Refusal::Other),
    ("Authentication failed", Refusal::Credential),
    ("could not read Username", Refusal::Credential),
    ("could not read Password", Refusal::Credential),
    ("Authentication required", Refusal::Credential),
    ("Authorization error", Refusal::Forbidden),
    ("returned error: 401", Refusal::Credential),
    ("returned error: 403", Refusal::Forbidden),
    ("SSL certificate problem", Refusal::Certificate),
    ("certificate verification failed", Refusal::Certificate),
    ("server certificate", Refusal::Certificate),
    ("no alternative certificate subject name", Refusal::Certificate),
    ("couldn't find remote ref", Refusal::NoRef),
    ("returned error: 30", Refusal::Moved),
    ("returned error: 404", Refusal::NoRepository),
    ("returned error: 410", Refusal::NoRepository),
    ("returned error: 408", Refusal::Unreachable),
    ("returned error: 429", Refusal::Unreachable),
    ("returned error: 5", Refusal::Unreachable),
    ("Could not resolve", Refusal::Unreachable),
    ("Failed to connect", Refusal::Unreachable),
    ("Couldn't connect to server", Refusal::Unreachable),
    ("Connection refused", Refusal::Unreachable),
    ("Connection reset", Refusal::Unreachable),
    ("Connection timed out", Refusal::Unreachable),
    ("Connection was reset", Refusal::Unreachable),
    ("Operation too slow", Refusal::Unreachable),
    ("Operation timed out", Refusal::Unreachable),
    ("Empty reply from server", Refusal::Unreachable),
    ("transfer closed", Refusal::Unreachable),
    ("early EOF", Refusal::Unreachable),
    ("RPC failed", Refusal::Unreachable),
    ("unexpected disconnect", Refusal::Unreachable),
    ("the remote end hung up", Refusal::Unreachable),
    (TOO_LONG, Refusal::Unreachable),
    ("'lfs' is not a git command", Refusal::NoLfs),
];

impl Refusal {
    /// What an error of git means.
    #[must_use]
    pub fn of(error: &GitError) -> Self {
        match error {
            GitError::Start(_) => Self::Other,
            GitError::Refused { said, .. } => Self::read(said),
        }
    }

    fn read(said: &str) -> Self {
        // Between quotes stands an address, which may hold any word.
        if said.contains("fatal: repository '") && said.trim_end().ends_with("not found") {
            return Self::NoRepository;
        }
        WORDS.iter().find(|(words, _)| said.contains(words)).map_or(Self::Other, |(_, refusal)| *refusal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_says_is_understood() {
        for (said, meant) in [
            ("fatal: could not read Username for 'http://h': terminal prompts disabled", Refusal::Credential),
            ("fatal: unable to access 'http://h/o/r/': The requested URL returned error: 403", Refusal::Forbidden),
            ("remote: Not found.\nfatal: repository 'http://h/o/r/' not found", Refusal::NoRepository),
            ("fatal: couldn't find remote ref refs/heads/x", Refusal::NoRef),
            ("fatal: unable to access 'http://h/': The requested URL returned error: 302", Refusal::Moved),
            (
                "fatal: unable to access 'https://h/': SSL certificate problem: unable to get local issuer certificate",
                Refusal::Certificate,
            ),
            (
                "fatal: unable to access 'http://h/': Failed to connect to h port 80: Connection refused",
                Refusal::Unreachable,
            ),
            ("fatal: unable to access 'http://h/': The requested URL returned error: 503", Refusal::Unreachable),
            (
                "fatal: remote error: upload-pack: not our ref 01\nfatal: the remote end hung up unexpectedly",
                Refusal::Other,
            ),
            ("git: 'lfs' is not a git command. See 'git --help'.", Refusal::NoLfs),
        ] {
            assert_eq!(Refusal::read(said), meant, "{said}");
        }
    }
}
