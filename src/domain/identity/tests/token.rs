//! Which tokens hold.

use proptest::prelude::*;

use super::*;

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

proptest! {
    #[test]
    fn no_text_that_nomad_did_not_sign_is_a_token(text in any::<String>(), at_byte in any::<proptest::sample::Index>(), by in any::<char>()) {
        let keys = recorded_keys();
        prop_assert!(keys.verify(&text, at(NOW)).is_err());
        let right: Vec<char> = recorded_token().chars().collect();
        let mut changed = right.clone();
        changed[at_byte.index(right.len())] = by;
        prop_assume!(changed != right);
        prop_assert!(keys.verify(&changed.into_iter().collect::<String>(), at(NOW)).is_err());
    }

    #[test]
    fn any_bytes_are_no_keys_or_some(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(keys) = Keys::parse(&bytes) {
            prop_assert!(keys.verify(&recorded_token(), at(NOW)).is_err());
        }
    }
}
