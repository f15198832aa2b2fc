//! A repository's address: as sent, and the one form that claims use.

/// A repository's http(s) address, checked; made by `FromStr`.
///
/// Canonical: scheme and host in lower case, no default port, no trailing `/`, path kept.
/// Refused: any other scheme, userinfo, control characters, `..`, query, fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepoUrl {
    sent: String,
    canonical: String,
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
}
