//! Whether a commit is still on its ref, asked before secrets are handed over: an old signed delivery may be sent again
//! after its commit was taken back.

use super::App;
use crate::api::forge::{Forge, ForgeError};
use crate::domain::config::RepoConfig;
use crate::domain::record::Record;

/// Why no secrets are handed over.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OffRef {
    /// The forge says that it is not; for the person who pushed.
    #[error("commit is no longer on REF")]
    Gone,
    /// The forge does not say; a later try may succeed.
    #[error("the forge cannot be asked whether the commit is on its ref")]
    Unasked(#[source] ForgeError),
}

/// Without a forge's token this cannot be asked, and counts as well.
///
/// # Errors
/// See [`OffRef`].
pub(crate) async fn check(app: &App, record: &Record, config: &RepoConfig) -> Result<(), OffRef> {
    let Some(forge) = &config.forge else { return Ok(()) };
    let forge = Forge::new(app.forge_client.clone(), forge, &record.repo).map_err(OffRef::Unasked)?;
    match forge.holds(&record.git_ref, &record.commit).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(OffRef::Gone),
        Err(error) => Err(OffRef::Unasked(error)),
    }
}
