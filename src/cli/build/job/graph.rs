//! `albatros job plan`

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use serde_json::json;

use super::super::super::exit::Exit;
use super::super::super::say;
use super::super::BuildError;
use super::super::printed::Printed;
use super::logs;
use super::watch::{Interrupts, Watch};
use super::{STOPPED_WITHIN, show_jobs};
use crate::api::controller::Controller;
use crate::domain::id::JobName;
use crate::domain::job::graph::Graph;
use crate::domain::job::plan::{self, PLAN_MOST};
use crate::domain::job::view::{JobView, green};
use crate::domain::job::{JobSpec, When};

#[derive(Debug, Args)]
pub(super) struct PlanArgs {
    /// A file of jobs, YAML or JSON; - reads standard input
    file: PathBuf,
    /// Only check it and show what it would do, in a build or outside of one
    #[arg(long)]
    dry_run: bool,
    /// Print the logs of all jobs, each line behind the name of its job
    #[arg(long, conflicts_with = "json")]
    logs: bool,
    #[command(flatten)]
    printed: Printed,
}

impl PlanArgs {
    /// Shows the plan, where that is all that was asked for.
    pub(super) fn dry_run(&self) -> Option<Result<Exit, BuildError>> {
        self.dry_run.then(|| {
            let graph = self.graph()?;
            if self.printed.json() {
                let stages = graph.stages();
                writeln!(std::io::stdout(), "{}", json!(stages))?;
            } else {
                show(&graph)?;
            }
            Ok(Exit::Success)
        })
    }

    fn graph(&self) -> Result<Graph, BuildError> {
        let wrong = |why: String| BuildError::Usage(format!("{}: {why}", self.file.display()));
        let mut text = String::new();
        let most = PLAN_MOST as u64 + 1;
        let read = if self.file.as_os_str() == "-" {
            std::io::stdin().lock().take(most).read_to_string(&mut text)
        } else {
            std::fs::File::open(&self.file).and_then(|file| file.take(most).read_to_string(&mut text))
        };
        read.map_err(|error| wrong(error.to_string()))?;
        let jobs = plan::read(&text).map_err(|error| wrong(error.to_string()))?;
        Graph::check(jobs, &[]).map_err(|error| wrong(error.to_string()))
    }
}

fn show(graph: &Graph) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for (number, stage) in graph.stages().iter().enumerate() {
        writeln!(out, "stage {}", number + 1)?;
        for job in stage {
            writeln!(out, "  {}: {}", job.name, described(job))?;
        }
    }
    Ok(())
}

fn described(job: &JobSpec) -> String {
    let mut words = vec![match (&job.script, job.command.as_slice()) {
        (Some(script), _) => format!("a script of {} lines", script.lines().count()),
        (None, []) => ".albatros".to_owned(),
        (None, command) => command.join(" ").chars().filter(|c| !c.is_control()).take(80).collect(),
    }];
    let mut add = |when: bool, text: String| {
        if when {
            words.push(text)
        }
    };
    add(job.image.is_some(), format!("in {}", job.image.as_deref().unwrap_or_default()));
    add(job.service, format!("serves on port {}", job.port.unwrap_or_default()));
    let needs = job.needs.iter().map(JobName::as_str).collect::<Vec<_>>().join(", ");
    let when = match job.when {
        When::Success => "",
        When::Failure => ", if one of them fails",
        When::Always => ", however they end",
    };
    add(!job.needs.is_empty(), format!("after {needs}{when}"));
    add(job.hold, "held until a person approves it".to_owned());
    add(job.stop_rest, "ends the rest when it fails".to_owned());
    words.join("; ")
}

pub(super) async fn run(args: &PlanArgs, controller: &Controller) -> Result<Exit, BuildError> {
    let jobs = args.graph()?.into_jobs();
    let names: Vec<JobName> = jobs.iter().map(|job| job.name.clone()).collect();
    controller.start_jobs(&jobs).await?;
    let mut stops = Interrupts::listen()?;
    let printing = async {
        let wanted = names.iter().filter(|_| args.logs);
        let mut all: FuturesUnordered<_> = wanted.map(|name| logs::print(controller, name, Some(name), true)).collect();
        // A log that cannot be read is no reason to leave the jobs alone.
        while let Some(printed) = all.next().await {
            if let Err(error) = printed {
                say(&format!("albatros: a job's log cannot be read: {error}"));
            }
        }
    };
    let both = async {
        let (ended, ()) = tokio::join!(to_the_end(controller, &names), printing);
        ended
    };
    tokio::select! {
        ended = both => {
            let exit = ended?;
            show_jobs(controller, &names, args.printed).await?;
            Ok(exit)
        }
        exit = stops.next() => {
            say("albatros: interrupted: the plan's jobs are stopped");
            for name in &names {
                controller.stop_job(name).await?;
            }
            Ok(exit)
        }
    }
}

/// Says how each job goes, stops the services when nobody needs them any more, and gives the verdict.
async fn to_the_end(controller: &Controller, names: &[JobName]) -> Result<Exit, BuildError> {
    let (mut watch, mut told) = (Watch::of(controller), Told::default());
    let mut stopped: Option<Instant> = None;
    loop {
        let shown = watch.next().await?;
        let jobs: Vec<&JobView> = shown.jobs.iter().filter(|job| names.contains(&job.name)).collect();
        jobs.iter().for_each(|job| told.tell(job));
        if let Some(green) = green(jobs.iter().copied()) {
            return Ok(told.verdict(green, &jobs));
        }
        if stopped.is_some_and(|at| at.elapsed() > STOPPED_WITHIN) {
            say("albatros: a service of the plan was told to stop, and has not ended");
            return Ok(Exit::Failed);
        }
        if stopped.is_none() && jobs.iter().all(|job| job.settled()) {
            for job in jobs.iter().filter(|job| !job.ended) {
                controller.stop_job(&job.name).await?;
            }
            stopped = Some(Instant::now());
        }
    }
}

/// What has been said of each job.
#[derive(Default)]
struct Told(BTreeMap<JobName, (String, Instant)>);

impl Told {
    fn tell(&mut self, job: &JobView) {
        let words = job.words();
        let now = (words.clone(), Instant::now());
        match self.0.get_mut(&job.name) {
            Some((said, _)) if *said == words => return,
            Some((said, since)) => {
                if said == "waiting" {
                    *since = Instant::now();
                }
                *said = words.clone();
                let took = since.elapsed().as_secs();
                let after = if job.ended && job.state != "skipped" { format!(" after {took}s") } else { String::new() };
                say(&format!("albatros: {}: {words}{after}", job.name));
                return;
            }
            None => {}
        }
        // That it waits needs no saying.
        if job.state != "waiting" {
            say(&format!("albatros: {}: {words}", job.name));
        }
        self.0.insert(job.name.clone(), now);
    }

    fn verdict(&self, green: bool, jobs: &[&JobView]) -> Exit {
        if green {
            say(&format!("albatros: plan: success, {} jobs", jobs.len()));
            return Exit::Success;
        }
        let bad = jobs.iter().filter(|job| !job.success && !job.needless);
        let bad: Vec<_> = bad.map(|job| format!("{}: {}", job.name, job.words())).collect();
        say(&format!("albatros: plan: failure; {}", bad.join("; ")));
        Exit::Failed
    }
}
