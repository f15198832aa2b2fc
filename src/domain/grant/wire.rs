//! A grant as bytes: on its way to the controller, and from there to `prepare`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use url::Url;
use utoipa::ToSchema;

use super::{Checkout, Credential, Facts, GivenSession, Grant};
use crate::domain::id::ClaimId;
use crate::domain::job::JobSpec;
use crate::domain::secret::Secret;

/// The one place where secrets of a grant become bytes: on their way to the controller.
#[derive(Serialize, Deserialize, ToSchema)]
#[schema(as = Grant)]
pub(crate) struct Wire {
    build: Facts,
    checkout: WireCheckout,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    inject: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    params: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    job: Option<Box<JobSpec>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    service_secret: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session: Option<WireSession>,
}

#[derive(Serialize, Deserialize, ToSchema)]
#[schema(as = GivenSession)]
pub(crate) struct WireSession {
    #[schema(value_type = String, format = "uri")]
    server: Url,
    claim: ClaimId,
    secret: String,
}

#[derive(Serialize, Deserialize, ToSchema)]
#[schema(as = Checkout)]
pub(crate) struct WireCheckout {
    #[serde(default = "yes")]
    source: bool,
    submodules: bool,
    lfs: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    credential: Option<WireCredential>,
}

#[derive(Serialize, Deserialize, ToSchema)]
#[schema(as = Credential)]
pub(crate) struct WireCredential {
    scope: String,
    user: String,
    password: String,
}

/// A controller of an older version does not say.
fn yes() -> bool {
    true
}

impl From<&Checkout> for WireCheckout {
    fn from(checkout: &Checkout) -> Self {
        let credential = checkout.credential.as_ref().map(|credential| WireCredential {
            scope: credential.scope.clone(),
            user: credential.user.clone(),
            password: credential.password.expose().to_owned(),
        });
        Self { source: checkout.source, submodules: checkout.submodules, lfs: checkout.lfs, credential }
    }
}

impl From<WireCheckout> for Checkout {
    fn from(wire: WireCheckout) -> Self {
        let credential = wire.credential.map(|credential| Credential {
            scope: credential.scope,
            user: credential.user,
            password: Secret::new(credential.password),
        });
        Self { source: wire.source, submodules: wire.submodules, lfs: wire.lfs, credential }
    }
}

impl Checkout {
    /// As JSON with the credential in it: for the socket between controller and `prepare`, and nothing else.
    ///
    /// # Errors
    /// Never for a value of ours.
    pub fn to_wire(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(&WireCheckout::from(self))
    }

    /// Reads [`Checkout::to_wire`].
    ///
    /// # Errors
    /// When it is something else.
    pub fn from_wire(bytes: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice::<WireCheckout>(bytes).map(Self::from)
    }
}

impl Grant {
    /// As JSON with the secrets in it: for the way to the controller, and nothing else.
    ///
    /// # Errors
    /// Never for a value of ours.
    pub fn to_wire(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(&Wire {
            build: self.facts.clone(),
            checkout: WireCheckout::from(&self.checkout),
            inject: self.inject.as_ref().map(|secret| secret.expose().to_owned()),
            params: self.params.clone(),
            job: self.job.clone(),
            service_secret: self.service_secret.as_ref().map(|secret| secret.expose().to_owned()),
            session: self.session.as_ref().map(|session| WireSession {
                server: session.server.clone(),
                claim: session.claim.clone(),
                secret: session.secret.expose().to_owned(),
            }),
        })
    }

    /// Reads [`Grant::to_wire`].
    ///
    /// # Errors
    /// When it is something else.
    pub fn from_wire(bytes: &[u8]) -> serde_json::Result<Self> {
        let wire: Wire = serde_json::from_slice(bytes)?;
        let session = wire.session.map(|session| GivenSession {
            server: session.server,
            claim: session.claim,
            secret: Secret::new(session.secret),
        });
        let (checkout, inject) = (wire.checkout.into(), wire.inject.map(Secret::new));
        let service_secret = wire.service_secret.map(Secret::new);
        Ok(Self { facts: wire.build, checkout, inject, params: wire.params, job: wire.job, service_secret, session })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::EventKind;

    fn grant() -> Grant {
        Grant {
            facts: Facts {
                repo_url: "https://git.example/o/r.git".to_owned(),
                commit: "0123456789012345678901234567890123456789".parse().unwrap(),
                branch: "main".to_owned(),
                flavor: "default".parse().unwrap(),
                git_ref: Some("refs/heads/main".to_owned()),
                event: Some(EventKind::Push),
                sender: Some("quentin".to_owned()),
                pull_request: None,
                trusted: true,
            },
            checkout: Checkout {
                source: true,
                submodules: true,
                lfs: false,
                credential: Some(Credential {
                    scope: "https://git.example/".to_owned(),
                    user: "albatros".to_owned(),
                    password: Secret::new("c0ffee"),
                }),
            },
            inject: Some(Secret::new("A=1\n")),
            params: BTreeMap::from([("VERSION".to_owned(), "1.2".to_owned())]),
            job: None,
            service_secret: Some(Secret::new("5e21ce")),
            session: None,
        }
    }

    #[test]
    fn a_grant_survives_its_way() {
        let read = Grant::from_wire(&grant().to_wire().unwrap()).unwrap();
        assert_eq!(read.facts, grant().facts);
        assert_eq!(read.params, grant().params);
        assert_eq!(read.inject.unwrap().expose(), "A=1\n");
        assert_eq!(read.service_secret.unwrap().expose(), "5e21ce");
        let credential = read.checkout.credential.unwrap();
        assert_eq!((credential.scope.as_str(), credential.password.expose()), ("https://git.example/", "c0ffee"));
        assert!(read.checkout.submodules && !read.checkout.lfs);
    }

    #[test]
    fn debug_shows_no_secret() {
        let shown = format!("{:?}", grant());
        assert!(!shown.contains("c0ffee") && !shown.contains("5e21ce") && !shown.contains("A=1"), "{shown}");
    }
}
