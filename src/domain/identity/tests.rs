use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::*;

const NOW: i64 = 1_795_266_400;

fn recorded(name: &str) -> Value {
    let text = match name {
        "jwt" => include_str!("../../../tests/fixture/nomad/identity/jwt.json"),
        _ => include_str!("../../../tests/fixture/nomad/identity/jwks.json"),
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

#[test]
fn the_recorded_token_is_read_with_the_recorded_keys() {
    let identity = recorded_keys().verify(&recorded_token(), at(1_795_266_400)).unwrap();
    assert_eq!(identity.subject(), "global:ci:fx-id:runner:controller:albatros");
    assert_eq!(identity.allocation(), "05b68e13-3da3-9a14-dae4-2b0f73859312");
}

#[test]
fn a_token_is_good_from_its_beginning_to_its_end() {
    let verify = |seconds| recorded_keys().verify(&recorded_token(), at(seconds));
    assert!(matches!(verify(1_795_268_121 + 30), Err(IdentityError::Expired)));
    assert!(verify(1_795_268_121 + 29).is_ok(), "clocks differ");
    assert!(matches!(verify(1_795_266_321 - 31), Err(IdentityError::NotYet)));
    assert!(verify(1_795_266_321 - 30).is_ok());
}

#[test]
fn each_of_nomads_kinds_of_keys_is_understood() {
    for signer in [Signer::ed(), Signer::ec()] {
        assert_eq!(signer.verify(&claims()).unwrap().task, "controller");
    }
}

#[test]
fn a_token_without_end_is_refused() {
    let signer = Signer::ed();
    assert!(matches!(signer.verify(&without("exp")), Err(IdentityError::NoExpiry)));
    assert!(matches!(signer.verify(&with("exp", Value::Null)), Err(IdentityError::NoExpiry)));
    assert!(signer.verify(&with("exp", json!("never"))).is_err());
    assert!(signer.verify(&with("exp", json!(i64::MAX))).is_err());
}

#[test]
fn a_token_for_somebody_else_is_refused() {
    let signer = Signer::ed();
    for aud in [json!("vault.io"), json!(["nomadproject.io"]), json!([]), json!("")] {
        assert!(matches!(signer.verify(&with("aud", aud.clone())), Err(IdentityError::Audience)), "{aud}");
    }
    assert!(matches!(signer.verify(&without("aud")), Err(IdentityError::Audience)));
    assert!(signer.verify(&with("aud", json!(["vault.io", "albatros"]))).is_ok());
}

#[test]
fn a_changed_token_is_refused() {
    let token = recorded_token();
    let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
    parts[1] = URL_SAFE_NO_PAD.encode(claims().to_string());
    let changed = parts.join(".");
    assert!(matches!(recorded_keys().verify(&changed, at(NOW)), Err(IdentityError::Signature(_))));
    let own = Signer::ed();
    assert!(Signer::ed().keys().verify(&own.sign(&claims()), at(NOW)).is_err(), "another key of the same name");
}

#[test]
fn a_token_of_an_unknown_key_says_so() {
    assert!(matches!(Signer::ed().keys().verify(&recorded_token(), at(NOW)), Err(IdentityError::UnknownKey)));
    assert!(matches!(Keys::default().verify(&recorded_token(), at(NOW)), Err(IdentityError::UnknownKey)));
}

/// The oldest of tricks: a public key is known to all, and so is an HMAC keyed with it.
#[test]
fn the_token_does_not_choose_its_algorithm() {
    for signer in [Signer::ed(), Signer::ec()] {
        let keys = signer.keys();
        let header = Header { kid: Some("k".to_owned()), ..Header::new(Algorithm::HS256) };
        for secret in
            [signer.public(), signer.pair.public_key_pem().into_bytes(), signer.jwk().to_string().into_bytes()]
        {
            let forged = jsonwebtoken::encode(&header, &claims(), &EncodingKey::from_secret(&secret)).unwrap();
            assert!(matches!(keys.verify(&forged, at(NOW)), Err(IdentityError::Algorithm)));
        }
        for alg in ["none", "None", "NONE", ""] {
            let header = URL_SAFE_NO_PAD.encode(json!({"alg": alg, "typ": "JWT", "kid": "k"}).to_string());
            let body = URL_SAFE_NO_PAD.encode(claims().to_string());
            assert!(keys.verify(&format!("{header}.{body}."), at(NOW)).is_err(), "{alg:?}");
        }
    }
}

#[test]
fn what_is_no_token_is_refused() {
    let keys = recorded_keys();
    let long = format!("{}{}", recorded_token(), "A".repeat(9_000));
    for text in ["", ".", "..", "a.b.c", "é.é.é", &recorded_token()[..100], &long] {
        assert!(keys.verify(text, at(1_795_266_400)).is_err(), "{text}");
    }
}

#[test]
fn keys_that_are_not_for_signatures_are_left_out() {
    let mut encryption = Signer::ed().jwk();
    encryption["use"] = "enc".into();
    let mut contradictory = Signer::ed().jwk();
    contradictory["alg"] = "HS256".into();
    let mut nameless = Signer::ed().jwk();
    nameless.as_object_mut().unwrap().remove("kid");
    let symmetric = json!({"kty": "oct", "kid": "k", "k": "c2VjcmV0"});
    for jwk in [encryption, contradictory, nameless, symmetric, json!(7), json!({})] {
        assert!(Keys::parse(json!({"keys": [jwk]}).to_string().as_bytes()).unwrap().is_empty(), "{jwk}");
    }
    assert!(Keys::parse(b"[]").is_err());
}

fn identity(claims: &Value) -> Identity {
    Signer::ed().verify(claims).unwrap()
}

fn record() -> Record {
    serde_json::from_value(json!({
        "version": 1, "nonce": "n", "repo": "http://git.example/a/b", "canonical": "http://git.example/a/b",
        "ref": "refs/heads/main", "branch": "main", "before": "", "commit": "1".repeat(40), "flavor": "default",
        "event": "push", "sender": {"login": "quentin"}, "trusted": true, "private": false,
        "builder": "builder", "namespace": "ci", "meta": {}, "created": "2026-11-21T00:00:00Z",
        "phase": {"is": "dispatched"}, "build": "builder/dispatch-1-aaaaaaaa",
    }))
    .unwrap()
}

#[test]
fn the_controller_of_the_planned_builder_is_known_by_its_subject() {
    assert_eq!(identity(&claims()).is_of_builder(&record(), "global"), Ok(()));
    for subject in [
        "global:ci:builder:runner:executor:albatros",
        "global:ci:builder:runner:sidecar:albatros",
        "global:ci:builder:runner:controller:vault",
        "global:ci:builder:other:controller:albatros",
        "global:ci:other:runner:controller:albatros",
        "global:ci:builder/dispatch-1-aaaaaaaa:runner:controller:albatros",
        "global:other:builder:runner:controller:albatros",
        "eu:ci:builder:runner:controller:albatros",
        "",
    ] {
        let told = identity(&with("sub", json!(subject))).is_of_builder(&record(), "global");
        assert_eq!(told, Err(Stranger::Subject), "{subject}");
    }
    assert_eq!(identity(&without("sub")).is_of_builder(&record(), "global"), Err(Stranger::Subject));
}

#[test]
fn claims_that_contradict_the_subject_are_refused() {
    for (name, value) in [("nomad_namespace", "other"), ("nomad_job_id", "other"), ("nomad_task", "executor")] {
        let told = [with(name, json!(value)), without(name)].map(|c| identity(&c).is_of_builder(&record(), "global"));
        assert_eq!(told, [Err(Stranger::Contradiction); 2], "{name}");
    }
}

fn allocation(change: impl FnOnce(&mut Allocation)) -> Allocation {
    let mut allocation: Allocation = serde_json::from_value(json!({
        "ID": "05b68e13-3da3-9a14-dae4-2b0f73859312", "JobID": "builder/dispatch-1-aaaaaaaa", "Namespace": "ci",
        "TaskGroup": "runner", "ClientStatus": "pending", "DesiredStatus": "run",
    }))
    .unwrap();
    change(&mut allocation);
    allocation
}

fn child(change: impl FnOnce(&mut Job)) -> Job {
    let mut child: Job = serde_json::from_value(json!({
        "ID": "builder/dispatch-1-aaaaaaaa", "ParentID": "builder", "Namespace": "ci", "Dispatched": true,
    }))
    .unwrap();
    change(&mut child);
    child
}

fn told(allocation: &Allocation, child: &Job) -> Result<(), Stranger> {
    identity(&claims()).is_of_build(&record(), allocation, child)
}

#[test]
fn the_named_child_s_own_allocation_is_the_build() {
    assert_eq!(told(&allocation(|_| {}), &child(|_| {})), Ok(()));
    assert_eq!(told(&allocation(|it| it.client_status = "running".to_owned()), &child(|_| {})), Ok(()));
}

#[test]
fn an_allocation_of_something_else_is_refused() {
    type Change = fn(&mut Allocation);
    let changes: [(Change, Stranger); 4] = [
        (|it| it.id = "15b68e13-3da3-9a14-dae4-2b0f73859312".to_owned(), Stranger::Allocation),
        (|it| it.namespace = "other".to_owned(), Stranger::Allocation),
        (|it| it.task_group = "other".to_owned(), Stranger::Allocation),
        (|it| it.job_id = "builder/dispatch-1-bbbbbbbb".to_owned(), Stranger::Claim),
    ];
    for (change, why) in changes {
        assert_eq!(told(&allocation(change), &child(|_| {})), Err(why));
    }
    let anothers = Record { build: None, ..record() };
    let told = identity(&claims()).is_of_build(&anothers, &allocation(|_| {}), &child(|_| {}));
    assert_eq!(told, Err(Stranger::Claim), "the record has no child yet");
}

#[test]
fn a_build_that_is_over_is_refused() {
    for status in ["complete", "failed", "lost", "unknown", ""] {
        let over = allocation(|it| it.client_status = status.to_owned());
        assert_eq!(told(&over, &child(|_| {})), Err(Stranger::Over), "{status}");
    }
    for desired in ["stop", "evict", ""] {
        let over = allocation(|it| it.desired_status = desired.to_owned());
        assert_eq!(told(&over, &child(|_| {})), Err(Stranger::Over), "{desired}");
    }
    assert_eq!(told(&allocation(|_| {}), &child(|it| it.stop = true)), Err(Stranger::Over));
}

#[test]
fn a_job_that_was_not_dispatched_from_the_builder_is_refused() {
    let changes: [fn(&mut Job); 4] = [
        |it| it.dispatched = false,
        |it| it.parent_id = "other".to_owned(),
        |it| it.namespace = "other".to_owned(),
        |it| it.id = "builder".to_owned(),
    ];
    for change in changes {
        assert_eq!(told(&allocation(|_| {}), &child(change)), Err(Stranger::Child));
    }
}
