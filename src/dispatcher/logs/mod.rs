//! Log tails: however many people read a build's log, the engine is asked once.
//!
//! ```text
//! engine ──LogSource──▶ feed ──append──▶ spool ──▶ reader ──▶ one HTTP answer
//!                     (one task)   (unlinked file)   (each at its own pace)
//! ```
//!
//! [`hub`] keeps at most one spool a log and bounds them all; [`feed`] fills one and closes it when nobody reads it any
//! more; a [`reader`] takes bytes from the spool by offset, so a late one gets all of it and a slow one delays nobody.
//! [`tail`] is the endpoint; [`ask`] what can be asked of it, [`ending`] the last line, [`kept`] the archive that is read
//! when the engine has no log any more, and [`both`] its two streams put together. [`window`] gives pages some lines.

mod ask;
mod both;
mod ending;
mod feed;
mod follow;
mod hub;
mod kept;
mod lines;
mod links;
mod page;
mod reader;
mod recent;
mod spool;
pub(crate) mod tail;
#[cfg(test)]
mod tests;
mod told;
mod window;

pub(crate) use ask::LogQuery;
pub(crate) use hub::LogHub;
pub(crate) use tail::{build, build_log, of_known};
pub(crate) use window::{LogWindow, WindowAsk, window};
