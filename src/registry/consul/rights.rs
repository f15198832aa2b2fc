//! Which rights our token lacks, found out without writing.

use std::sync::PoisonError;

use super::{ConsulRegistry, RegistryError};
use crate::api::consul::{Consistency, ConsulError, Right};

pub(super) async fn missing(at: &ConsulRegistry) -> Result<Vec<String>, RegistryError> {
    let configurations = format!("{}/", at.prefix);
    let builds = format!("{}-builds/", at.prefix);
    let mut missing = match at.consul.rights(&[key("read", &configurations), key("write", &builds)]).await? {
        Some(rights) => rights.into_iter().filter(|right| !right.allow).map(|right| sentence(&right)).collect(),
        None => unreadable(at, &[format!("{configurations}x"), at.lock_key()]).await?,
    };
    // Rights on sessions are by node, whose name our token need not be able to read: the last try tells.
    if let Some(words) = at.denied_session.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
        missing.push(format!("Consul: the token lacks session:write on its agent's node ({words})"));
    }
    Ok(missing)
}

fn key(access: &str, segment: &str) -> Right {
    Right { resource: "key".to_owned(), access: access.to_owned(), segment: segment.to_owned(), allow: false }
}

fn sentence(right: &Right) -> String {
    format!("Consul: the token lacks {}:{} on the prefix {}", right.resource, right.access, right.segment)
}

/// For a Consul that cannot say which rights a token has: what it does not let us read.
async fn unreadable(at: &ConsulRegistry, keys: &[String]) -> Result<Vec<String>, RegistryError> {
    let mut missing = Vec::new();
    for key in keys {
        match at.consul.get(key, Consistency::Default).await {
            Ok(_) => {}
            Err(ConsulError::Denied(words)) => missing.push(format!("Consul: the key {key} cannot be read ({words})")),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(missing)
}
