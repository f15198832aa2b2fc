//! A build in a microVM: what its host and its guest say to each other, and what is made of it.
//!
//! The guest is not believed: a message is one line of JSON, bounded, and past the first one it carries the nonce that
//! only the guest's init has. What is malformed, repeated or out of turn is nothing.

mod handshake;
mod message;

pub use handshake::{Course, Handshake, Taken};
pub use message::{End, LINE_MOST, Mount, Network, Nonce, Setup, ToGuest, ToHost, VERSION};
