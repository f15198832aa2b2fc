//! The build's parameters, for its script.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::Path;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use super::App;
use super::access::Script;
use super::answer::Refusal;
use super::openapi::{Token, Undecided};
use super::session::{Decided, Granted};
use crate::domain::params::Params;
use crate::domain::secret::Secret;

const TEXT: [(axum::http::HeaderName, &str); 1] = [(CONTENT_TYPE, "text/plain; charset=utf-8")];

/// The build's parameters
///
/// As an object, or with `Accept: text/plain` as they stand in the configuration.
#[utoipa::path(get, path = "/v1/params", tag = "script", security(("script" = [])), operation_id = "list_params",
    responses((status = 200, description = "Names and values.",
        content((BTreeMap<String, String> = "application/json"), (String = "text/plain"))), Token, Undecided),)]
pub(super) async fn all(Script(app): Script, headers: HeaderMap) -> Result<Response, Refusal> {
    let granted = allowed(&app).await?;
    if wants_text(&headers) {
        let raw = granted.grant.text();
        return Ok((TEXT, raw.as_ref().map(Secret::expose).unwrap_or_default().to_owned()).into_response());
    }
    let given = granted.grant.params.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    // What the configuration has is never replaced by what was given.
    let params: BTreeMap<&str, &str> = given.chain(read(&granted)?.iter()).collect();
    Ok(Json(params).into_response())
}

/// One parameter
#[utoipa::path(get, path = "/v1/params/{name}", tag = "script", security(("script" = [])), operation_id = "get_param",
    params(("name" = String, Path, description = "Its name.")),
    responses((status = 200, description = "Its value.", body = String, content_type = "text/plain"),
        (status = 400, description = "The address cannot be read."),
        (status = 404, description = "There is no parameter of that name."), Token, Undecided),)]
pub(super) async fn one(Script(app): Script, Path(name): Path<String>) -> Result<Response, Refusal> {
    let granted = allowed(&app).await?;
    let given = granted.grant.params.get(&name).map(String::as_str);
    let own = match (read(&granted), given) {
        (Ok(params), _) => params.get(&name),
        // What was given is there, whatever `inject` is.
        (Err(_unread), Some(_)) => None,
        (Err(unread), None) => return Err(unread),
    };
    match own.or(given) {
        Some(value) => Ok((TEXT, value.to_owned()).into_response()),
        None if granted.grant.facts.trusted => {
            Err(Refusal::new(StatusCode::NOT_FOUND, "there is no parameter of that name"))
        }
        None => Err(untrusted()),
    }
}

async fn allowed(app: &App) -> Result<Arc<Granted>, Refusal> {
    match app.decided().await? {
        Decided::Granted(granted) if granted.grant.facts.trusted || !granted.grant.params.is_empty() => Ok(granted),
        Decided::Granted(_) => Err(untrusted()),
        Decided::Without(reason) => Err(Refusal::forbidden(format!("this build has no parameters: {reason}"))),
    }
}

fn untrusted() -> Refusal {
    Refusal::forbidden("this build is not trusted: it has no parameters but those that it was started with")
}

fn read(granted: &Granted) -> Result<&Params, Refusal> {
    let unread =
        |error| Refusal::senseless(format!("`inject` is no env file ({error}): read it as it is at SECRET_PATH"));
    granted.params.as_ref().map_err(unread)
}

/// Whether the caller asked for the text itself.
fn wants_text(headers: &HeaderMap) -> bool {
    let mut accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.any(|value| value.contains("text/plain"))
}
