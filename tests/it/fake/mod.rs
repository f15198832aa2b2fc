//! Stand-ins for the services Albatros talks to, each on a port of its own in this process.
//!
//! They answer as the recordings in `tests/fixture` do, the ugly parts included, and they count what is written.

pub(crate) mod browser;
pub(crate) mod consul;
pub(crate) mod controller;
pub(crate) mod delivery;
pub(crate) mod events;
pub(crate) mod fault;
pub(crate) mod fixture;
pub(crate) mod forge;
pub(crate) mod http;
mod line;
pub(crate) mod nomad;
pub(crate) mod raw;
pub(crate) mod repos;
pub(crate) mod serve;
pub(crate) mod wire;
pub(crate) mod world;

/// A random UUID.
pub(crate) fn uuid() -> String {
    let digits = hex(16);
    let part = |from: usize, to: usize| &digits[from..to];
    format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
}

/// So many random bytes, in hexadecimal digits.
pub(crate) fn hex(bytes: usize) -> String {
    let mut random = vec![0; bytes];
    getrandom::fill(&mut random).unwrap();
    hex::encode(random)
}
