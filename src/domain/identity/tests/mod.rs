//! Tokens as Nomad signs them, and signers of our own.

mod build;
mod token;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::*;

const NOW: i64 = 1_795_266_400;

fn recorded(name: &str) -> Value {
    let text = match name {
        "jwt" => include_str!("../../../../tests/fixture/nomad/identity/jwt.json"),
        _ => include_str!("../../../../tests/fixture/nomad/identity/jwks.json"),
    };
    serde_json::from_str(text).unwrap()
}

fn recorded_token() -> String {
    let parts = &recorded("jwt")["jwt"]["parts"];
    ["header", "payload", "signature"].map(|part| parts[part].as_str().unwrap().to_owned()).join(".")
}

fn recorded_keys() -> Keys {
    Keys::parse(recorded("jwks")["body"].to_string().as_bytes()).unwrap()
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

/// A signer of our own, and the key set that knows it.
struct Signer {
    pair: rcgen::KeyPair,
    algorithm: Algorithm,
}

impl Signer {
    fn ed() -> Self {
        Self { pair: rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap(), algorithm: Algorithm::EdDSA }
    }

    fn ec() -> Self {
        Self {
            pair: rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap(),
            algorithm: Algorithm::ES256,
        }
    }

    fn public(&self) -> Vec<u8> {
        self.pair.public_key_raw().to_vec()
    }

    fn jwk(&self) -> Value {
        let (public, text) = (self.public(), |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes));
        if self.algorithm == Algorithm::EdDSA {
            return json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": "k", "x": text(&public)});
        }
        json!({"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": "k",
            "x": text(&public[1..33]), "y": text(&public[33..65])})
    }

    fn keys(&self) -> Keys {
        Keys::parse(json!({"keys": [self.jwk()]}).to_string().as_bytes()).unwrap()
    }

    fn sign(&self, claims: &Value) -> String {
        let der = self.pair.serialize_der();
        let key = match self.algorithm {
            Algorithm::EdDSA => EncodingKey::from_ed_der(&der),
            _ => EncodingKey::from_ec_der(&der),
        };
        jsonwebtoken::encode(&Header { kid: Some("k".to_owned()), ..Header::new(self.algorithm) }, claims, &key)
            .unwrap()
    }

    fn verify(&self, claims: &Value) -> Result<Identity, IdentityError> {
        self.keys().verify(&self.sign(claims), at(NOW))
    }
}

fn claims() -> Value {
    json!({
        "aud": "albatros", "iat": NOW, "nbf": NOW, "exp": NOW + 3600, "sub": "global:ci:builder:runner:controller:albatros",
        "nomad_namespace": "ci", "nomad_job_id": "builder", "nomad_task": "controller",
        "nomad_allocation_id": "05b68e13-3da3-9a14-dae4-2b0f73859312",
    })
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name);
    claims
}
