//! Each request, by the route that took it.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;

use super::label::{RequestLabel, RouteLabel};
use crate::dispatcher::SharedApp;
use crate::dispatcher::form::Form;

/// Counts what is answered, and how long the answer's head took: bodies may be streams without an end.
pub(crate) async fn measure(State(app): State<SharedApp>, request: Request, next: Next) -> Response {
    let route = RouteLabel::of(request.extensions().get::<MatchedPath>());
    let form = Form::of(request.headers());
    let began = Instant::now();
    let response = next.run(request).await;
    let label = RequestLabel::new(&route, form, response.status());
    app.metrics.requests.get_or_create(&label).inc();
    app.metrics.request_seconds.get_or_create(&route).observe(began.elapsed().as_secs_f64());
    response
}
