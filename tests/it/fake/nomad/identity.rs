//! Workload identities: the keys that Nomad shows, and tokens signed with them.

use std::sync::Mutex;

use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::Nomad;
use crate::fake::wire;

/// The keys so far; the last one signs.
#[derive(Debug)]
pub(super) struct Signers(Mutex<Vec<Signer>>);

#[derive(Debug)]
struct Signer {
    pair: rcgen::KeyPair,
    kid: String,
}

impl Signer {
    fn new() -> Self {
        Self { pair: rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap(), kid: crate::fake::uuid() }
    }

    fn jwk(&self) -> Value {
        let public = URL_SAFE_NO_PAD.encode(self.pair.public_key_raw());
        json!({"use": "sig", "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": self.kid, "x": public})
    }

    fn header(&self, algorithm: Algorithm) -> Header {
        Header { kid: Some(self.kid.clone()), ..Header::new(algorithm) }
    }
}

impl Default for Signers {
    fn default() -> Self {
        Self(Mutex::new(vec![Signer::new()]))
    }
}

impl Signers {
    fn last<T>(&self, read: impl FnOnce(&Signer) -> T) -> T {
        read(self.0.lock().unwrap().last().unwrap())
    }

    /// `GET /.well-known/jwks.json`, for which no token is needed.
    pub(super) fn shown(&self) -> Response {
        let keys: Vec<Value> = self.0.lock().unwrap().iter().map(Signer::jwk).collect();
        wire::json(200, &json!({"keys": keys}))
    }
}

/// How often the fake's keys are read.
pub(crate) const KEYS: &str = "/.well-known/jwks.json";

impl Nomad {
    /// What the identity `albatros` of a build's controller claims.
    pub(crate) fn claims(&self, build: &str) -> Value {
        let job = self.job(build);
        let (now, parent) = (jiff::Timestamp::now().as_second(), job["ParentID"].as_str().unwrap().to_owned());
        let namespace = job["Namespace"].as_str().unwrap();
        json!({
            "aud": "albatros", "iat": now, "nbf": now, "exp": now + 3600, "jti": crate::fake::uuid(),
            "sub": format!("global:{namespace}:{parent}:runner:controller:albatros"),
            "nomad_namespace": namespace, "nomad_job_id": parent, "nomad_task": "controller",
            "nomad_allocation_id": self.allocation(build),
        })
    }

    /// A token with these claims, signed as Nomad does.
    pub(crate) fn sign(&self, claims: &Value) -> String {
        self.state.signers.last(|signer| {
            let key = EncodingKey::from_ed_der(&signer.pair.serialize_der());
            jsonwebtoken::encode(&signer.header(Algorithm::EdDSA), claims, &key).unwrap()
        })
    }

    /// The same, but with an HMAC keyed with the public key.
    pub(crate) fn forge_with_public_key(&self, claims: &Value) -> String {
        self.state.signers.last(|signer| {
            let key = EncodingKey::from_secret(signer.pair.public_key_raw());
            jsonwebtoken::encode(&signer.header(Algorithm::HS256), claims, &key).unwrap()
        })
    }

    /// The same, but with `alg: none` and no signature.
    pub(crate) fn forge_without_signature(&self, claims: &Value) -> String {
        let kid = self.state.signers.last(|signer| signer.kid.clone());
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.", part(&json!({"alg": "none", "typ": "JWT", "kid": kid})), part(claims))
    }

    /// From now on tokens are signed with a new key.
    pub(crate) fn rotate_keys(&self) {
        self.state.signers.0.lock().unwrap().push(Signer::new());
    }
}
