//! Which blob is meant: the build's own, another build's, or a cache that is good enough.

use super::room::Room;
use crate::dispatcher::blobs::shelf::{self, Found};
use crate::dispatcher::session::refusal::Refusal;
use crate::domain::blob::BlobKind;
use crate::domain::id::BlobId;
use crate::domain::place::{BuildPlace, Key, Trust};

/// Beginnings that are tried; each costs a list.
const FALLBACKS: usize = 16;

/// What was asked for beside an id.
#[derive(Debug, Default)]
pub(super) struct Asked {
    latest_green: bool,
    branch: Option<String>,
    fallback: Vec<BlobId>,
}

/// A blob, and where its bytes are.
#[derive(Debug)]
pub(super) struct Chosen {
    pub(super) found: Found,
    pub(super) manifest: Key,
    pub(super) object: Key,
}

impl Asked {
    pub(super) fn of(query: &str) -> Result<Self, Refusal> {
        let values = |name| {
            let pairs = url::form_urlencoded::parse(query.as_bytes());
            pairs.filter(move |(key, _)| key == name).map(|(_, value)| value.into_owned()).collect::<Vec<String>>()
        };
        let text = |name| values(name).into_iter().next();
        let latest_green = match text("from").as_deref() {
            None | Some("") => false,
            Some("latest-green") => true,
            Some(_) => return Err(Refusal::malformed("from: expected latest-green")),
        };
        let branch = text("branch").filter(|branch| !branch.is_empty());
        if branch.is_some() && !latest_green {
            return Err(Refusal::malformed("branch: makes sense with from=latest-green only"));
        }
        let fallback = values("fallback");
        if fallback.len() > FALLBACKS {
            return Err(Refusal::malformed("fallback: at most 16"));
        }
        let wrong = |_no_id| Refusal::malformed("fallback: expected the beginning of a cache's name");
        let parse = |start: String| start.parse().map_err(wrong);
        Ok(Self { latest_green, branch, fallback: fallback.into_iter().map(parse).collect::<Result<_, _>>()? })
    }
}

/// Where artifacts are read: of this build, or of the newest green one of a ref.
pub(super) async fn build(room: &Room<'_>, asked: &Asked) -> Result<Option<BuildPlace>, Refusal> {
    if !asked.latest_green {
        return Ok(Some(room.build.clone()));
    }
    let branch = asked.branch.as_ref().map(|branch| format!("refs/heads/{branch}"));
    let git_ref = branch.as_deref().unwrap_or(&room.record.git_ref);
    let green = shelf::newest_green(room.store, &room.repo, room.trust, git_ref, &room.record.flavor).await?;
    Ok(green.map(|green| room.repo.build(&green.claim)))
}

pub(super) async fn choose(
    room: &Room<'_>,
    kind: BlobKind,
    id: &BlobId,
    query: &str,
) -> Result<Option<Chosen>, Refusal> {
    let asked = Asked::of(query)?;
    match kind {
        BlobKind::Artifact => {
            let Some(build) = build(room, &asked).await? else { return Ok(None) };
            let manifest = build.artifact(id);
            let found = shelf::find(room.store, &manifest).await?;
            Ok(found.map(|found| Chosen { object: build.object(&found.kept.object), manifest, found }))
        }
        BlobKind::Cache => cache(room, id, &asked.fallback).await,
    }
}

/// Its own caches first; what no secret had a part in may also read what trusted builds left, never the other way.
async fn cache(room: &Room<'_>, id: &BlobId, fallback: &[BlobId]) -> Result<Option<Chosen>, Refusal> {
    let trusts: &[Trust] = match room.trust {
        Trust::Trusted => &[Trust::Trusted],
        Trust::Untrusted => &[Trust::Untrusted, Trust::Trusted],
    };
    let chosen = |trust: Trust, found: Found| Chosen {
        manifest: room.repo.cache(trust, &found.kept.manifest.id),
        object: room.repo.cache_object(trust, &found.kept.object),
        found,
    };
    for trust in trusts {
        if let Some(found) = shelf::find(room.store, &room.repo.cache(*trust, id)).await? {
            return Ok(Some(chosen(*trust, found)));
        }
    }
    let most = room.app.settings.blobs.caches;
    for start in fallback {
        for trust in trusts {
            if let Some(found) = shelf::newest_cache(room.store, &room.repo, *trust, start, most).await? {
                return Ok(Some(chosen(*trust, found)));
            }
        }
    }
    Ok(None)
}
