//! Credentials of a delivery. What passed has a type of its own.

use subtle::ConstantTimeEq as _;

use super::config::RepoConfig;
use super::delivery::Incoming;
use super::key;
use super::secret::Secret;

/// The JSON text of a delivery whose credential was checked. [`verify`] is the one way to make it for a delivery.
#[derive(Debug, Clone, Copy)]
pub struct Verified<'a>(&'a [u8]);

impl<'a> Verified<'a> {
    /// The JSON text.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.0
    }

    /// For `albatros explain` alone: a body that lies in a file and is not a delivery counts as verified.
    #[must_use]
    pub fn unsigned_for_explain(json: &'a [u8]) -> Self {
        Self(json)
    }
}

/// Why a credential is none. For the log and for `explain`; a stranger is told nothing but 401.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A secret is configured, and no signature header is there.
    #[error("the delivery is not signed, but hook.secret is set")]
    Unsigned,
    /// Only `X-Hub-Signature`.
    #[error("the delivery is signed with SHA-1 only")]
    Sha1Only,
    /// A header twice.
    #[error("the header {0} stands twice")]
    Double(&'static str),
    /// Empty, not hexadecimal, or of the wrong length.
    #[error("{0} is not a HMAC-SHA256 in hexadecimal")]
    Malformed(&'static str),
    /// A signature by somebody else, or of another body.
    #[error("{0} does not match hook.secret and this body")]
    Wrong(&'static str),
    /// No token.
    #[error("the delivery carries no token")]
    NoToken,
    /// The token is given twice.
    #[error("the delivery carries more than one ?token=")]
    TokenTwice,
    /// Another token.
    #[error("the delivery's token is not hook.token")]
    WrongToken,
}

impl Refused {
    /// Whether it was told without going through the body, and so sooner than a wrong signature.
    #[must_use]
    pub fn is_early(&self) -> bool {
        match self {
            Self::Wrong(_) => false,
            Self::Unsigned
            | Self::Sha1Only
            | Self::Double(_)
            | Self::Malformed(_)
            | Self::NoToken
            | Self::TokenTwice
            | Self::WrongToken => true,
        }
    }
}

const SIGNATURES: [(&str, &str); 3] =
    [("X-Gitea-Signature", ""), ("X-Forgejo-Signature", ""), ("X-Hub-Signature-256", "sha256=")];

/// Checks the credential: the signature where `hook.secret` is set, else the token. Every signature that is there must
/// be right, and at least one must be there. `json` is the JSON text of the same delivery: a form is signed over it
/// (Gitea) or over the body (GitHub).
///
/// # Errors
/// See [`Refused`].
pub fn verify<'a>(incoming: &Incoming<'_>, json: &'a [u8], config: &RepoConfig) -> Result<Verified<'a>, Refused> {
    if config.hook_secrets.is_empty() {
        token(incoming, &config.hook_tokens)?;
    } else {
        signature(incoming, json, &config.hook_secrets)?;
    }
    Ok(Verified(json))
}

/// Does the work of [`verify`] for nobody, so that an unknown repository takes as long to refuse as a bad signature.
pub fn decoy(json: &[u8]) {
    std::hint::black_box(key::mac(&Secret::new("no repository has this key"), &[json]));
}

fn signature(incoming: &Incoming<'_>, json: &[u8], secrets: &[Secret]) -> Result<(), Refused> {
    let mut given = Vec::with_capacity(SIGNATURES.len());
    for (name, prefix) in SIGNATURES {
        if let Some(value) = incoming.header(name).map_err(|double| Refused::Double(double.0))? {
            given.push((name, digest(name, prefix, value)?));
        }
    }
    if given.is_empty() {
        let sha1 = incoming.header("X-Hub-Signature").is_ok_and(|value| value.is_none());
        return Err(if sha1 { Refused::Unsigned } else { Refused::Sha1Only });
    }
    let mut expected = Vec::with_capacity(2 * secrets.len());
    for secret in secrets {
        expected.push(key::mac(secret, &[json]));
        if incoming.body != json {
            expected.push(key::mac(secret, &[incoming.body]));
        }
    }
    for (name, digest) in given {
        let mut right = subtle::Choice::from(0);
        for one in &expected {
            right |= one.ct_eq(&digest);
        }
        if !bool::from(right) {
            return Err(Refused::Wrong(name));
        }
    }
    Ok(())
}

fn digest(name: &'static str, prefix: &str, value: &str) -> Result<[u8; 32], Refused> {
    let mut digest = [0_u8; 32];
    let hex = value.strip_prefix(prefix).ok_or(Refused::Malformed(name))?;
    hex::decode_to_slice(hex, &mut digest).map_err(|_| Refused::Malformed(name))?;
    Ok(digest)
}

fn token(incoming: &Incoming<'_>, tokens: &[Secret]) -> Result<(), Refused> {
    let asked = match incoming.query_values("token").as_slice() {
        [] => None,
        [one] => one.clone(),
        [_, _, ..] => return Err(Refused::TokenTwice),
    };
    let authorization = incoming.header("Authorization").map_err(|double| Refused::Double(double.0))?;
    let bearer = authorization.and_then(bearer);
    if asked.is_none() && bearer.is_none() {
        return Err(Refused::NoToken);
    }
    let mut right = false;
    for token in tokens {
        right |= asked.as_deref().is_some_and(|given| token.matches(given));
        right |= bearer.is_some_and(|given| token.matches(given));
    }
    if right { Ok(()) } else { Err(Refused::WrongToken) }
}

/// The token of `Authorization: Bearer …`.
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BODY: &[u8] = br#"{"a":1}"#;

    fn headers(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn check(hook: &str, pairs: &[(&str, &str)], query: &str) -> Result<(), Refused> {
        let config = RepoConfig::parse(format!(r#"{{"hook":{hook}}}"#).as_bytes()).unwrap();
        let headers = headers(pairs);
        verify(&Incoming { headers: &headers, query, body: BODY }, BODY, &config).map(|_| ())
    }

    fn sign(key: &str, text: &[u8]) -> String {
        hex::encode(key::mac(&Secret::new(key), &[text]))
    }

    const SECRET: &str = r#"{"secret":["new","old"],"token":"t"}"#;

    #[test]
    fn a_signature_is_the_published_hmac() {
        // RFC 4231, test case 2
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(sign("Jefe", b"what do ya want for nothing?"), expected);
    }

    #[test]
    fn any_secret_of_the_list_signs_under_any_of_the_headers() {
        for key in ["new", "old"] {
            let right = sign(key, BODY);
            assert_eq!(check(SECRET, &[("X-Gitea-Signature", &right)], ""), Ok(()));
            assert_eq!(check(SECRET, &[("x-forgejo-signature", &right.to_uppercase())], ""), Ok(()));
            assert_eq!(check(SECRET, &[("X-Hub-Signature-256", &format!("sha256={right}"))], ""), Ok(()));
        }
    }

    #[test]
    fn what_is_not_a_right_signature_is_refused() {
        let right = sign("new", BODY);
        let gitea = |value: &str| check(SECRET, &[("X-Gitea-Signature", value)], "").unwrap_err();
        for malformed in
            ["", " ", &right[1..], &format!("{right}0a"), &right.replace(&right[..1], "g"), &format!("sha256={right}")]
        {
            assert_eq!(gitea(malformed), Refused::Malformed("X-Gitea-Signature"), "{malformed}");
        }
        assert_eq!(gitea(&sign("", BODY)), Refused::Wrong("X-Gitea-Signature"));
        assert_eq!(gitea(&sign("t", BODY)), Refused::Wrong("X-Gitea-Signature"));
        assert_eq!(gitea(&sign("new", b"{}")), Refused::Wrong("X-Gitea-Signature"));
        let github = |value: &str| check(SECRET, &[("X-Hub-Signature-256", value)], "").unwrap_err();
        for malformed in ["sha256=", &right, &format!("sha1={right}"), "sha256=zz"] {
            assert_eq!(github(malformed), Refused::Malformed("X-Hub-Signature-256"), "{malformed}");
        }
    }

    #[test]
    fn every_signature_that_is_there_must_be_right() {
        let (right, wrong) = (sign("new", BODY), sign("other", BODY));
        let both = |gitea: &str, hub: &str| {
            check(SECRET, &[("X-Gitea-Signature", gitea), ("X-Hub-Signature-256", &format!("sha256={hub}"))], "")
        };
        assert_eq!(both(&right, &right), Ok(()));
        assert_eq!(both(&right, &wrong), Err(Refused::Wrong("X-Hub-Signature-256")));
        assert_eq!(both(&wrong, &right), Err(Refused::Wrong("X-Gitea-Signature")));
        let twice = [("X-Gitea-Signature", right.as_str()), ("x-gitea-signature", right.as_str())];
        assert_eq!(check(SECRET, &twice, ""), Err(Refused::Double("X-Gitea-Signature")));
    }

    #[test]
    fn only_a_signature_that_was_computed_takes_its_time() {
        let early = |hook: &str, pairs: &[(&str, &str)]| check(hook, pairs, "").unwrap_err().is_early();
        assert!(!early(SECRET, &[("X-Gitea-Signature", &sign("other", BODY))]));
        assert!(early(SECRET, &[]));
        assert!(early(SECRET, &[("X-Gitea-Signature", "zz")]));
        assert!(early(r#"{"token":"t"}"#, &[("Authorization", "Bearer no")]));
    }

    #[test]
    fn a_token_does_not_stand_in_for_a_signature() {
        assert_eq!(check(SECRET, &[], "token=t"), Err(Refused::Unsigned));
        assert_eq!(check(SECRET, &[("Authorization", "Bearer t")], "token=t"), Err(Refused::Unsigned));
        assert_eq!(check(SECRET, &[("X-Hub-Signature", "sha1=00")], "token=t"), Err(Refused::Sha1Only));
    }

    #[test]
    fn a_form_is_signed_over_its_json_or_over_its_body() {
        let config = RepoConfig::parse(br#"{"hook":{"secret":"k"}}"#).unwrap();
        let body: &[u8] = b"payload=%7B%22a%22%3A1%7D";
        let signed = |text: &[u8]| {
            let headers = headers(&[("X-Gitea-Signature", &sign("k", text))]);
            verify(&Incoming { headers: &headers, query: "", body }, BODY, &config).is_ok()
        };
        assert!(signed(BODY) && signed(body) && !signed(b"payload="));
    }

    #[test]
    fn a_token_counts_in_the_address_or_as_bearer() {
        let hook = r#"{"token":["s3cr3t","b"]}"#;
        assert_eq!(check(hook, &[], "flavor=x&token=s3cr3t"), Ok(()));
        assert_eq!(check(hook, &[], "token=%733cr3t"), Ok(()));
        assert_eq!(check(hook, &[("authorization", "bearer b")], ""), Ok(()));
        assert_eq!(check(hook, &[("Authorization", "Bearer other")], "token=b"), Ok(()));
        assert_eq!(check(hook, &[], ""), Err(Refused::NoToken));
        assert_eq!(check(hook, &[("Authorization", "Basic Yjpi")], ""), Err(Refused::NoToken));
        assert_eq!(check(hook, &[], "token="), Err(Refused::WrongToken));
        assert_eq!(check(hook, &[("Authorization", "Bearer ")], ""), Err(Refused::NoToken));
        assert_eq!(check(hook, &[], "token=s3cr3"), Err(Refused::WrongToken));
        assert_eq!(check(hook, &[], "token=b&token=b"), Err(Refused::TokenTwice));
        let twice = [("Authorization", "Bearer b"), ("Authorization", "Bearer b")];
        assert_eq!(check(hook, &twice, ""), Err(Refused::Double("Authorization")));
    }

    proptest! {
        #[test]
        fn nothing_but_the_signature_is_taken_for_it(value in any::<String>()) {
            let right = sign("new", BODY);
            prop_assume!(!value.eq_ignore_ascii_case(&right));
            prop_assert!(check(SECRET, &[("X-Gitea-Signature", &value)], "").is_err());
        }
    }
}
