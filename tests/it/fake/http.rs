//! A plain HTTP client for tests.

use serde_json::Value;

/// A client that follows no redirect, uses no proxy and needs no certificates.
pub(crate) fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .tls_certs_only([])
        .build()
        .unwrap()
}

/// An answer, read whole.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

impl Reply {
    /// The body as JSON; text that is not JSON as a string.
    pub(crate) fn value(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| Value::String(self.text.clone()))
    }

    /// Consul's or Nomad's index.
    pub(crate) fn index(&self) -> u64 {
        let found = ["x-consul-index", "x-nomad-index"].iter().find_map(|name| self.headers.get(*name));
        found.unwrap().to_str().unwrap().parse().unwrap()
    }

    /// Reads an answer whole.
    pub(crate) async fn read(answer: reqwest::Response) -> Self {
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let text = String::from_utf8_lossy(&answer.bytes().await.unwrap()).into_owned();
        Self { status, headers, text }
    }
}

/// Sends a request; the path may hold a query.
pub(crate) async fn send(base: &str, method: &str, path: &str, body: Option<&str>) -> Reply {
    let mut request = client().request(method.parse().unwrap(), format!("{base}{path}"));
    if let Some(body) = body {
        request = request.body(body.to_owned());
    }
    Reply::read(request.send().await.unwrap()).await
}

/// Sends a request with a body.
pub(crate) async fn call(base: &str, method: &str, path: &str, body: &str) -> Reply {
    send(base, method, path, Some(body)).await
}
