//! `PUT /session/{claim}/address`: where a service's controller takes connections, told by itself once the service does.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::dispatcher::SharedApp;
use crate::dispatcher::openapi::{ClaimPath, Sending, Session};
use crate::dispatcher::session::bearer::Bearer;
use crate::dispatcher::session::caller::Caller;
use crate::dispatcher::session::refusal::Refusal;
use crate::domain::record::Record;
use crate::registry::{Stored, Written};

/// An address and room for what later versions add.
const BODY_LIMIT: usize = 4 * 1024;
/// Bytes of `host:port`.
const ADDRESS_MOST: usize = 260;
/// Tries of one write against other writers of the same record.
const TRIES: usize = 10;

/// Where a service is.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = ServiceAddress)]
struct Told {
    /// `host:port` of its controller.
    address: String,
}

/// Says where a service takes connections
#[utoipa::path(put, path = "/session/{claim}/address", tag = "controllers", operation_id = "put_address", params(ClaimPath), request_body = Told,
    responses((status = 204, description = "It is kept."), Session, Sending), security(("session" = [])),)]
pub(crate) async fn address(
    State(app): State<SharedApp>,
    Path(claim): Path<String>,
    Bearer(secret): Bearer,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Refusal> {
    let caller = Caller::of(&claim, &secret)?;
    let _place = app.sessions.place()?;
    let mut stored = caller.build(&app).await?;
    let taken = app.bodies.take(body, &headers, BODY_LIMIT).await?;
    let told: Told =
        serde_json::from_slice(&taken.bytes).map_err(|_words| Refusal::malformed("expected {\"address\"}"))?;
    if !is_address(&told.address) {
        return Err(Refusal::malformed("address: expected host:port"));
    }
    if !stored.value.job.as_ref().is_some_and(|job| job.service) {
        return Err(Refusal::forbidden("only a service has an address"));
    }
    for _ in 0..TRIES {
        let Stored { value, index } = stored;
        if value.address.as_deref() == Some(&told.address) {
            return Ok(StatusCode::NO_CONTENT);
        }
        let record = Record { address: Some(told.address.clone()), ..value };
        match app.registry.update(&caller.claim, &record, index, None).await? {
            Written::Yes(_) => return Ok(StatusCode::NO_CONTENT),
            Written::Conflict | Written::LeaseLost => stored = caller.build(&app).await?,
        }
    }
    Err(Refusal::later("the record is being written by others"))
}

/// A name or an address of the network, in brackets where it has colons, and a port.
fn is_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let is_host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(six) => six.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-')),
    };
    text.len() <= ADDRESS_MOST && is_host && port.parse::<u16>().is_ok_and(|port| port != 0)
}

#[cfg(test)]
mod tests {
    use super::is_address;

    #[test]
    fn an_address_is_a_host_and_a_port_and_nothing_else() {
        for text in ["127.0.0.1:20000", "node-1.example:1", "[::1]:65535"] {
            assert!(is_address(text), "{text}");
        }
        for text in ["", ":1", "host", "host:0", "host:65536", "a b:1", "a/b:1", "u@h:1", "::1:80", "[x]:1", "h:1\n"] {
            assert!(!is_address(text), "{text:?}");
        }
    }
}
