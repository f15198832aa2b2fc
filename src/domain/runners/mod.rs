//! Runners for a forge's own workflows: one for one job, each a record like a build's, gone when its job is.
//!
//! ```text
//! workflow_job ─▶ delivery ─▶ wanted ─▶ pool ─▶ plan ─▶ record ─▶ turn ─▶ dispatch ─▶ registration ─▶ end
//! what the forge lists ──────▶ reconcile ─▶ claim, take, stop, remove
//! ```

mod plan;
mod pool;
mod reconcile;
mod runner;
mod scope;

pub use plan::{Asked, Planned, plan, record};
pub use pool::{Label, LabelError, Pool, offered, pool_for};
pub use reconcile::{Action, Before, ByRunner, Seen, SeenJob, SeenRunner, SeenState, reconcile};
pub use runner::{JobAt, Runner};
pub use scope::{Scope, ScopeError, scope_tag};
