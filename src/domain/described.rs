//! An API's description, OpenAPI 3.1 (<https://spec.openapis.org/oas/v3.1.1.html>), as it is served.

use std::collections::{BTreeMap, HashSet};

use sha2::{Digest as _, Sha256};
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{KnownFormat, SchemaFormat, Type};
use utoipa::openapi::{Content, ContentBuilder, ObjectBuilder, OpenApi, PathItem, RefOr, Response, Schema};

/// What stands in the address of an artifact, and of a cache in its place.
const KINDS: [(&str, &str); 4] =
    [("an artifact", "a cache"), ("An artifact", "A cache"), ("artifact", "cache"), ("Artifact", "Cache")];
/// Media types of bytes that are no text.
const OF_BYTES: [&str; 3] = ["application/octet-stream", "application/zstd", "application/gzip"];
/// What only artifacts are asked with.
const OF_ARTIFACTS: [&str; 2] = ["from", "branch"];
/// What only caches are asked with.
const OF_CACHES: [&str; 1] = ["fallback"];

/// A description as text, and the tag by which a client that has it is told so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// JSON.
    pub text: String,
    /// With its quotes, as in the header.
    pub etag: String,
}

impl Document {
    /// The same text for the same description, whichever replica makes it.
    #[must_use]
    pub fn of(api: &OpenApi) -> Self {
        // A description is always JSON.
        let text = serde_json::to_string_pretty(api).unwrap_or_default() + "\n";
        let digest = hex::encode(Sha256::digest(&text));
        Self { text, etag: format!("\"{}\"", digest.get(..32).unwrap_or_default()) }
    }

    /// Whether a value of `If-None-Match` names it.
    #[must_use]
    pub fn is_known_by(&self, tags: &str) -> bool {
        tags.split(',').map(str::trim).any(|tag| tag == "*" || tag.trim_start_matches("W/") == self.etag)
    }
}

/// Artifacts and caches are put and got by the same handlers, which are described once, for artifacts: says the same of
/// caches at their addresses.
pub fn tell_of_caches(api: &mut OpenApi, paths: &[&str]) {
    for path in paths {
        let Some(item) = api.paths.paths.get_mut(*path) else { continue };
        let caches = in_words_of_caches(item);
        without(item, &OF_CACHES);
        if let Some(caches) = caches {
            api.paths.paths.insert(path.replace("artifacts", "caches"), caches);
        }
    }
}

fn in_words_of_caches(item: &PathItem) -> Option<PathItem> {
    let mut item = item.clone();
    without(&mut item, &OF_ARTIFACTS);
    let text = serde_json::to_string(&item).ok()?;
    let text = KINDS.iter().fold(text, |text, (artifact, cache)| text.replace(artifact, cache));
    serde_json::from_str(&text).ok()
}

/// Bytes are bytes, and not the list of numbers that their type in a handler looks like.
pub fn tell_of_bytes(operation: &mut Operation) {
    if let Some(RefOr::T(body)) = &mut operation.request_body {
        body.content.iter_mut().for_each(|(media_type, content)| bytes(media_type, content));
    }
    for response in operation.responses.responses.values_mut() {
        if let RefOr::T(response) = response {
            response.content.iter_mut().for_each(|(media_type, content)| bytes(media_type, content));
        }
    }
}

fn bytes(media_type: &str, content: &mut RefOr<Content>) {
    if let RefOr::T(content) = content
        && OF_BYTES.contains(&media_type)
    {
        let format = SchemaFormat::KnownFormat(KnownFormat::Binary);
        content.schema = Some(ObjectBuilder::new().schema_type(Type::String).format(Some(format)).build().into());
    }
}

/// All operations of a path.
pub fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.head, &mut item.put, &mut item.post, &mut item.delete].into_iter().flatten()
}

/// Responses by their statuses and reasons; in which forms they come is [said](says) for all at once.
#[must_use]
pub fn refusals(all: &[(&str, &str)]) -> BTreeMap<String, RefOr<Response>> {
    all.iter().map(|(status, why)| ((*status).to_owned(), Response::new(*why).into())).collect()
}

/// Says that a response comes in this form too.
pub fn says(response: &mut Response, media_type: &str, schema: RefOr<Schema>) {
    let content = ContentBuilder::new().schema(Some(schema)).build();
    response.content.insert(media_type.to_owned(), content.into());
}

/// A part of an address is named by its handler's arguments as well as by its description: the latter stays.
pub fn tell_once(operation: &mut Operation) {
    let mut told = HashSet::new();
    for parameters in operation.parameters.iter_mut() {
        parameters.retain(|one| match one {
            RefOr::T(one) => told.insert((serde_json::to_string(&one.parameter_in).ok(), one.name.clone())),
            RefOr::Ref(_) => true,
        });
    }
}

/// Takes parameters away.
fn without(item: &mut PathItem, names: &[&str]) {
    for operation in operations(item) {
        if let Some(parameters) = &mut operation.parameters {
            parameters.retain(|one| match one {
                RefOr::T(one) => !names.contains(&one.name.as_str()),
                RefOr::Ref(_) => true,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_has_the_text_is_told_so() {
        let document = Document::of(&OpenApi::default());
        assert_eq!(document, Document::of(&OpenApi::default()));
        for tags in [document.etag.clone(), format!("\"x\", W/{}", document.etag), "*".to_owned()] {
            assert!(document.is_known_by(&tags), "{tags}");
        }
        assert!(!document.is_known_by("\"x\", y"));
    }
}
