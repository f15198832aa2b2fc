//! Sessions, which hold locks, and the rights of our token.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde::{Deserialize, Serialize};

use super::{Consul, ConsulError, ONE};

/// A session, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Session {
    /// Its id.
    #[serde(rename = "ID")]
    pub id: String,
    /// Its name, for people.
    #[serde(default)]
    pub name: String,
    /// The node it lives on.
    #[serde(default)]
    pub node: String,
}

/// A right that is asked about: Consul's words for resource and access, and what it is wanted for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Right {
    /// `key`, `session`.
    pub resource: String,
    /// `read`, `write`.
    pub access: String,
    /// The key or the node.
    pub segment: String,
    /// The answer.
    #[serde(default, skip_serializing)]
    pub allow: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Create<'a> {
    name: &'a str,
    #[serde(rename = "TTL")]
    ttl: String,
    lock_delay: &'static str,
    behavior: &'static str,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Created {
    #[serde(rename = "ID")]
    id: String,
}

impl Consul {
    /// A session whose locks are released, without delay, when it is not renewed within `ttl` (10 s at least; Consul
    /// may take twice as long to notice).
    ///
    /// # Errors
    /// See [`ConsulError`].
    pub async fn create_session(&self, name: &str, ttl: Duration) -> Result<String, ConsulError> {
        let body = Create { name, ttl: format!("{}s", ttl.as_secs()), lock_delay: "0s", behavior: "release" };
        let request = self.request(Method::PUT, &["v1", "session", "create"])?.json(&body);
        Ok(self.call("begin a session", request, ONE).await?.success()?.json::<Created>()?.id)
    }

    /// Keeps a session alive. False: it is gone.
    ///
    /// # Errors
    /// See [`ConsulError`].
    pub async fn renew_session(&self, id: &str) -> Result<bool, ConsulError> {
        let request = self.request(Method::PUT, &["v1", "session", "renew", id])?;
        let answer = self.call("renew a session", request, ONE).await?;
        // Its own 404 names the session; a proxy's says something else.
        if answer.status == StatusCode::NOT_FOUND && answer.words().contains(id) {
            return Ok(false);
        }
        answer.success()?;
        Ok(true)
    }

    /// Ends a session and releases its locks. One that is gone is no error.
    ///
    /// # Errors
    /// See [`ConsulError`].
    pub async fn destroy_session(&self, id: &str) -> Result<(), ConsulError> {
        let request = self.request(Method::PUT, &["v1", "session", "destroy", id])?;
        self.call("end a session", request, ONE).await?.success()?;
        Ok(())
    }

    /// A session, if it lives.
    ///
    /// # Errors
    /// See [`ConsulError`].
    pub async fn session(&self, id: &str) -> Result<Option<Session>, ConsulError> {
        let request = self.request(Method::GET, &["v1", "session", "info", id])?;
        let found: Option<Vec<Session>> = self.call("read a session", request, ONE).await?.success()?.json()?;
        Ok(found.and_then(|list| list.into_iter().next()))
    }

    /// Which of these rights our token has, without using them. None: Consul cannot say (ACLs are off, or it is old).
    ///
    /// # Errors
    /// See [`ConsulError`].
    pub async fn rights(&self, asked: &[Right]) -> Result<Option<Vec<Right>>, ConsulError> {
        let request = self.request(Method::POST, &["v1", "internal", "acl", "authorize"])?.json(asked);
        let answer = self.call("ask for rights", request, ONE).await?;
        match answer.status {
            StatusCode::OK => Ok(Some(answer.json()?)),
            // "ACL support disabled" is 401 here, and an unknown path 404 or 405.
            StatusCode::UNAUTHORIZED | StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => Ok(None),
            _ => answer.success().map(|_| None).map_err(ConsulError::from),
        }
    }
}
