//! Signing in with a browser: a token for a cookie that any replica can check from the configuration alone.
//!
//! `cookie` is what a browser keeps, [`crate::domain::ticket`] what stands in it, `origin` and the ticket's `csrf` what
//! keeps other sites from using it, `visitor` what pages want to know of it.

mod back;
mod cookie;
mod origin;
mod tokens;
mod visitor;

use std::time::Duration;

use askama::Template;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::header::{LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Deserialize;
use tokio::sync::Semaphore;
use utoipa::{IntoParams, ToSchema};

use self::tokens::Tokens;
use super::answer::Problem;
use super::audit::Line;
use super::fields::Fields;
use super::form::Form;
use super::hook::registry_down;
use super::pages::{self, Chrome};
use super::{App, SharedApp};
use crate::domain::secret::Secret;
use crate::domain::ticket::{LIFE, Ticket};

pub(crate) use back::Back;
pub(crate) use cookie::Cookie;
pub(crate) use origin::is_own;
pub(crate) use visitor::Visitor;

/// How long who typed a wrong token waits for the answer.
const PAUSE: Duration = Duration::from_millis(500);
/// So many wait for it at once; a right token never waits, so nobody is kept out by who guesses.
const WAITING: usize = 64;
/// What joins an earlier sign-in ends with it; with less than this left it is one of its own.
const WORTH_JOINING: jiff::SignedDuration = jiff::SignedDuration::from_hours(1);

/// Bounds guessing.
#[derive(Debug)]
pub(crate) struct Guesses(Semaphore);

impl Guesses {
    /// Has who guessed wait. False: too many wait already.
    async fn pause(&self) -> bool {
        let Ok(_place) = self.0.try_acquire() else { return false };
        tokio::time::sleep(PAUSE).await;
        true
    }
}

impl Default for Guesses {
    fn default() -> Self {
        Self(Semaphore::new(WAITING))
    }
}

/// `signin.html`
#[derive(Debug, Template)]
#[template(path = "signin.html", config = "src/dispatcher/pages/askama.toml")]
struct SignInPage {
    chrome: Chrome,
    back: String,
    /// What was wrong with the last try.
    wrong: Option<&'static str>,
}

/// What is typed into the page.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "described here, and read field by field")]
struct TypedIn {
    /// A token of a repository or of the instance.
    token: String,
    /// A path of ours to go back to.
    back: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
pub(crate) struct Asked {
    /// A path of ours to go back to.
    #[serde(default)]
    back: String,
}

/// Where a browser signs in
#[utoipa::path(get, path = "/signin", tag = "people", operation_id = "show_signin", security(()), params(Asked),
    responses(
        (status = 200, description = "The page.", body = String, content_type = "text/html"),
        (status = 400, description = "The query cannot be read."),
    ),)]
pub(crate) async fn show(State(app): State<SharedApp>, visitor: Visitor, Query(asked): Query<Asked>) -> Response {
    form(&app, &visitor, &Back::of(&asked.back), None)
}

fn form(app: &App, visitor: &Visitor, back: &Back, wrong: Option<(StatusCode, &'static str)>) -> Response {
    let page = SignInPage {
        chrome: Chrome::new(app, "Sign in").seen_by(&visitor.clone().back_to(back.clone())),
        back: back.as_str().to_owned(),
        wrong: wrong.map(|(_, sentence)| sentence),
    };
    pages::page(wrong.map_or(StatusCode::OK, |(status, _)| status), &page)
}

/// Signs a browser in
///
/// A token for a cookie, which is good for reading by itself; for acting with the `csrf` field of a page's form.
#[utoipa::path(post, path = "/signin", tag = "people", security(()),
    request_body(content = TypedIn, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 303, description = "Signed in, and back."),
        (status = 401, description = "Nobody knows that token."),
        (status = 403, description = "The form is of another site."),
        (status = 408, description = "The form did not arrive in time."),
        (status = 413, description = "The form is too large."),
        (status = 429, description = "Too many wrong tokens are being tried."),
        (status = 503, description = "Consul does not answer. Try again."),
    ),)]
pub(crate) async fn sign_in(
    State(app): State<SharedApp>,
    visitor: Visitor,
    accepts: Form,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    is_own(&app, &headers)?;
    let fields = Fields::take(&app, body, &headers).await?;
    let back = Back::of(fields.one("back").unwrap_or_default());
    let tokens = Tokens::of(&app).await.map_err(|error| registry_down(&error))?;
    let Some(token) = tokens.find(fields.one("token").unwrap_or_default()) else {
        let (status, sentence) = wrong(&app).await;
        return match accepts {
            Form::Page => Ok(form(&app, &visitor, &back, Some((status, sentence)))),
            Form::Text | Form::Json | Form::Events => Err(Problem::new(status, sentence)),
        };
    };
    let now = Timestamp::now();
    let ticket = ticket(&tokens, &token, visitor.ticket(), now)?;
    let until = format!("until {}", ticket.until());
    Line { verdict: "signed in", reason: Some(&until), ..Line::default() }.write("sign-in");
    Ok(sent_back(&app, &back, Cookie::of(&app).set(&ticket, now)))
}

/// Slows down who guesses. Who finds no place to wait is told so at once; a bearer can be guessed as fast as that.
async fn wrong(app: &App) -> (StatusCode, &'static str) {
    app.refusals.log_token("nobody here has it; it was typed on the sign-in page");
    if app.guesses.pause().await {
        (StatusCode::UNAUTHORIZED, "No repository and not this server knows that token. Is it complete?")
    } else {
        (StatusCode::TOO_MANY_REQUESTS, "Too many wrong tokens are being tried here; try again in a moment.")
    }
}

/// A further token joins those of before, and ends with them: an old cookie cannot be kept alive by another token.
fn ticket(tokens: &Tokens<'_>, token: &Secret, before: Option<&Ticket>, now: Timestamp) -> Result<Ticket, Problem> {
    let before = before.filter(|ticket| ticket.until().duration_since(now) > WORTH_JOINING);
    let until = before.map_or_else(|| now + LIFE, Ticket::until);
    let earlier = before.map(|ticket| tokens.of_ticket(ticket)).unwrap_or_default();
    let earlier = earlier.into_iter().filter(|earlier| !earlier.matches(token.expose()));
    let all: Vec<Secret> = std::iter::once(token.clone()).chain(earlier).collect();
    let mut nonce = [0_u8; 16];
    getrandom::fill(&mut nonce).map_err(|error| {
        tracing::error!(%error, "no random bytes");
        Problem::unavailable("nobody can be signed in now; try again")
    })?;
    Ticket::new(&all, until, nonce).ok_or_else(|| Problem::unavailable("nobody can be signed in now; try again"))
}

/// Signs a browser out
#[utoipa::path(post, path = "/signout", tag = "people", security(()),
    responses(
        (status = 303, description = "Signed out, and back."),
        (status = 403, description = "The form is of another site."),
        (status = 408, description = "The form did not arrive in time."),
        (status = 413, description = "The form is too large."),
    ),)]
pub(crate) async fn sign_out(
    State(app): State<SharedApp>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    is_own(&app, &headers)?;
    let fields = Fields::take(&app, body, &headers).await?;
    let back = Back::of(fields.one("back").unwrap_or_default());
    Ok(sent_back(&app, &back, Cookie::of(&app).clear()))
}

/// 303 to a path of ours.
fn sent_back(app: &App, back: &Back, cookie: Option<HeaderValue>) -> Response {
    let mut response = see(app, back);
    if let Some(cookie) = cookie {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    response
}

/// Has a browser get a page of ours next.
pub(crate) fn see(app: &App, back: &Back) -> Response {
    let place = format!("{}{}", pages::base(app), back.as_str());
    (StatusCode::SEE_OTHER, [(LOCATION, place)]).into_response()
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_guesses_waits_and_only_so_many_do_at_once() {
        let (guesses, begun) = (Guesses(Semaphore::new(2)), tokio::time::Instant::now());
        let mut waiting = [Box::pin(guesses.pause()), Box::pin(guesses.pause())];
        assert!(waiting.iter_mut().all(|one| one.as_mut().now_or_never().is_none()));
        assert!(!guesses.pause().await);
        for one in waiting {
            assert!(one.await);
        }
        assert_eq!(begun.elapsed(), PAUSE);
        assert!(guesses.pause().await);
    }
}
