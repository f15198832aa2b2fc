//! What `/openapi.json` says is what the server and the controller answer.
//!
//! A new route: describe its handler with `#[utoipa::path]`, name that in `paths(…)` of `src/dispatcher/openapi/mod.rs`
//! (`src/controller/openapi.rs`), and ask it here in `serve` or `people` (`tests/it/controller/described.rs`), once for what it gives and once to be refused.

pub(crate) mod checked;
mod people;
mod schema;
mod serve;
pub(crate) mod shape;

/// What to do about a route that this finds.
const HOW: &str = "describe its handler with #[utoipa::path], name it in `paths(…)` of its role's openapi module, and ask it \
                   in tests/it/openapi or tests/it/controller/described.rs, once for what it gives and once to be refused";
