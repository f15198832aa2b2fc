//! `albatros vm image …`: root filesystems and kernels on this node.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use clap::{Args, Subcommand};
use indicatif::BinaryBytes;
use jiff::{Timestamp, Unit};
use serde_json::{Value, json};

use crate::cli::exit::Exit;
use crate::cli::settings::{self, Environment};
use crate::cli::table::table;
use crate::cli::waiting::Waiting;
use crate::cli::{complain, roles};
use crate::sidecar::vm::image::{Image, ImageError, Listed, Making, Removed, Sought, Source, Store};

/// Where images are, unless it is said.
const STORE: &str = "/var/lib/albatros/vm";
/// So many digits of a digest are shown to people.
const SHOWN: usize = 12;

/// Root filesystems and kernels on this node
#[derive(Debug, Args)]
pub(crate) struct ImageArgs {
    /// Where they are kept [ALBATROS_VM_STORE, default /var/lib/albatros/vm]
    #[arg(id = "image_store", long = "store", value_name = "DIR", global = true)]
    store: Option<PathBuf>,
    #[command(subcommand)]
    verb: ImageVerb,
}

#[derive(Debug, Subcommand)]
enum ImageVerb {
    /// Make an image, so that builds need not wait for it; a name that is there already leads to the new one
    Build(BuildArgs),
    /// List the images
    List(ListArgs),
    /// Remove a name, and with its last name an image
    Remove(RemoveArgs),
}

#[derive(Debug, Args)]
struct BuildArgs {
    /// docker:NAME, podman:NAME, oci:DIR|FILE[:TAG], tar:FILE, - (an archive on standard input), or registry/name:tag
    source: String,
    /// What builds call it; else what the source calls it
    #[arg(long)]
    name: Option<String>,
    /// The kernel that boots it; else the newest in /boot that has modules
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,
    /// The kernel's modules; else those in /lib/modules
    #[arg(long, value_name = "DIR")]
    modules: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ListArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct RemoveArgs {
    /// A name, or a digest or its first digits
    #[arg(value_name = "NAME|DIGEST")]
    image: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Why a verb did not come to its end.
#[derive(Debug, thiserror::Error)]
enum VerbError {
    #[error(transparent)]
    Image(#[from] ImageError),
    #[error("nothing can be written to standard output")]
    Output(#[from] std::io::Error),
}

impl ImageArgs {
    /// Runs the verb.
    pub(crate) fn run(self) -> Exit {
        roles(async {
            match self.verb(&settings::process).await {
                Ok(()) => Exit::Success,
                Err(VerbError::Image(error)) if error.is_usage() => complain(&error, Exit::Usage),
                Err(VerbError::Image(error)) => complain(&error, Exit::Infra),
                Err(error @ VerbError::Output(_)) => complain(&error, Exit::Infra),
            }
        })
    }

    async fn verb(self, env: Environment<'_>) -> Result<(), VerbError> {
        let set = |name: &str| env(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let dir = self.store.or_else(|| set("ALBATROS_VM_STORE")).unwrap_or_else(|| STORE.into());
        let store = Store::open(&dir)?;
        match self.verb {
            ImageVerb::Build(args) => args.run(&store, env).await,
            ImageVerb::List(args) => args.run(&store),
            ImageVerb::Remove(args) => args.run(&store),
        }
    }
}

impl BuildArgs {
    async fn run(self, store: &Store, env: Environment<'_>) -> Result<(), VerbError> {
        let source: Source = self.source.parse()?;
        let name = self.name.clone().or_else(|| source.name()).unwrap_or_default();
        let waiting = Arc::new(Mutex::new(Waiting::default()));
        let shown = Arc::clone(&waiting);
        let told = move |line: &str| {
            // Nobody is left to be told when standard error is closed.
            let _ = shown.lock().unwrap_or_else(PoisonError::into_inner).tell(line);
        };
        let making = Making {
            kernel: Sought { kernel: self.kernel, modules: self.modules },
            name: self.name,
            docker_config: docker_config(env),
            told: Arc::new(told),
        };
        let image = store.build(&source, &making).await;
        drop(making);
        drop(waiting);
        print(&line(&image?, &name, self.json))
    }
}

fn line(image: &Image, name: &str, is_json: bool) -> String {
    if is_json {
        let kernel = image.kernel_version();
        return json!({"name": name, "digest": image.digest, "names": image.names, "kernel": kernel}).to_string();
    }
    format!("{name} is {}, booted by {}", short(&image.digest), image.kernel_version())
}

impl ListArgs {
    fn run(self, store: &Store) -> Result<(), VerbError> {
        let images = store.list()?;
        if self.json {
            let all: Value = images.iter().map(object).collect();
            return print(&format!("{all:#}"));
        }
        if images.is_empty() {
            return print("no images on this node; albatros vm image build SOURCE");
        }
        let mut table = table();
        for image in &images {
            let names = if image.names.is_empty() { "-".to_owned() } else { image.names.join(", ") };
            let used = if image.used { "used" } else { "" };
            let kernel = if image.kernel.is_empty() { "no kernel" } else { &image.kernel };
            table.add_row([
                &names,
                short(&image.digest),
                &BinaryBytes(image.size).to_string(),
                &made(image),
                kernel,
                used,
            ]);
        }
        print(&table.trim_fmt())
    }
}

fn object(image: &Listed) -> Value {
    json!({
        "digest": image.digest, "names": image.names, "size": image.size, "entries": image.entries,
        "kernel": image.kernel, "made": made(image), "used": image.used,
    })
}

fn made(image: &Listed) -> String {
    let made = image.made.and_then(|time| Timestamp::try_from(time).ok());
    made.and_then(|time| time.round(Unit::Second).ok()).map(|time| time.to_string()).unwrap_or_default()
}

impl RemoveArgs {
    fn run(self, store: &Store) -> Result<(), VerbError> {
        let removed = store.remove(&self.image)?;
        let line = match removed {
            Removed::Name if self.json => json!({"removed": "name"}).to_string(),
            Removed::Image(size) if self.json => json!({"removed": "image", "size": size}).to_string(),
            Removed::Name => format!("{} is no name any more; its image has others", self.image),
            Removed::Image(size) => format!("{} is removed, {}", self.image, BinaryBytes(size)),
        };
        print(&line)
    }
}

fn short(digest: &str) -> &str {
    digest.get(..SHOWN).unwrap_or(digest)
}

/// Where docker keeps who asks which registry.
pub(crate) fn docker_config(env: Environment<'_>) -> Option<PathBuf> {
    let set = |name: &str| env(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let dir = set("DOCKER_CONFIG").or_else(|| set("HOME").map(|home| home.join(".docker")));
    dir.map(|dir| dir.join("config.json"))
}

fn print(text: &str) -> Result<(), VerbError> {
    use std::io::Write as _;
    let shown: String = text.chars().filter(|char| *char == '\n' || !char.is_control()).collect();
    Ok(writeln!(std::io::stdout().lock(), "{}", shown.trim_end())?)
}
