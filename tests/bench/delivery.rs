//! Deliveries of the size that Gitea sends, signed.

use std::net::SocketAddr;

use anyhow::Context as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// The secret of the benchmark's repositories.
pub(crate) const SECRET: &str = "of-the-benchmark";

/// A recorded push, made over for the benchmark's repository.
#[derive(Debug)]
pub(crate) struct Template {
    body: String,
    before: String,
}

impl Template {
    /// A push of `commit` (or of a made up one) to `repo`.
    pub(crate) fn new(repo: &str, commit: Option<&str>) -> anyhow::Result<Self> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixture/gitea/push-main.json");
        let recorded: serde_json::Value = serde_json::from_slice(&std::fs::read(path)?)?;
        let body = recorded.get("body").and_then(|body| body.as_str()).context("no body")?;
        let push: serde_json::Value = serde_json::from_str(body)?;
        let word = |pointer: &str| push.pointer(pointer).and_then(|word| word.as_str()).context("no such word");
        let (before, after) = (word("/before")?.to_owned(), word("/after")?);
        let mut body = body.replace(word("/repository/clone_url")?, repo);
        if let Some(commit) = commit {
            body = body.replace(after, commit);
        }
        Ok(Self { body, before })
    }

    /// The body of change number `number`: another number is another change.
    pub(crate) fn body(&self, number: u64) -> String {
        self.body.replace(&self.before, &format!("{number:040x}"))
    }
}

/// The signature of a body.
pub(crate) fn signature(secret: &str, body: &str) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes());
    mac.map(|mut mac| {
        mac.update(body.as_bytes());
        hex::encode(mac.finalize().into_bytes())
    })
    .unwrap_or_default()
}

/// The whole request; `query` is `?…` or nothing.
pub(crate) fn request(address: SocketAddr, query: &str, body: &str, signature: &str) -> Vec<u8> {
    format!(
        "POST /hook{query} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nX-Gitea-Event: push\r\n\
         X-Gitea-Event-Type: push\r\nX-Gitea-Delivery: 8e6a1c2e-0000-4000-8000-000000000000\r\n\
         X-Gitea-Signature: {signature}\r\nUser-Agent: Go-http-client/1.1\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
