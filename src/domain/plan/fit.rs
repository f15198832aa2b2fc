//! Fits a plan to what its builder takes.

use std::collections::BTreeMap;

use crate::domain::builder::{ALWAYS, BuilderShape, PayloadMode};
use crate::domain::config::RepoConfig;
use crate::domain::secret::Secret;

/// Nomad's own limit for a payload.
pub const MAX_PAYLOAD: usize = 16 * 1024;
/// What a builder that takes no payload cannot be given.
pub const FORBIDDEN_PAYLOAD: &str = "the builder forbids a payload, so the repository's secrets cannot reach the build";

/// What is sent with the dispatch.
#[derive(Debug, Clone)]
pub struct Fitted {
    /// Exactly the meta.
    pub meta: BTreeMap<String, String>,
    /// The payload, byte for byte.
    pub payload: Option<Secret>,
}

/// Chooses of `meta` (a plan's or a record's) what the builder takes, and the payload.
///
/// # Errors
/// A sentence for the person who pushed: the builder needs or forbids what cannot be helped.
pub fn fit(
    meta: &BTreeMap<String, String>,
    shape: &BuilderShape,
    trusted: bool,
    config: &RepoConfig,
) -> Result<Fitted, String> {
    let missing = list(ALWAYS.into_iter().filter(|key| !shape.takes(key)));
    if !missing.is_empty() {
        return Err(format!("the builder does not take {missing}: declare it in the job's parameterized block"));
    }
    let unknown = list(shape.meta_required.iter().map(String::as_str).filter(|key| !meta.contains_key(*key)));
    if !unknown.is_empty() {
        return Err(format!("the builder requires {unknown}, which Albatros has no value for here"));
    }
    let meta =
        meta.iter().filter(|(key, _)| shape.takes(key)).map(|(key, value)| (key.clone(), value.clone())).collect();
    Ok(Fitted { meta, payload: payload(shape, trusted, config)? })
}

fn payload(shape: &BuilderShape, trusted: bool, config: &RepoConfig) -> Result<Option<Secret>, String> {
    let secrets =
        config.inject.as_ref().filter(|secrets| trusted && !shape.has_controller && !secrets.expose().is_empty());
    match (secrets, shape.payload) {
        (Some(_), PayloadMode::Forbidden) => Err(FORBIDDEN_PAYLOAD.to_owned()),
        (Some(secrets), PayloadMode::Optional | PayloadMode::Required) if secrets.expose().len() > MAX_PAYLOAD => {
            Err(format!("the repository's secrets are longer than the {MAX_PAYLOAD} bytes that a payload may have"))
        }
        (Some(secrets), PayloadMode::Optional | PayloadMode::Required) => Ok(Some(secrets.clone())),
        (None, PayloadMode::Required) => Ok(Some(Secret::new("\n"))),
        (None, PayloadMode::Optional | PayloadMode::Forbidden) => Ok(None),
    }
}

fn list<'a>(keys: impl Iterator<Item = &'a str>) -> String {
    keys.collect::<Vec<_>>().join(", ")
}
