//! Behaviour, on stateful fakes of Nomad, Consul and Gitea.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what is wrong by failing"
)]
#![expect(clippy::result_large_err, reason = "a refusal of a fake is the answer itself")]

mod fake;

mod builders;
mod clients;
mod controller;
mod dev;
mod exec;
mod explain;
mod explained;
mod fake_consul;
mod fake_forge;
mod fake_nomad;
mod follower_course;
mod follower_takeover;
mod forge;
mod forge_changes;
mod group;
mod html;
mod job_files;
mod layers;
mod local;
mod logged;
mod nomad_builds;
mod nomad_logs;
mod openapi;
mod registry_consul;
mod registry_files;
mod registry_samples;
mod repos;
mod run;
mod server;
mod tls;
mod typed;
mod vm;
mod vm_images;
