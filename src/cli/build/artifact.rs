//! `albatros artifact put|get|list`

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
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
use crate::sidecar::keep::{self, Counter};
use crate::sidecar::pack::{Limits, Selection};

/// In the script of a build: keep files, and fetch what was kept
///
/// Exits with 0; 1 if there is no such artifact; 2 for a wrong use, for files that are not taken, and for a name that is
/// taken; 3 if nothing answers for five minutes, or nothing keeps artifacts.
#[derive(Debug, Args)]
pub(crate) struct ArtifactArgs {
    #[command(subcommand)]
    verb: ArtifactVerb,
}

#[derive(Debug, Subcommand)]
enum ArtifactVerb {
    /// Keep files and directories beneath this one under a name, once
    ///
    /// A single file is kept as it is, everything else as an archive (tar, compressed with zstd) with its names as seen
    /// from here. What is no file, directory or link is refused, and so are links that lead outward.
    Put(PutArgs),
    /// Fetch what was kept, and check it
    Get(GetArgs),
    /// What this build has kept so far, one a line: name, size, SHA-256
    List(ListArgs),
}

#[derive(Debug, Args)]
struct PutArgs {
    /// Under which it is found: 1 to 64 of A-Z a-z 0-9 . _ -
    name: BlobId,
    /// What
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// When the script has ended with 0, as it is then; if it cannot be kept, the build has failed
    #[arg(long)]
    at_end: bool,
    /// However the script has ended
    #[arg(long, requires = "at_end")]
    always: bool,
    #[command(flatten)]
    printed: Printed,
}

#[derive(Debug, Args)]
struct GetArgs {
    /// Which
    name: BlobId,
    /// Where to
    #[arg(default_value = ".")]
    dir: PathBuf,
    #[command(flatten)]
    from: FromArgs,
    #[command(flatten)]
    printed: Printed,
}

#[derive(Debug, Args)]
struct ListArgs {
    #[command(flatten)]
    from: FromArgs,
    #[command(flatten)]
    printed: Printed,
}

#[derive(Debug, Args)]
struct FromArgs {
    /// Of an earlier build: the newest green one of this ref and flavor
    #[arg(long, value_enum)]
    from: Option<Earlier>,
    /// Of this branch instead
    #[arg(long, requires = "from")]
    branch: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Earlier {
    LatestGreen,
}

impl FromArgs {
    fn wanted(&self) -> Wanted {
        let latest_green = matches!(self.from, Some(Earlier::LatestGreen));
        Wanted { latest_green, branch: self.branch.clone(), fallback: Vec::new() }
    }
}

pub(super) async fn run(
    args: &ArtifactArgs,
    controller: &Controller,
    environment: Environment<'_>,
) -> Result<Exit, BuildError> {
    match &args.verb {
        ArtifactVerb::Put(args) if args.at_end => at_end(args, controller, environment).await,
        ArtifactVerb::Put(args) => put(args, controller).await,
        ArtifactVerb::Get(args) => get(args, controller).await,
        ArtifactVerb::List(args) => list(args, controller).await,
    }
}

async fn put(args: &PutArgs, controller: &Controller) -> Result<Exit, BuildError> {
    let selection = Selection::beneath(&place::here()?, &args.paths, Limits::default())?;
    let counter = Counter::default();
    let work = keep::upload(controller, (BlobKind::Artifact, &args.name), &selection, &counter);
    let (Put::Kept(label) | Put::There(label)) = progress::shown(args.name.as_str(), &counter, work).await?;
    let object = json!({"id": args.name, "size": label.size, "sha256": label.sha256, "packing": label.packing});
    args.printed.say(&format!("artifact {}: kept, {}", args.name, Bytes::of(label.size)), &object)?;
    Ok(Exit::Success)
}

async fn at_end(args: &PutArgs, controller: &Controller, environment: Environment<'_>) -> Result<Exit, BuildError> {
    let when = if args.always { When::Always } else { When::Success };
    let (dir, paths) = place::in_workspace(environment, &args.paths)?;
    let save = Save { kind: BlobKind::Artifact, id: args.name.clone(), paths, when, dir };
    controller.save(&save).await?;
    let object = json!({"id": args.name, "when": when});
    args.printed.say(&format!("artifact {}: will be kept when the script has ended", args.name), &object)?;
    Ok(Exit::Success)
}

async fn get(args: &GetArgs, controller: &Controller) -> Result<Exit, BuildError> {
    let (counter, wanted) = (Counter::default(), args.from.wanted());
    let dir: &Path = &args.dir;
    let work = keep::fetch(controller, (BlobKind::Artifact, &args.name), &wanted, dir, &counter);
    let Some(fetched) = progress::shown(args.name.as_str(), &counter, work).await? else {
        say(&format!("albatros: there is no artifact {}", args.name));
        return Ok(Exit::Failed);
    };
    let (entries, size) = (fetched.packed.entries, Bytes::of(fetched.packed.bytes));
    let word = if entries == 1 { "file" } else { "files" };
    let object = json!({"id": args.name, "entries": entries, "bytes": fetched.packed.bytes, "directory": dir});
    args.printed.say(&format!("artifact {}: {entries} {word}, {size}, in {}", args.name, dir.display()), &object)?;
    Ok(Exit::Success)
}

async fn list(args: &ListArgs, controller: &Controller) -> Result<Exit, BuildError> {
    let listed = controller.artifacts(&args.from.wanted()).await?;
    let mut out = std::io::stdout().lock();
    if args.printed.json() {
        writeln!(out, "{}", json!(listed))?;
        return Ok(Exit::Success);
    }
    for artifact in listed {
        writeln!(out, "{}\t{}\t{}", artifact.id, artifact.size, artifact.sha256)?;
    }
    Ok(Exit::Success)
}
