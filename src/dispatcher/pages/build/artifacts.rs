//! What a build has left, for its page.

use std::time::Duration;

use crate::dispatcher::App;
use crate::dispatcher::blobs::shelf;
use crate::dispatcher::history::home_of_known;
use crate::dispatcher::known::Known;
use crate::dispatcher::pages::address::Address;
use crate::dispatcher::pages::text;
use crate::domain::blob::{Manifest, Packing};
use crate::domain::percent;
use crate::domain::size;

/// How long the store may take; a page without artifacts is better than none.
const WITHIN: Duration = Duration::from_secs(1);

/// The list, as far as it is known.
#[derive(Debug, Default)]
pub(super) struct Artifacts {
    pub(super) list: Vec<Artifact>,
    /// Why it may be empty although there are some.
    pub(super) note: Option<&'static str>,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Artifact {
    pub(super) id: String,
    /// What of it is saved.
    pub(super) file: String,
    pub(super) size: String,
    pub(super) sha256: String,
    pub(super) href: String,
}

impl Artifacts {
    /// Of a build; of what has none, or where nothing is kept, it is empty.
    pub(super) async fn of(app: &App, base: &str, known: Option<&Known>, key: Option<&str>) -> Self {
        let (Some(store), Some(known)) = (&app.store, known) else { return Self::default() };
        let read = async {
            let home = home_of_known(app, known).await.ok().flatten()?;
            shelf::artifacts(store, &home.place(), app.settings.blobs.artifacts).await.ok()
        };
        let Ok(Some(listed)) = tokio::time::timeout(WITHIN, read).await else {
            return Self { list: Vec::new(), note: Some("The store did not say in time what the build has left.") };
        };
        let address = Address::of_build(base, &known.build, key);
        Self { list: listed.iter().map(|one| artifact(&address, one)).collect(), note: None }
    }
}

fn artifact(address: &Address, manifest: &Manifest) -> Artifact {
    let id = manifest.id.as_str();
    let file = match (&manifest.packing, &manifest.name) {
        (Packing::Archive, _) => format!("{id}.tar.zst"),
        (Packing::File, Some(name)) => text::name(name),
        (Packing::File, None) => id.to_owned(),
    };
    Artifact {
        id: id.to_owned(),
        file,
        size: size::for_people(manifest.size),
        sha256: text::name(&manifest.sha256),
        href: address.beneath(&format!("/artifacts/{}", percent::encode(id)), ""),
    }
}
