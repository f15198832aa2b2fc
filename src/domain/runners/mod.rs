//! Runners for a forge's own workflows: one for one job, each a record like a build's, gone when its job is.

mod runner;

pub use runner::{JobAt, Runner};
