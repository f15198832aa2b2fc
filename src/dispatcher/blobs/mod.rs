//! What is kept of builds: how much, and who may have it.
//!
//! [`shelf`] reads manifests, [`streams`] bounds what passes through, [`sums`] remembers what passed; controllers come in
//! by `session::blobs`, people by [`people`], and [`retention`] takes away what is old.

mod member;
pub(crate) mod people;
pub(crate) mod retention;
mod settings;
pub(crate) mod shelf;
pub(crate) mod streams;
pub(crate) mod sums;

pub use settings::BlobSettings;

use streams::Streams;
use sums::Sums;

/// What all blobs share.
#[derive(Debug, Default)]
pub(crate) struct Blobs {
    pub(crate) streams: Streams,
    pub(crate) sums: Sums,
}
