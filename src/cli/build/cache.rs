//! `albatros cache restore|save`

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;

use super::super::exit::Exit;
use super::super::say;
use super::super::settings::Environment;
use super::printed::Printed;
use super::{BuildError, place, progress};
use crate::api::controller::{Controller, Put, Save, When};
use crate::api::session::blobs::Wanted;
use crate::domain::blob::BlobKind;
use crate::domain::id::BlobId;
use crate::domain::size::Bytes;
use crate::sidecar::keep::{self, Counter, KeepError};
use crate::sidecar::pack::{Limits, Selection, digest};

/// What stands in a key for the hash of files.
const HASH: &str = "{hash}";
/// As much of the hash as tells files apart.
const DIGITS: usize = 16;

/// In the script of a build: find again what an earlier build of the repository has made
///
/// A cache is written once under its key and never changed. Builds that are not trusted read what trusted ones have
/// written, and never the other way round.
///
/// Exits with 0, hit or miss, and also where no cache can be had: that is said, and the script goes on; 2 for a wrong
/// use, and for files that are not taken.
#[derive(Debug, Args)]
pub(crate) struct CacheArgs {
    #[command(subcommand)]
    verb: CacheVerb,
}

#[derive(Debug, Subcommand)]
enum CacheVerb {
    /// Unpack a cache here, as seen from where it was saved
    Restore(RestoreArgs),
    /// Keep files and directories beneath this one, unless there is a cache of that key
    Save(SaveArgs),
}

#[derive(Debug, Args)]
struct RestoreArgs {
    #[command(flatten)]
    key: KeyArgs,
    /// What --save saves
    #[arg(required_if_eq("save", "true"))]
    paths: Vec<PathBuf>,
    /// If there is none of that key: the newest one whose key begins so; of several, the first that is found
    #[arg(long, value_name = "PREFIX")]
    fallback: Vec<BlobId>,
    /// Save PATH... when the script has ended with 0, unless there was one of exactly that key
    #[arg(long)]
    save: bool,
    #[command(flatten)]
    printed: Printed,
}

#[derive(Debug, Args)]
struct SaveArgs {
    #[command(flatten)]
    key: KeyArgs,
    /// What
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    printed: Printed,
}

#[derive(Debug, Args)]
struct KeyArgs {
    /// Under which it is found: 1 to 64 of A-Z a-z 0-9 . _ -, where {hash} stands for the hash of the files of --hash
    key: String,
    /// Files and directories whose names and contents make {hash}
    #[arg(long, value_name = "FILE")]
    hash: Vec<PathBuf>,
}

impl KeyArgs {
    fn id(&self) -> Result<BlobId, BuildError> {
        let usage = |text: &str| BuildError::Usage(text.to_owned());
        let key = match (self.key.contains(HASH), self.hash.is_empty()) {
            (true, true) => return Err(usage("{hash} in a key needs --hash FILE")),
            (false, false) => return Err(usage("--hash needs {hash} in the key")),
            (false, true) => self.key.clone(),
            (true, false) => {
                let sum = digest(&place::here()?, &self.hash, Limits::default())?;
                self.key.replace(HASH, sum.get(..DIGITS).unwrap_or(&sum))
            }
        };
        key.parse().map_err(|error| BuildError::Usage(format!("key {key}: {error}")))
    }
}

pub(super) async fn run(
    args: &CacheArgs,
    controller: &Controller,
    environment: Environment<'_>,
) -> Result<Exit, BuildError> {
    let done = match &args.verb {
        CacheVerb::Restore(args) => restore(args, controller, environment).await,
        CacheVerb::Save(args) => save(args, controller).await,
    };
    match done {
        Ok(()) => Ok(Exit::Success),
        Err(error @ (BuildError::Settings(_) | BuildError::Usage(_) | BuildError::Files(_))) => Err(error),
        Err(BuildError::Keep(error @ KeepError::Files(_))) => Err(error.into()),
        Err(error) => {
            super::super::complain(&error, Exit::Success);
            say("albatros: it goes on without the cache");
            Ok(Exit::Success)
        }
    }
}

async fn restore(args: &RestoreArgs, controller: &Controller, environment: Environment<'_>) -> Result<(), BuildError> {
    let id = args.key.id()?;
    let fallback = args.fallback.iter().map(ToString::to_string).collect();
    let wanted = Wanted { fallback, ..Wanted::default() };
    let counter = Counter::default();
    let work = keep::fetch(controller, (BlobKind::Cache, &id), &wanted, Path::new("."), &counter);
    let fetched = match progress::shown(id.as_str(), &counter, work).await {
        Ok(fetched) => fetched,
        // What is kept is not what can be unpacked: as if there were none.
        Err(KeepError::Files(error)) => {
            super::super::complain(&error, Exit::Success);
            None
        }
        Err(error) => return Err(error.into()),
    };
    let exact = fetched.as_ref().is_some_and(|fetched| fetched.label.id == id);
    let line = match &fetched {
        None => format!("cache {id}: miss"),
        Some(fetched) if exact => format!("cache {id}: hit, {}", Bytes::of(fetched.packed.bytes)),
        Some(fetched) => {
            format!("cache {id}: miss, restored {}, {}", fetched.label.id, Bytes::of(fetched.packed.bytes))
        }
    };
    let restored = fetched.as_ref().map(|fetched| fetched.label.id.as_str());
    let bytes = fetched.as_ref().map(|fetched| fetched.packed.bytes);
    args.printed.say(&line, &json!({"key": id, "hit": exact, "restored": restored, "bytes": bytes}))?;
    if args.save && !exact {
        let (dir, paths) = place::in_workspace(environment, &args.paths)?;
        controller.save(&Save { kind: BlobKind::Cache, id, paths, when: When::Success, dir }).await?;
    }
    Ok(())
}

async fn save(args: &SaveArgs, controller: &Controller) -> Result<(), BuildError> {
    let id = args.key.id()?;
    let selection = Selection::beneath(&place::here()?, &args.paths, Limits::default())?.into_archive();
    let there = controller.blob_label((BlobKind::Cache, &id), &Wanted::default()).await;
    let say_there = || {
        let object = json!({"key": id, "kept": false});
        args.printed.say(&format!("cache {id}: is there already"), &object)
    };
    if there.as_ref().is_ok_and(Option::is_some) {
        return Ok(say_there()?);
    }
    let counter = Counter::default();
    let work = keep::upload(controller, (BlobKind::Cache, &id), &selection, &counter);
    match progress::shown(id.as_str(), &counter, work).await {
        Ok(Put::Kept(label)) => {
            let object = json!({"key": id, "kept": true, "size": label.size});
            Ok(args.printed.say(&format!("cache {id}: kept, {}", Bytes::of(label.size)), &object)?)
        }
        Ok(Put::There(_)) | Err(KeepError::There { .. }) => Ok(say_there()?),
        Err(error) => Err(error.into()),
    }
}
