//! Who sent a delivery, as far as its headers say.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{DoubleHeader, Incoming, event_name};
use crate::domain::json::shown;

/// Who sent a delivery, as far as its headers say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// `gitea`, `forgejo` or `github`; empty where no header says so.
    pub forge: String,
    /// The event's name; empty where no header says so.
    pub event: String,
    /// The number that the forge has given the delivery, under which its own pages list it.
    pub delivery: String,
}

impl Origin {
    /// Reads the headers of a delivery.
    ///
    /// # Errors
    /// When one of them stands twice.
    pub fn of(incoming: &Incoming<'_>) -> Result<Self, DoubleHeader> {
        // Each later one sends the headers of those before it, too.
        let forges =
            [("forgejo", "X-Forgejo-Delivery"), ("gitea", "X-Gitea-Delivery"), ("github", "X-GitHub-Delivery")];
        let event = event_name(incoming)?.map_or("", |(_, event)| event);
        for (forge, header) in forges {
            if let Some(delivery) = incoming.header(header)? {
                return Ok(Self { forge: forge.to_owned(), event: shown(event), delivery: shown(delivery) });
            }
        }
        Ok(Self { forge: String::new(), event: shown(event), delivery: String::new() })
    }
}

/// A test delivery that arrived and was verified: the newest of a repository is kept, so that who set the webhook up
/// can see that the way from the forge is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tested {
    /// 1.
    pub version: u32,
    /// The repository's canonical address.
    pub canonical: String,
    /// When it arrived.
    pub at: Timestamp,
    /// Who sent it.
    #[serde(flatten)]
    pub origin: Origin,
}

impl Tested {
    /// A test delivery of now.
    #[must_use]
    pub fn new(canonical: &str, at: Timestamp, origin: Origin) -> Self {
        Self { version: 1, canonical: canonical.to_owned(), at, origin }
    }
}
