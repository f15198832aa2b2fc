//! Logs as people see them on a terminal, for a page: bytes in, lines of coloured text out.
//!
//! ```text
//! bytes ─▶ head (time, stream) ─▶ sequence (escapes) ─▶ style
//!                                      │                  │
//!                                      └─▶ row of cells ◀─┘ ─▶ Line of Spans
//! ```
//!
//! [`Converter`] takes them in pieces of any size and gives each line once it has ended. What a terminal would do to
//! other lines, its title or its clipboard is left out without a trace. Memory is bounded whatever comes: a line that
//! will not end is broken into pieces, a sequence that will not end is given up.

mod converter;
mod head;
mod line;
pub mod palette;
mod row;
mod sequence;
mod style;
#[cfg(test)]
mod tests;
mod utf8;

pub use converter::{BYTES_MOST, Converter, Mark, Ready};
pub use head::Layout;
pub use line::{Line, Span};
pub use row::LINE_MOST;
pub use style::Style;
