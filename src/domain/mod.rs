//! What Albatros knows and decides. Pure: no async, no client, no clock, no file; time is an argument.
//!
//! ```text
//! bytes ─▶ delivery ─▶ event::Change ─▶ trust ─▶ plan ─▶ claim ─▶ record ─▶ outcome ─▶ status
//!              ▲                          ▲        ▲
//!           verify                     config   builder
//! ```

pub mod ansi;
pub mod approval;
pub mod blob;
pub mod builder;
pub mod builder_check;
pub mod claim;
pub mod config;
pub mod container;
pub mod delivery;
pub mod described;
pub mod duration;
pub mod elf;
pub mod event;
pub mod explain;
pub mod finding;
pub mod git_ref;
pub mod grant;
pub mod history;
pub mod id;
pub mod identity;
pub mod job;
pub mod job_diff;
pub mod job_file;
pub mod json;
pub mod key;
pub mod label;
pub mod links;
pub mod log_chunk;
pub mod near;
pub mod nomad;
pub mod outcome;
pub mod params;
pub mod pattern;
pub(crate) mod percent;
pub mod place;
pub mod placed;
pub mod plan;
pub mod problem;
pub mod record;
pub mod repo_check;
pub mod repo_url;
pub mod report;
pub mod runner;
pub mod runner_wire;
pub mod runners;
pub mod secret;
pub mod size;
pub mod skip;
pub mod status;
pub mod supersede;
pub mod ticket;
pub mod timeline;
pub mod times;
pub mod trigger;
pub mod trust;
pub mod turn;
pub mod verify;
pub mod vm;
