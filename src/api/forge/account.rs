//! Accounts: which number stands behind a login.

use reqwest::{Method, StatusCode};
use serde::Deserialize;

use super::{Forge, ForgeError, call};

#[derive(Deserialize)]
struct Account {
    id: u64,
    login: String,
}

impl Forge {
    /// An account's login as the forge spells it, and its number; none where it knows no such account.
    ///
    /// # Errors
    /// See [`ForgeError`].
    pub async fn account(&self, login: &str) -> Result<Option<(String, u64)>, ForgeError> {
        let answer = self.of_forge(&Method::GET, &["users", login]).await?;
        if answer.status == StatusCode::NOT_FOUND && !call::is_page(&answer) {
            return Ok(None);
        }
        let account: Account = call::accepted(answer, "read an account")?.json()?;
        Ok(Some((account.login, account.id)))
    }
}
