//! Role `exec`.
