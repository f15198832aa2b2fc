//! Values that must never be printed.

use serde::{Deserialize, Deserializer};
use subtle::ConstantTimeEq as _;

/// A secret: `Debug` hides it, nothing displays or serializes it, [`Secret::expose`] is the one way to read it.
#[derive(Clone, Default)]
pub struct Secret(secrecy::SecretString);

impl Secret {
    /// Wraps a value.
    #[must_use]
    pub fn new(value: impl Into<String>) -> Self {
        Self(secrecy::SecretString::from(value.into()))
    }

    /// The value itself; search for this name to find every use.
    #[must_use]
    pub fn expose(&self) -> &str {
        secrecy::ExposeSecret::expose_secret(&self.0)
    }

    /// Whether `given` is this secret, in time that tells nothing but the length.
    #[must_use]
    pub fn matches(&self, given: &str) -> bool {
        !self.expose().is_empty() && bool::from(self.expose().as_bytes().ct_eq(given.as_bytes()))
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(secret)")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(Self::new)
    }
}
