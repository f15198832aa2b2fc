//! Whose session it is: the secret that a controller made up, of which the record keeps the hash.

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::domain::record::Record;
use crate::domain::secret::Secret;

/// 32 bytes in hexadecimal digits.
const LENGTH: usize = 64;

/// The hash of a secret.
#[derive(Debug, Clone)]
pub(in crate::dispatcher) struct Proof(String);

impl Proof {
    /// None for a secret that is not 64 hexadecimal digits: it might be guessed.
    pub(in crate::dispatcher) fn of(secret: &Secret) -> Option<Self> {
        let text = secret.expose();
        let fits = text.len() == LENGTH && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        fits.then(|| Self(hex::encode(Sha256::digest(text))))
    }

    /// Whether the record's session was made with this secret.
    pub(super) fn is_of(&self, record: &Record) -> bool {
        self.is(record.session.as_deref())
    }

    /// Whether this is what was kept of a session.
    pub(super) fn is(&self, session: Option<&str>) -> bool {
        session.is_some_and(|known| bool::from(known.as_bytes().ct_eq(self.0.as_bytes())))
    }

    /// What the record keeps.
    pub(in crate::dispatcher) fn into_session(self) -> String {
        self.0
    }
}
