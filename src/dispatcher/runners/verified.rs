//! Which entry a delivery of a workflow's job belongs to: the repository's own if its `runners` know the job's labels, else
//! its owner's, else its forge's; each verified with its own credential.

use super::pool_of;
use crate::dispatcher::App;
use crate::dispatcher::answer::Problem;
use crate::dispatcher::hook::{UNKNOWN, registry_down, unauthorized, usable};
use crate::domain::delivery::{self, Incoming};
use crate::domain::event::Event;
use crate::domain::repo_url::RepoUrl;
use crate::domain::verify::{self, Verified};
use crate::registry::Found;

/// An address and the entry that was found for it.
struct Place<'a> {
    url: RepoUrl,
    found: Option<Found>,
    verified: Option<Verified<'a>>,
}

/// The entry whose pools are meant, once its credential has matched: from the local copy first, then by a consistent read.
/// Where none knows the job's labels it is the nearest with pools, else the repository's own, so that its webhook is told so.
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
                .ok(),
            None => {
                verify::decoy(json);
                None
            }
        };
        places.push(Place { url, found, verified });
    }
    let Some(verified) = places.iter().find_map(|place| place.verified.as_ref()) else {
        return Err(unauthorized(app, url, &UNKNOWN_OR_WRONG));
    };
    let labels = match delivery::parse(incoming, verified)? {
        Event::Job(job) => job.labels,
        Event::Change(_) | Event::PullClosed { .. } | Event::Test | Event::Ignored { .. } => Vec::new(),
    };
    let knows = |place: &&Place<'_>| place.found.as_ref().is_some_and(|it| pool_of(&it.config, &labels).is_some());
    let has_pools = |place: &&Place<'_>| place.found.as_ref().is_some_and(|it| !it.config.runners.is_empty());
    // Whose jobs a nearer entry takes, that one's webhook tells of them.
    let meant = places.iter().find(knows).or_else(|| places.iter().find(has_pools));
    let meant = meant.filter(|place| place.verified.is_some());
    let own = places.first().filter(|place| place.verified.is_some());
    let Some(place) = meant.or(own) else { return Err(unauthorized(app, url, &UNKNOWN_OR_WRONG)) };
    let now = app.registry.entry_now(&place.url).await.map_err(|error| registry_down(&error))?;
    let now = usable(now, &place.url)?.ok_or_else(|| unauthorized(app, url, &UNKNOWN))?;
    // What was rotated since the copy was made no longer counts.
    verify::verify(incoming, json, &now.config).map_err(|refused| unauthorized(app, url, &refused))?;
    Ok(now)
}

/// Why a delivery of a job is not taken; for the log alone.
const UNKNOWN_OR_WRONG: &str = "no entry with `runners` of this repository, its owner or its forge has this credential";
