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
    /// An account's login as the forge spells it, and its number; none where it knows no such account. Where our token may
    /// not ask, it is asked as anybody may (seen: Gitea wants the scope `read:user` of a token, and none of whoever has no
    /// token).
    ///
    /// # Errors
    /// See [`ForgeError`].
    pub async fn account(&self, login: &str) -> Result<Option<(String, u64)>, ForgeError> {
        let mut answer = self.of_forge("read an account", &Method::GET, &["users", login]).await?;
        if answer.status == StatusCode::FORBIDDEN {
            answer = self.get_as_anybody("read an account", &["users", login]).await?;
        }
        if answer.status == StatusCode::NOT_FOUND && !call::is_page(&answer) {
            return Ok(None);
        }
        let account: Account = call::accepted(answer, "read an account")?.json()?;
        Ok(Some((account.login, account.id)))
    }
}
