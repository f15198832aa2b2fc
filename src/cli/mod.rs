//! What can be typed.

pub mod settings;
