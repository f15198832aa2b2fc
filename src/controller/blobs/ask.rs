//! What stands in the addresses of artifacts and caches.

use axum::http::StatusCode;

use super::Refusal;
use crate::api::session::blobs::Wanted;
use crate::domain::blob::BlobKind;
use crate::domain::id::BlobId;
use crate::domain::label::NAME_MOST;

/// Prefixes of one question.
const FALLBACKS: usize = 10;
/// The longest name of a branch, bytes.
const BRANCH: usize = 4096;

pub(super) fn id(text: &str) -> Result<BlobId, Refusal> {
    text.parse().map_err(|error| Refusal::senseless(format!("{error}")))
}

/// `?from=latest-green&branch=…`, or `?fallback=…`, as the kind has it.
pub(super) fn wanted(kind: BlobKind, query: Option<&str>) -> Result<Wanted, Refusal> {
    let mut wanted = Wanted::default();
    for (key, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        match (kind, key.as_ref()) {
            (BlobKind::Artifact, "from") if value == "latest-green" => wanted.latest_green = true,
            (BlobKind::Artifact, "from") => return Err(Refusal::senseless("from: expected latest-green")),
            (BlobKind::Artifact, "branch") if value.is_empty() || value.len() > BRANCH => {
                return Err(Refusal::senseless("branch: expected the name of a branch"));
            }
            (BlobKind::Artifact, "branch") => wanted.branch = Some(value.into_owned()),
            (BlobKind::Cache, "fallback") if wanted.fallback.len() >= FALLBACKS => {
                return Err(Refusal::senseless(format!("fallback: at most {FALLBACKS}")));
            }
            // A prefix of an id is one itself.
            (BlobKind::Cache, "fallback") => wanted.fallback.push(id(&value)?.to_string()),
            _ => return Err(unknown()),
        }
    }
    if wanted.branch.is_some() && !wanted.latest_green {
        return Err(Refusal::senseless("branch goes with from=latest-green"));
    }
    Ok(wanted)
}

/// `?name=…`: what a single file is called.
pub(super) fn name(query: Option<&str>) -> Result<Option<String>, Refusal> {
    let mut name = None;
    for (key, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        if key != "name" {
            return Err(unknown());
        }
        let is_one = !matches!(value.as_ref(), "" | "." | "..") && !value.chars().any(|c| c == '/' || c.is_control());
        if !is_one || value.len() > NAME_MOST {
            return Err(Refusal::senseless(format!(
                "name: expected a file's, without a directory, {NAME_MOST} bytes at most"
            )));
        }
        name = Some(value.into_owned());
    }
    Ok(name)
}

fn unknown() -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, "expected ?name=, ?from=latest-green with branch, or ?fallback=")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_is_read_and_the_rest_refused() {
        let of = |kind, query| wanted(kind, Some(query)).ok();
        let green = of(BlobKind::Artifact, "from=latest-green&branch=a%2Fb").unwrap();
        assert_eq!((green.latest_green, green.branch.as_deref()), (true, Some("a/b")));
        assert_eq!(of(BlobKind::Cache, "fallback=a-&fallback=b").unwrap().fallback, ["a-", "b"]);
        for query in ["from=x", "branch=b", "fallback=a", "x=1", "from=latest-green&branch="] {
            assert_eq!(of(BlobKind::Artifact, query), None, "{query}");
        }
        for query in ["from=latest-green", "fallback=../x", "fallback=", &"fallback=a&".repeat(11)] {
            assert_eq!(of(BlobKind::Cache, query), None, "{query}");
        }
    }

    #[test]
    fn a_name_is_one_part() {
        assert_eq!(name(Some("name=a%20b.txt")).unwrap().as_deref(), Some("a b.txt"));
        for query in ["name=", "name=..", "name=a/b", "name=%00", "other=1", &format!("name={}", "x".repeat(256))] {
            assert!(name(Some(query)).is_err(), "{query}");
        }
    }
}
