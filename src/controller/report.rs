//! `POST /v1/report`: a summary in Markdown, or test results in JUnit XML.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::Query;
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::time::timeout;
use utoipa::IntoParams;

use super::SharedApp;
use super::access::OfBuild;
use super::answer::Refusal;
use super::body::{Frames, content_type, take};
use super::junit;
use super::openapi::{Sending, Token};
use super::pieces::Pieces;
use crate::api::controller::Reported;
use crate::domain::report::{SUMMARY_LIMIT, Tests};

/// The largest file of test results, bytes.
const XML: usize = 8 * 1024 * 1024;
/// It must have arrived by then.
const XML_WITHIN: Duration = Duration::from_secs(30);
/// How long a file waits for those before it.
const PLACE_WITHIN: Duration = Duration::from_secs(10);
/// The longest name of a file, bytes.
const NAME: usize = 256;
/// Pieces on their way from the connection to the parser; each is a few KiB.
const AHEAD: usize = 4;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// A summary is put behind the one that is there.
    #[serde(default)]
    append: bool,
    /// Of a file of test results: the same name again replaces it.
    #[serde(default)]
    name: String,
}

/// Says what came of it: a summary in Markdown, or test results in JUnit XML
#[utoipa::path(post, path = "/v1/report", tag = "script", security(("script" = [])), params(Wanted),
    request_body(description = "At most 32 KiB of Markdown, or 8 MiB of XML.",
        content((String = "text/markdown"), (String = "application/xml"), (String = "text/xml"))),
    responses((status = 200, description = "What the report now holds.", body = Reported),
        (status = 400, description = "The query cannot be read, or the body broke off."),
        (status = 415, description = "It is neither Markdown nor XML."),
        (status = 422, description = "It makes no sense, or does not fit."),
        (status = 429, description = "Other files are being read."), Token, Sending),)]
pub(super) async fn report(
    OfBuild(app): OfBuild,
    query: Result<Query<Wanted>, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Reported>, Refusal> {
    let wrong = |_error| Refusal::new(StatusCode::BAD_REQUEST, "expected ?append=true or ?name=…");
    let Query(wanted) = query.map_err(wrong)?;
    let reported = match content_type(&headers).as_str() {
        "text/markdown" => {
            let bytes = take(body, &headers, SUMMARY_LIMIT).await?;
            let text = std::str::from_utf8(&bytes).map_err(|_| Refusal::senseless("the summary is not UTF-8"))?;
            app.reports.summary(text, wanted.append)?
        }
        "application/xml" | "text/xml" => {
            if wanted.name.len() > NAME {
                return Err(Refusal::senseless(format!("name: at most {NAME} bytes")));
            }
            app.reports.tests(&wanted.name, tests(&app, body, &headers).await?)?
        }
        _ => return Err(Refusal::wrong_type("a report is text/markdown, or JUnit as application/xml")),
    };
    Ok(Json(reported))
}

/// Reads test results as they come; nothing of the file is kept but what is counted.
async fn tests(app: &SharedApp, body: Body, headers: &HeaderMap) -> Result<Tests, Refusal> {
    let mut frames = Frames::of(body, headers, XML, XML_WITHIN)?;
    let place = timeout(PLACE_WITHIN, Arc::clone(&app.uploads).acquire_owned()).await;
    let place = place.map_err(|_elapsed| Refusal::busy("other files of test results are being read"))?;
    let (sender, receiver) = mpsc::channel(AHEAD);
    let parsing = tokio::task::spawn_blocking(move || {
        let _place = place;
        junit::read(Pieces::new(receiver))
    });
    while let Some(piece) = frames.next().await? {
        if sender.send(piece).await.is_err() {
            // The parser has seen enough.
            frames.refuse();
        }
    }
    drop(sender);
    let failed = |_panic| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the file could not be read");
    parsing.await.map_err(failed)?.map_err(|error| Refusal::senseless(error.to_string()))
}
