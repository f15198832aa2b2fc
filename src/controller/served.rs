//! What was asked of a controller, for one line at its end: it lives as long as one build, so nobody scrapes it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use axum::extract::{MatchedPath, Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;

use super::access::Door;

/// Answers by route of ours and by the first digit of their status.
#[derive(Debug, Default)]
pub(crate) struct Served(Mutex<BTreeMap<(String, u16), u64>>);

impl Served {
    fn note(&self, route: Option<&MatchedPath>, status: StatusCode) {
        let route = route.map_or("none", MatchedPath::as_str).to_owned();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *all.entry((route, status.as_u16() / 100)).or_default() += 1;
    }

    /// Says it, once.
    pub(super) fn log(&self) {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let each: Vec<String> =
            all.iter().map(|((route, class), count)| format!("{route} {class}xx {count}")).collect();
        tracing::info!(requests = each.join(", "), "served");
    }
}

/// Counts an answer.
pub(super) async fn count(State(door): State<Door>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    door.served().note(route.as_ref(), response.status());
    response
}
