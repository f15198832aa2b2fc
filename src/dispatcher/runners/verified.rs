//! Which entry a delivery of a workflow's job belongs to: the repository's own if it has `runners`, else its owner's, else
//! its forge's; each verified with its own credential.

use crate::dispatcher::App;
use crate::dispatcher::answer::Problem;
use crate::dispatcher::hook::{UNKNOWN, registry_down, unauthorized, usable};
use crate::domain::delivery::Incoming;
use crate::domain::repo_url::RepoUrl;
use crate::domain::verify;
use crate::registry::Found;

/// An address and the entry that was found for it.
struct Place {
    url: RepoUrl,
    found: Option<Found>,
    verified: bool,
}

/// The entry whose pools are meant, once its credential has matched: from the local copy first, then by a consistent read.
/// Where none has pools it is the repository's own, so that its webhook is told so.
pub(in crate::dispatcher) async fn configuration(
    app: &App,
    url: &RepoUrl,
    incoming: &Incoming<'_>,
    json: &[u8],
) -> Result<Found, Problem> {
    let mut places = Vec::new();
    for url in std::iter::once(url.clone()).chain(url.parents()) {
        let entry = app.registry.entry(&url).await.map_err(|error| registry_down(&error))?;
        let found = usable(entry, &url)?;
        // Each costs the same, so that the time does not tell which of them exist.
        let verified = match &found {
            Some(found) => verify::verify(incoming, json, &found.config)
                .inspect_err(|refused| {
                    if refused.is_early() {
                        verify::decoy(json);
                    }
                })
                .is_ok(),
            None => {
                verify::decoy(json);
                false
            }
        };
        places.push(Place { url, found, verified });
    }
    let has_pools = |place: &&Place| place.found.as_ref().is_some_and(|found| !found.config.runners.is_empty());
    let meant = places.iter().find(has_pools).filter(|place| place.verified);
    let own = places.first().filter(|place| place.verified);
    let Some(place) = meant.or(own) else { return Err(unauthorized(app, url, &UNKNOWN_OR_WRONG)) };
    let now = app.registry.entry_now(&place.url).await.map_err(|error| registry_down(&error))?;
    let now = usable(now, &place.url)?.ok_or_else(|| unauthorized(app, url, &UNKNOWN))?;
    // What was rotated since the copy was made no longer counts.
    verify::verify(incoming, json, &now.config).map_err(|refused| unauthorized(app, url, &refused))?;
    Ok(now)
}

/// Why a delivery of a job is not taken; for the log alone.
const UNKNOWN_OR_WRONG: &str = "no entry with `runners` of this repository, its owner or its forge has this credential";
