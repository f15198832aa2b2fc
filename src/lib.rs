//! A CI for people who run Nomad: a webhook goes in, a parameterized job comes out, a commit status goes back.
//!
//! `main → cli → role → {engine, registry, api} → domain`; roles never import each other, and `domain` imports
//! nothing else of ours. A test holds this.
//!
//! | folder | what it is |
//! |---|---|
//! | `cli` | what can be typed; the only reader of the environment |
//! | `dispatcher` | role `serve`: webhooks in, dispatch, statuses out, log tails |
//! | `dev` | roles `dev` and `run`: the same on one machine |
//! | `controller` | role `controller`: the API that a build's script asks |
//! | `sidecar` | roles `sidecar prepare`, `sidecar` and `exec`: a build's workspace, its size, its script |
//! | `engine` | where builds run: Nomad, or child processes |
//! | `registry` | where repositories and claims are: Consul, or files |
//! | `listen` | connections of strangers, bounded |
//! | `api` | the services we call |
//! | `domain` | what we know and decide |

pub mod api;
pub mod cli;
pub mod controller;
pub mod dev;
pub mod dispatcher;
pub mod domain;
pub mod engine;
mod listen;
pub mod registry;
pub mod sidecar;
