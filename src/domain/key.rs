//! What a repository's first hook credential keys: claims, links to private builds, secrets of services, sessions of builds
//! on the same machine, and the trace of a payload.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::config::RepoConfig;
use super::id::{BuildId, ClaimId};
use super::secret::Secret;

const BUILD_LABEL: &[u8] = b"albatros key v1\0";
const CLAIM_LABEL: &[u8] = b"albatros claim key v1\0";
const SERVICE_LABEL: &[u8] = b"albatros service v1\0";
const PAYLOAD_LABEL: &[u8] = b"albatros payload v1\0";
const SESSION_LABEL: &[u8] = b"albatros session v1\0";
/// SHA-256's block, which is how long an HMAC's key is in the end.
const BLOCK: usize = 64;

/// HMAC-SHA256 of the parts one after another.
pub(super) fn mac(key: &Secret, parts: &[&[u8]]) -> [u8; 32] {
    let key = key.expose().as_bytes();
    let mut block = [0_u8; BLOCK];
    let hashed = Sha256::digest(key);
    let short = if key.len() > BLOCK { hashed.as_slice() } else { key };
    for (to, from) in block.iter_mut().zip(short) {
        *to = *from;
    }
    let mut mac = Hmac::<Sha256>::new(&block.into());
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// What a link to a private build carries: good for reading that build alone.
#[must_use]
pub fn build_key(config: &RepoConfig, build: &BuildId) -> String {
    hex::encode(mac(&config.claim_key, &[BUILD_LABEL, build.as_str().as_bytes()]))
}

/// Whether `given` is a key of that build; a credential that was rotated but still stands in the list counts too.
#[must_use]
pub fn opens(config: &RepoConfig, build: &BuildId, given: &str) -> bool {
    is_keyed(config, [BUILD_LABEL, build.as_str().as_bytes()], given)
}

/// What a link to a private change carries that has no build yet: good for reading that change's page alone.
#[must_use]
pub fn claim_key(config: &RepoConfig, claim: &ClaimId) -> String {
    hex::encode(mac(&config.claim_key, &[CLAIM_LABEL, claim.as_str().as_bytes()]))
}

/// Whether `given` is the key of that change, as [`opens`] says it of a build.
#[must_use]
pub fn opens_claim(config: &RepoConfig, claim: &ClaimId, given: &str) -> bool {
    is_keyed(config, [CLAIM_LABEL, claim.as_str().as_bytes()], given)
}

fn is_keyed(config: &RepoConfig, parts: [&[u8]; 2], given: &str) -> bool {
    let mut right = subtle::Choice::from(0);
    let credentials = if config.hook_secrets.is_empty() { &config.hook_tokens } else { &config.hook_secrets };
    for credential in credentials {
        let expected = hex::encode(mac(credential, &parts));
        right |= expected.as_bytes().ct_eq(given.as_bytes());
    }
    right.into()
}

/// What a record keeps of a payload.
#[must_use]
pub fn payload_hmac(config: &RepoConfig, payload: &Secret) -> String {
    hex::encode(mac(&config.claim_key, &[PAYLOAD_LABEL, payload.expose().as_bytes()]))
}

/// What the controller of the build that started a service shows to the controller of that service, whose claim this is.
#[must_use]
pub fn service_secret(config: &RepoConfig, service: &ClaimId) -> Secret {
    Secret::new(hex::encode(mac(&config.claim_key, &[SERVICE_LABEL, service.as_str().as_bytes()])))
}

/// The secret of the session that a build is given at its start, where it does not ask for one. Made from its claim, so
/// that all who dispatch one claim at the same time hand over the same one.
#[must_use]
pub fn session_secret(config: &RepoConfig, claim: &ClaimId) -> Secret {
    Secret::new(hex::encode(mac(&config.claim_key, &[SESSION_LABEL, claim.as_str().as_bytes()])))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(hook: &str) -> RepoConfig {
        RepoConfig::parse(format!(r#"{{"hook":{hook}}}"#).as_bytes()).unwrap()
    }

    #[test]
    fn a_key_opens_its_own_build_alone() {
        let build: BuildId = "builder/dispatch-1766000000-1a2b3c4d".parse().unwrap();
        let other: BuildId = "builder/dispatch-1766000000-1a2b3c4e".parse().unwrap();
        let config = config(r#"{"secret":"s3cr3t-hmac"}"#);
        let key = build_key(&config, &build);
        // hmac.new(b's3cr3t-hmac', b'albatros key v1\0' + build, hashlib.sha256) in Python
        assert_eq!(key, "673cd452e993d91bf8320fcaf6a2fd0e51d6f66641d0b3f28397bf129982060b");
        assert!(opens(&config, &build, &key));
        assert!(!opens(&config, &other, &key));
        assert!(!opens(&config, &build, ""));
        assert!(!opens(&config, &build, &key[..63]));
    }

    #[test]
    fn a_key_opens_its_own_change_alone() {
        let (claim, other): (ClaimId, ClaimId) = ("a".repeat(64).parse().unwrap(), "b".repeat(64).parse().unwrap());
        let config = config(r#"{"secret":["new","s3cr3t-hmac"]}"#);
        let key = claim_key(&RepoConfig::parse(br#"{"hook":{"secret":"s3cr3t-hmac"}}"#).unwrap(), &claim);
        // hmac.new(b's3cr3t-hmac', b'albatros claim key v1\0' + b'a'*64, hashlib.sha256) in Python
        assert_eq!(key, "ef6dbce1a71f262fdec355882f0bfc5c510477c758ce38ce8c8051b4b9593096");
        assert!(opens_claim(&config, &claim, &key));
        assert!(!opens_claim(&config, &other, &key));
        assert!(!opens_claim(&config, &claim, ""));
        assert_ne!(key, session_secret(&config, &claim).expose());
    }

    #[test]
    fn a_link_outlives_the_rotation_of_its_secret_until_that_is_removed() {
        let build: BuildId = "builder/dispatch-1-a".parse().unwrap();
        let key = build_key(&config(r#"{"secret":"old"}"#), &build);
        assert!(opens(&config(r#"{"secret":["new","old"],"token":"t"}"#), &build, &key));
        assert!(!opens(&config(r#"{"secret":"new"}"#), &build, &key));
    }
}
