//! The same stories on real servers; says plainly what it skipped.
//!
//! `ALBATROS_LIVE=1 cargo test --test live` runs them: each needs `consul` on PATH, most also `nomad` and root. The
//! servers are started here, on free ports of this machine, and end with the tests.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what is wrong by failing"
)]

mod agent;
mod archive;
mod blobs;
mod browser;
mod builders;
mod cluster;
mod commands;
mod consul;
mod deployed;
#[path = "../it/fake/mod.rs"]
#[expect(
    dead_code,
    clippy::expect_used,
    clippy::result_large_err,
    reason = "shared with the tests on fakes; the stories here need the forge, the deliveries and the server's process"
)]
mod fake;
mod filters;
mod foreign;
mod frozen;
mod garage;
mod git;
mod gitea;
mod group;
mod hostile;
mod jobs;
mod killed;
mod logs;
mod minded;
mod mtls;
mod nightly;
mod nixcache;
mod nomad;
mod once;
mod pull;
mod relay;
mod repo;
mod runner;
mod runners;
mod session;
mod store;
mod story;
mod tree;
mod turns;
mod verdicts;
mod vm;
