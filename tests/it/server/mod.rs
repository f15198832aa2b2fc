//! The whole server on fakes: what somebody does, and what comes of it. One file a behaviour.

mod again;
mod approvals;
mod archive;
mod bin;
mod blobs;
mod deliveries;
mod foreign;
mod frozen;
mod jobs;
mod killed;
mod limits;
mod logs;
mod logs_ends;
mod logs_trouble;
mod once;
mod people;
mod pulls;
mod push;
mod ready;
mod refused;
mod replayed;
pub(super) mod session;
mod strangers;
mod takeover;
mod tested;
mod trouble;
mod turns;
