//! The services we call: one struct and one error enum each; [`http`] makes the one client.

pub mod albatros;
pub mod consul;
pub mod controller;
pub mod forge;
pub mod git;
pub mod http;
pub mod images;
pub mod meter;
pub mod nomad;
pub mod session;
pub mod store;
