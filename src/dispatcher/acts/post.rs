//! What acts: a request with a bearer, as programs send it, or a form of a page.

use axum::extract::{FromRequest, FromRequestParts as _, Request};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;

use super::page_of;
use crate::dispatcher::access::Credentials;
use crate::dispatcher::answer::{Answer, Problem};
use crate::dispatcher::fields::Fields;
use crate::dispatcher::signin::{self, Back};
use crate::dispatcher::start::KEY;
use crate::dispatcher::{App, SharedApp};

/// A request that acts, with what its sender may.
#[derive(Debug)]
pub(crate) struct Post {
    pub(crate) credentials: Credentials,
    pub(crate) headers: HeaderMap,
    /// The form; none of a program with a bearer.
    pub(crate) form: Option<Fields>,
}

impl Post {
    /// Says what came of it: a program is told, a browser is sent to the page of the build, else back to `here`.
    pub(crate) fn answered(&self, app: &App, answer: Answer, here: &str) -> Response {
        if self.form.is_none() {
            return answer.into_form(&self.headers);
        }
        let named = |name: &str| answer.object.get(name).and_then(|value| value.as_str());
        let build = named("build").and_then(|build| build.parse().ok());
        let claim = named("claim").and_then(|claim| claim.parse().ok());
        let page = page_of(build.as_ref(), claim.as_ref());
        signin::see(app, &Back::of(page.as_deref().unwrap_or(here)))
    }
}

impl FromRequest<SharedApp> for Post {
    type Rejection = Problem;

    /// A bearer is the whole proof, whatever else there is. A form must have come from a page of ours; it acts by the
    /// token typed into it, or by the cookie it was made for.
    async fn from_request(request: Request, app: &SharedApp) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let credentials = Credentials::from_request_parts(&mut parts, app).await?;
        let mut headers = parts.headers;
        if credentials.has_bearer() || !Fields::are_in(&headers) {
            return Ok(Self { credentials, headers, form: None });
        }
        signin::is_own(app, &headers)?;
        let form = Fields::take(app, body, &headers).await?;
        let credentials = match (form.one("token"), form.one("csrf")) {
            (Some(token), _) => credentials.with_token(token),
            (None, csrf) if credentials.has_ticket() => {
                credentials.with_csrf(csrf.unwrap_or_default()).ok_or_else(outdated)?
            }
            (None, _) => credentials,
        };
        // A button that is pressed twice is one wish.
        if let Some(once) = form.one("once").and_then(|once| HeaderValue::from_str(once).ok()) {
            headers.insert(KEY, once);
        }
        Ok(Self { credentials, headers, form: Some(form) })
    }
}

fn outdated() -> Problem {
    let sentence = "the form is not of your present sign-in: open the page again and press the button there";
    Problem::new(StatusCode::FORBIDDEN, sentence)
}
