//! Streams between host and guest, over one connection.
