//! A push as Gitea would deliver it, signed.

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::json;
use sha2::Sha256;

use super::address_of;
use super::home::Push;
use crate::domain::secret::Secret;

/// The one account of `dev`; its pushes are trusted.
pub(super) const SENDER: &str = "dev";

/// Headers and body.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

pub(super) fn of(name: &str, push: &Push, secret: &Secret) -> Delivery {
    let account = json!({ "id": 1, "login": SENDER, "username": SENDER });
    let body = json!({
        "ref": push.git_ref,
        "before": push.before,
        "after": push.commit,
        "head_commit": { "id": push.commit },
        "repository": {
            "id": 1,
            "name": name,
            "full_name": format!("{SENDER}/{name}"),
            "private": false,
            "clone_url": address_of(name),
        },
        "pusher": account,
        "sender": account,
    });
    let body = body.to_string().into_bytes();
    let headers = [
        ("Content-Type", "application/json".to_owned()),
        ("X-Gitea-Event", "push".to_owned()),
        ("X-Gitea-Signature", signature(secret, &body)),
    ];
    Delivery { headers: headers.map(|(name, value)| (name.to_owned(), value)).to_vec(), body }
}

fn signature(secret: &Secret, body: &[u8]) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()) else { return String::new() };
    mac.update(body);
    hex::encode(mac.finalize().into_bytes())
}

impl Delivery {
    /// As a file for `curl -H @…`.
    pub(super) fn header_lines(&self) -> String {
        self.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect()
    }
}
