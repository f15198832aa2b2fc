//! The same stories on real servers; says plainly what it skipped.
