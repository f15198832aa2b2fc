//! A way through to a server on which things go wrong where a test says so.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;

use crate::fake::http::client;
use crate::fake::wire::{Call, Service, Wire, text};

/// Passes everything on, as long as no fault is armed for it.
#[derive(Debug)]
pub(crate) struct Relay {
    pub(crate) wire: Wire,
}

#[derive(Debug)]
struct Way {
    to: String,
    client: reqwest::Client,
}

impl Relay {
    /// A way to this address.
    pub(crate) async fn to(address: &str) -> Self {
        Self { wire: Wire::start(Arc::new(Way { to: address.to_owned(), client: client() })).await }
    }

    /// Its own address.
    pub(crate) fn url(&self) -> String {
        self.wire.url()
    }
}

impl Service for Way {
    async fn answer(self: Arc<Self>, call: Call) -> Response {
        let mut url: url::Url = format!("{}{}", self.to, call.path).parse().unwrap();
        url.query_pairs_mut().extend_pairs(&call.query);
        let mut request = self.client.request(call.method.parse().unwrap(), url).body(call.body.clone());
        for name in ["x-nomad-token", "x-consul-token", "content-type"] {
            if let Some(value) = call.header(name) {
                request = request.header(name, value);
            }
        }
        let Ok(answer) = request.send().await else {
            return text(502, "the server behind does not answer");
        };
        let mut response = Response::builder().status(answer.status());
        for (name, value) in answer.headers() {
            if !["transfer-encoding", "content-length", "connection"].contains(&name.as_str()) {
                response = response.header(name, value);
            }
        }
        response.body(Body::from_stream(answer.bytes_stream())).unwrap()
    }
}
