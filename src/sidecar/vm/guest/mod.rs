//! The machine's init.
