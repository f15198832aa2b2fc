//! What a runner group adds to a bare executor: from the hook to the script's first line, on Nomad.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use albatros::domain::elf;
use axum::body::Body;
use axum::response::Response;
use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cluster::{Cluster, task};
use crate::delivery::{SECRET, Template};
use crate::fake::wire::{Call, Service, Wire, text};
use crate::local::{git, repository};
use crate::report::{Report, median, ms};
use crate::script::{hook, script_began};
use crate::server::{PROGRAM, Server};

/// Builds of each kind, by turns, so that a machine that slows down slows all.
const ROUNDS: u64 = 8;
const AIM: Duration = Duration::from_millis(150);
const PRINT: &str = "date +%s%N";

/// A small repository, served as files over HTTP.
#[derive(Debug)]
struct Served {
    wire: Wire,
    commit: String,
    _folder: TempDir,
}

#[derive(Debug)]
struct Files(PathBuf);

impl Service for Files {
    async fn answer(self: Arc<Self>, call: Call) -> Response {
        match std::fs::read(self.0.join(call.path.trim_start_matches('/'))) {
            Ok(bytes) => Response::new(Body::from(bytes)),
            Err(_) => text(404, "not found\n"),
        }
    }
}

impl Served {
    async fn start() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let (copy, bare) = (folder.path().join("copy"), folder.path().join("served/repo.git"));
        let commit = repository(&copy, &format!("#!/bin/sh\n{PRINT}\n"))?;
        git(&copy, &["clone", "--quiet", "--bare", ".", &bare.to_string_lossy()])?;
        git(&bare, &["update-server-info"])?;
        let wire = Wire::start(Arc::new(Files(folder.path().join("served")))).await;
        Ok(Self { wire, commit, _folder: folder })
    }
}

pub(crate) async fn measure(report: &mut Report) -> anyhow::Result<()> {
    let Some(mut cluster) = Cluster::given()? else {
        report.note("skipped: a runner group against a bare executor (NOMAD_ADDR and CONSUL_HTTP_ADDR are not set)");
        return Ok(());
    };
    let measured = on_nomad(&mut cluster, report).await;
    cluster.clear().await?;
    measured
}

async fn on_nomad(cluster: &mut Cluster, report: &mut Report) -> anyhow::Result<()> {
    let served = Served::start().await?;
    let server = cluster.serve().await?;
    let mut kinds = vec![("bare", Vec::new()), ("idle", Vec::new()), ("installed", Vec::new())];
    let program = std::fs::read(PROGRAM)?;
    if program.get(..elf::HEAD).is_some_and(elf::is_static) {
        kinds.push(("fetched", Vec::new()));
    } else {
        report.note("skipped: a runner group that fetches albatros (this one is not static)");
    }
    register(cluster, &server, &served, &kinds).await?;
    let template = Template::new(&format!("{}/repo.git", served.wire.url()), Some(&served.commit))?;
    for round in 0..=ROUNDS {
        for (kind, times) in &mut kinds {
            let began = Timestamp::now();
            let build = hook(&server, &format!("?flavor={kind}"), &template.body(round), SECRET).await?;
            let took = script_began(&cluster.log(&cluster.ended(&build).await?).await?, began)?;
            // The first of each warms up.
            if round > 0 {
                times.push(took);
            }
        }
    }
    let middle = |kind: &str| kinds.iter().find(|(name, _)| *name == kind).map(|(_, times)| median(times));
    let (bare, idle) = (middle("bare").unwrap_or_default(), middle("idle").unwrap_or_default());
    for (kind, what) in [
        ("idle", "four tasks that do nothing"),
        ("installed", "runner group"),
        ("fetched", "runner group, albatros fetched"),
    ] {
        let Some(ours) = middle(kind) else { continue };
        let ratio = ours.as_secs_f64() / bare.as_secs_f64();
        let more = ours.saturating_sub(bare);
        let row = report.row(format!("hook to the script's first line, Nomad, {what} (median of {ROUNDS})"), ms(ours));
        let row = row.against(format!("bare executor {}, + {}", ms(bare), ms(more)), ratio);
        if kind == "installed" {
            drop(row.aim("< 150 ms more", more < AIM));
            report
                .row("of that: session, checkout and the rest of ours", ms(ours.saturating_sub(idle)))
                .against(format!("four idle tasks {}", ms(idle)), ours.as_secs_f64() / idle.as_secs_f64());
        }
    }
    Ok(())
}

/// A builder for each kind, which is a flavor of the one repository.
async fn register(
    cluster: &mut Cluster,
    server: &Server,
    served: &Served,
    kinds: &[(&str, Vec<Duration>)],
) -> anyhow::Result<()> {
    let mut flavors = serde_json::Map::new();
    for (kind, _) in kinds {
        let name = cluster.name(&format!("prepare-{kind}"));
        match *kind {
            "bare" => cluster.job(&name, &[task("executor", PRINT)]).await?,
            "idle" => cluster.job(&name, &idle()).await?,
            installed => {
                let program = if installed == "installed" { PROGRAM } else { "" };
                let variables = format!(
                    "server = \"http://{}\"\nalbatros = \"{program}\"\ndriver = \"raw_exec\"\ndisk = 1200\nnamespace = {:?}\n",
                    server.address,
                    cluster.namespace()
                );
                cluster.hcl(&name, include_str!("../../hcl/exec.hcl"), &variables).await?;
            }
        }
        flavors.insert((*kind).to_owned(), Value::from(name));
    }
    let config = json!({ "hook": { "secret": SECRET }, "builders": { "flavors": flavors }, "private": false });
    cluster.configure(&format!("{}/repo.git", served.wire.url()), &config).await
}

/// The tasks of a runner group, which do nothing.
fn idle() -> Vec<Value> {
    let before = |sidecar: bool| json!({ "Hook": "prestart", "Sidecar": sidecar });
    vec![
        with(task("controller", "exec sleep 60"), "Lifecycle", before(true)),
        with(task("sidecar", "exec sleep 60"), "Lifecycle", before(true)),
        with(task("prepare", "true"), "Lifecycle", before(false)),
        with(task("executor", PRINT), "Leader", true.into()),
    ]
}

fn with(mut task: Value, name: &str, value: Value) -> Value {
    if let Some(fields) = task.as_object_mut() {
        fields.insert(name.to_owned(), value);
    }
    task
}
