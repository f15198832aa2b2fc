//! Nomad's public keys (RFC 7517), and what a token (RFC 7519) says once it is checked with one of them.

use std::collections::BTreeMap;
use std::str::FromStr as _;

use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use serde_json::Value;

use super::Identity;
use crate::domain::runner::IDENTITY;

/// How much the clocks of two machines may differ.
const LEEWAY: SignedDuration = SignedDuration::from_secs(30);
/// The longest token; Nomad's have less than a kilobyte.
const LONGEST: usize = 8 * 1024;

/// Why a token is not taken. Nothing of the token is repeated.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// Not a token of ours at all.
    #[error("the token cannot be read")]
    Malformed,
    /// Nomad has no such key, or not yet as far as we know.
    #[error("the token is signed with a key that Nomad does not have")]
    UnknownKey,
    /// `none`, an HMAC with a public key, or another algorithm than the key is for.
    #[error("the token is not signed in the way that its key is for")]
    Algorithm,
    /// Changed, or signed by somebody else.
    #[error("the token's signature is wrong")]
    Signature(#[source] jsonwebtoken::errors::Error),
    /// No `exp`.
    #[error("the token has no end: give the builder's identity a ttl")]
    NoExpiry,
    /// `exp` is over.
    #[error("the token has expired")]
    Expired,
    /// `nbf` is to come.
    #[error("the token is not valid yet: compare the clocks")]
    NotYet,
    /// `aud`.
    #[error("the token is for somebody else: the builder's identity needs aud = [\"albatros\"]")]
    Audience,
}

/// Nomad's public keys by their id, each with the one algorithm that it is for.
#[derive(Debug, Clone, Default)]
pub struct Keys(BTreeMap<String, (Algorithm, DecodingKey)>);

#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

/// The claims that are read; absent ones are never what is asked for.
#[derive(Deserialize)]
struct Claims {
    #[serde(default)]
    sub: String,
    #[serde(default)]
    aud: Audience,
    exp: Option<i64>,
    nbf: Option<i64>,
    #[serde(default)]
    nomad_namespace: String,
    #[serde(default)]
    nomad_job_id: String,
    #[serde(default)]
    nomad_allocation_id: String,
    #[serde(default)]
    nomad_task: String,
}

/// A string where there is one, else a list.
#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Default for Audience {
    fn default() -> Self {
        Self::Several(Vec::new())
    }
}

impl Audience {
    fn is_ours(&self) -> bool {
        match self {
            Self::One(one) => one == IDENTITY,
            Self::Several(all) => all.iter().any(|one| one == IDENTITY),
        }
    }
}

impl Keys {
    /// Reads a key set; keys of a kind that is not understood are left out.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(jwks: &[u8]) -> serde_json::Result<Self> {
        let set: Set = serde_json::from_slice(jwks)?;
        Ok(Self(set.keys.into_iter().filter_map(key).collect()))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Checks a token: signature, end, beginning, audience.
    ///
    /// # Errors
    /// See [`IdentityError`].
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Identity, IdentityError> {
        if token.len() > LONGEST {
            return Err(IdentityError::Malformed);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_no_header| IdentityError::Malformed)?;
        let kid = header.kid.ok_or(IdentityError::Malformed)?;
        let (algorithm, key) = self.0.get(&kid).ok_or(IdentityError::UnknownKey)?;
        if header.alg != *algorithm {
            return Err(IdentityError::Algorithm);
        }
        let claims = jsonwebtoken::decode::<Claims>(token, key, &signature_only(*algorithm));
        let claims = claims.map_err(IdentityError::Signature)?.claims;
        let expires = time(claims.exp.ok_or(IdentityError::NoExpiry)?)?;
        if now >= expires.saturating_add(LEEWAY).unwrap_or(expires) {
            return Err(IdentityError::Expired);
        }
        let begins = claims.nbf.map(time).transpose()?;
        if begins.is_some_and(|begins| now < begins.saturating_sub(LEEWAY).unwrap_or(begins)) {
            return Err(IdentityError::NotYet);
        }
        if !claims.aud.is_ours() {
            return Err(IdentityError::Audience);
        }
        Ok(Identity {
            subject: claims.sub,
            namespace: claims.nomad_namespace,
            job: claims.nomad_job_id,
            allocation: claims.nomad_allocation_id,
            task: claims.nomad_task,
        })
    }
}

/// The library would ask the machine's clock; times and audience are checked here, by the caller's.
fn signature_only(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation
}

fn time(seconds: i64) -> Result<Timestamp, IdentityError> {
    Timestamp::from_second(seconds).map_err(|_no_time| IdentityError::Malformed)
}

/// A key for signatures with its id and its algorithm. A token never chooses the algorithm: an HMAC keyed with a public
/// key would be anybody's to make.
fn key(value: Value) -> Option<(String, (Algorithm, DecodingKey))> {
    let jwk: Jwk = serde_json::from_value(value).ok()?;
    if !matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature)) {
        return None;
    }
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => Algorithm::RS256,
        AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P256 => Algorithm::ES256,
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => Algorithm::EdDSA,
        // The library's list may grow.
        _ => return None,
    };
    if let Some(named) = &jwk.common.key_algorithm
        && Algorithm::from_str(&named.to_string()).ok() != Some(algorithm)
    {
        return None;
    }
    Some((jwk.common.key_id.clone()?, (algorithm, DecodingKey::from_jwk(&jwk).ok()?)))
}
