//! The claim: under which key one change is built once.

use super::config::RepoConfig;
use super::event::EventKind;
use super::id::{ClaimId, CommitSha, Flavor};
use super::key;
use super::plan::Site;

const LABEL: &[u8] = b"albatros claim v1\0";

/// What a claim is about; two changes with the same subject are the same change.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Prefix, region, namespace.
    pub site: &'a Site,
    /// The canonical address.
    pub canonical: &'a str,
    /// The full ref.
    pub git_ref: &'a str,
    /// What the ref held before, as sent; empty for a pull request.
    pub before: &'a str,
    /// The commit.
    pub commit: &'a CommitSha,
    /// The flavor.
    pub flavor: &'a Flavor,
    /// The kind of change.
    pub event: EventKind,
    /// An untrusted change must not use up a trusted one.
    pub trusted: bool,
    /// What `retry` and `trigger` add, so that the same change is built again.
    pub salt: Option<&'a str>,
}

/// HMAC-SHA256, keyed with the repository's first credential, over a label and each field behind its length: nobody
/// with a mere right to dispatch can guess it.
#[must_use]
pub fn claim(config: &RepoConfig, subject: &Subject<'_>) -> ClaimId {
    let fields = [
        subject.site.prefix.as_str(),
        &subject.site.region,
        &subject.site.namespace,
        subject.canonical,
        subject.git_ref,
        subject.before,
        subject.commit.as_str(),
        subject.flavor.as_str(),
        subject.event.as_str(),
        if subject.trusted { "true" } else { "false" },
    ];
    let mut message = LABEL.to_vec();
    for field in fields.into_iter().chain(subject.salt) {
        let length = u32::try_from(field.len()).unwrap_or(u32::MAX);
        message.extend_from_slice(&length.to_be_bytes());
        message.extend_from_slice(field.as_bytes());
    }
    ClaimId::from_digest(key::mac(&config.claim_key, &[&message]))
}
