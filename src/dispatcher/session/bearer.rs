//! What a controller proves itself with.

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

use super::refusal::Refusal;
use crate::domain::secret::Secret;

/// `Authorization: Bearer …`, and nothing else: a token in an address ends in logs.
#[derive(Debug)]
pub(crate) struct Bearer(pub(super) Secret);

impl<S: Send + Sync> FromRequestParts<S> for Bearer {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Refusal> {
        let mut given = parts.headers.get_all(AUTHORIZATION).iter();
        let (Some(one), None) = (given.next(), given.next()) else { return Err(Refusal::no_token()) };
        let (scheme, token) = one.to_str().ok().and_then(|text| text.split_once(' ')).ok_or_else(Refusal::no_token)?;
        let token = token.trim();
        if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() {
            return Err(Refusal::no_token());
        }
        Ok(Self(Secret::new(token)))
    }
}
