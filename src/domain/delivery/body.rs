//! The JSON in a body, and the one thing that is read of it before anything is verified.

use std::borrow::Cow;

use super::{DeliveryError, Incoming};
use crate::domain::json;
use crate::domain::percent;
use crate::domain::repo_url::RepoUrl;

/// The JSON text of a delivery: the body, or the field `payload` of a form. A form that is JSON after all is what
/// `curl -d @file` sends, and is taken as such.
///
/// # Errors
/// [`DeliveryError::Unsupported`] for any other content type; a form without exactly one `payload`.
pub fn json_text<'a>(incoming: &Incoming<'a>) -> Result<Cow<'a, [u8]>, DeliveryError> {
    let Some(content_type) = incoming.header("Content-Type")? else { return Ok(Cow::Borrowed(incoming.body)) };
    let media = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match media.as_str() {
        "application/json" | "text/json" => Ok(Cow::Borrowed(incoming.body)),
        "application/x-www-form-urlencoded" if incoming.body.trim_ascii_start().starts_with(b"{") => {
            Ok(Cow::Borrowed(incoming.body))
        }
        "application/x-www-form-urlencoded" => form_payload(incoming.body).map(Cow::Owned),
        _ if media.starts_with("application/") && media.ends_with("+json") => Ok(Cow::Borrowed(incoming.body)),
        _ => Err(DeliveryError::Unsupported),
    }
}

fn form_payload(body: &[u8]) -> Result<Vec<u8>, DeliveryError> {
    let mut payloads = percent::form_values(body, "payload").into_iter();
    match (payloads.next(), payloads.next()) {
        (Some(Some(payload)), None) => Ok(payload.into_bytes()),
        (Some(None), None) => Err(DeliveryError::BadRequest("the form's `payload` is not UTF-8".into())),
        (None, _) => Err(DeliveryError::BadRequest("the form has no field `payload`".into())),
        (Some(_), Some(_)) => Err(DeliveryError::BadRequest("the form has the field `payload` twice".into())),
    }
}

/// Reads `repository.clone_url`, and checks that the whole text is JSON in which no key stands twice. Nothing else is
/// kept, however large the text: nobody has proved anything yet.
///
/// # Errors
/// When the text is not such JSON, or the address is none of a repository.
pub fn peek(json: &[u8]) -> Result<RepoUrl, DeliveryError> {
    let found = json::find_strict(json, &["repository", "clone_url"])?;
    let url = found.ok_or(DeliveryError::BadRequest("the body names no repository.clone_url".into()))?;
    Ok(url.parse::<RepoUrl>()?.of_repository()?)
}
