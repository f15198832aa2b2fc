//! What ended long ago: written into the store at the final status, found there when Nomad and the registry have
//! forgotten it.

mod find;
mod home;
mod keep;
mod latest;
#[cfg(test)]
mod tests;

pub(crate) use find::{Kept, Seen, Turns, build, claim, list};
pub(crate) use home::{of as home_of, of_known as home_of_known};
pub(crate) use keep::{keep_later, keep_now};
pub(crate) use latest::{Asked, Latest, LatestError, latest};
