//! Logs as people see them on a terminal, for a page: bytes in, lines of coloured text out.

mod line;

pub use line::{Line, Span};
