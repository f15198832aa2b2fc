//! `albatros job`: what a script starts beside itself.

mod connect;
mod graph;
mod logs;
mod spec;
mod watch;

use std::io::Write as _;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::json;

use super::super::exit::Exit;
use super::super::say;
use super::BuildError;
use super::printed::Printed;
use crate::api::controller::Controller;
use crate::domain::duration::Span;
use crate::domain::id::JobName;
use crate::domain::job::JobSpec;
use crate::domain::job::view::JobView;

use connect::ConnectArgs;
use graph::PlanArgs;
use spec::SpecArgs;
use watch::{Interrupts, Watch};

/// How long a service may take to be ready, unless told otherwise.
const READY_WITHIN: &str = "5m";
/// How long a job that was told to stop may take to do so.
const STOPPED_WITHIN: Duration = Duration::from_secs(120);

/// In the script of a build: start other builds beside it, with images of their own, and services
///
/// A job is a build of its own: of the same commit, with its own log, in a container of its own. It is stopped when the
/// build that started it ends.
///
/// Exit codes: 0 for success; the job's own exit code where a job is waited for, 1 where it ended otherwise than by its own
/// exit code, was skipped or stopped; 2 for a wrong use; 3 if the controller does not answer; 128 and the number of the
/// signal after Ctrl-C.
#[derive(Debug, Args)]
pub(crate) struct JobArgs {
    #[command(subcommand)]
    verb: JobVerb,
}

#[derive(Debug, Subcommand)]
enum JobVerb {
    /// Start a job and print its name; a service is waited for, and its address printed
    Start(StartArgs),
    /// Start a job, follow its log and end as it does
    Run(SpecArgs),
    /// Wait for jobs to end, and for services to be ready
    Wait(WaitArgs),
    /// Print a job's log
    Logs(LogArgs),
    /// Stop jobs
    Stop(NameArgs),
    /// Print the build's jobs
    List(ListArgs),
    /// Listen on 127.0.0.1 for a service, and carry connections to it
    Connect(ConnectArgs),
    /// Run a file of jobs, in the order in which they need each other
    Plan(PlanArgs),
}

#[derive(Debug, Args)]
struct StartArgs {
    /// Do not wait for a service to be ready, and listen for it nowhere: `albatros job connect` does
    #[arg(long)]
    no_wait: bool,
    /// How long a service may take to be ready
    #[arg(long, value_name = "DURATION", default_value = READY_WITHIN)]
    ready_within: Span,
    #[command(flatten)]
    job: SpecArgs,
    #[command(flatten)]
    printed: Printed,
}

#[derive(Debug, Args)]
struct WaitArgs {
    /// Which; the exit code is that of the first one that did not succeed
    #[arg(required = true)]
    names: Vec<JobName>,
    /// Follow their logs meanwhile
    #[arg(long, conflicts_with = "json")]
    logs: bool,
    #[command(flatten)]
    printed: Printed,
}

#[derive(Debug, Args)]
struct LogArgs {
    /// Whose
    name: JobName,
    /// Go on until the job has ended, and end as it does
    #[arg(short, long)]
    follow: bool,
}

#[derive(Debug, Args)]
struct NameArgs {
    /// Which
    #[arg(required = true)]
    names: Vec<JobName>,
    /// Do not wait until they have ended
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    printed: Printed,
}

#[derive(Debug, Args)]
struct ListArgs {
    #[command(flatten)]
    printed: Printed,
}

impl JobArgs {
    /// What needs no build around it; none for all else.
    pub(super) fn run_outside(&self) -> Option<Result<Exit, BuildError>> {
        match &self.verb {
            JobVerb::Plan(args) => args.dry_run(),
            JobVerb::Start(_)
            | JobVerb::Run(_)
            | JobVerb::Wait(_)
            | JobVerb::Logs(_)
            | JobVerb::Stop(_)
            | JobVerb::List(_)
            | JobVerb::Connect(_) => None,
        }
    }
}

/// `shared`: services are on the script's own loopback, under their own ports.
pub(super) async fn run(args: &JobArgs, controller: &Controller, shared: bool) -> Result<Exit, BuildError> {
    match &args.verb {
        JobVerb::Start(args) => start(args, controller, shared).await,
        JobVerb::Run(args) => follow(args.job()?, controller).await,
        JobVerb::Wait(args) => wait(args, controller).await,
        JobVerb::Logs(args) => log(args, controller).await,
        JobVerb::Stop(args) => stop(args, controller).await,
        JobVerb::List(args) => list(args, controller).await,
        JobVerb::Connect(args) => connect::run(args, controller, shared).await,
        JobVerb::Plan(args) => graph::run(args, controller).await,
    }
}

async fn start(args: &StartArgs, controller: &Controller, shared: bool) -> Result<Exit, BuildError> {
    let job = args.job.job()?;
    let (name, port) = (job.name.clone(), job.port.filter(|_| job.service && !args.no_wait));
    // First, so that nothing is started for a port that is taken.
    let listener = port.filter(|_| !shared).map(connect::bind).transpose()?;
    controller.start_jobs(&[job]).await?;
    let Some(port) = port else {
        args.printed.say(name.as_str(), &json!({"name": name}))?;
        return Ok(Exit::Success);
    };
    let mut stops = Interrupts::listen()?;
    let mut watch = Watch::of(controller);
    let ready = tokio::select! {
        ready = watch.settled(&name, args.ready_within.get()) => ready?,
        exit = stops.next() => {
            controller.stop_job(&name).await?;
            return Ok(exit);
        }
    };
    match ready {
        Some(job) if job.ready => {
            if let Some(listener) = listener {
                connect::leave_behind(&name, listener)?;
            }
            let address = format!("127.0.0.1:{port}");
            args.printed.say(&address, &json!({"name": name, "address": address}))?;
            Ok(Exit::Success)
        }
        Some(job) => Ok(ended(&job)),
        None => {
            say(&format!("albatros: the service {name} was not ready within {}, and is stopped", args.ready_within));
            controller.stop_job(&name).await?;
            Ok(Exit::Failed)
        }
    }
}

/// Starts a job and goes along with it to its end.
async fn follow(job: JobSpec, controller: &Controller) -> Result<Exit, BuildError> {
    let name = job.name.clone();
    controller.start_jobs(&[job]).await?;
    let mut stops = Interrupts::listen()?;
    let names = [name.clone()];
    let both = async {
        let (ended, logged) = tokio::join!(last(controller, &names), logs::print(controller, &name, None, true));
        logged?;
        ended
    };
    tokio::select! {
        ended = both => ended,
        exit = stops.next() => {
            controller.stop_job(&name).await?;
            Ok(exit)
        }
    }
}

async fn wait(args: &WaitArgs, controller: &Controller) -> Result<Exit, BuildError> {
    if !args.logs {
        let exit = last(controller, &args.names).await?;
        show_jobs(controller, &args.names, args.printed).await?;
        return Ok(exit);
    }
    let printing = async {
        let prefix = args.names.len() > 1;
        let all = args.names.iter().map(|name| logs::print(controller, name, prefix.then_some(name), true));
        futures_util::future::try_join_all(all).await.map(drop)
    };
    let (exit, printed) = tokio::join!(last(controller, &args.names), async {
        tokio::select! {
            printed = printing => printed,
            // The log of a service goes on, and nobody waits for that.
            () = watch::none_open(controller, &args.names) => Ok(()),
        }
    });
    printed?;
    exit
}

/// Waits for each of them; the exit code of the first that did not succeed.
async fn last(controller: &Controller, names: &[JobName]) -> Result<Exit, BuildError> {
    let (mut watch, mut exit) = (Watch::of(controller), Exit::Success);
    for name in names {
        let job = watch.settled_at_last(name).await?;
        if !(job.success || job.ready) && exit == Exit::Success {
            exit = ended(&job);
        }
    }
    Ok(exit)
}

/// Says how a job ended that did not succeed.
fn ended(job: &JobView) -> Exit {
    let code = job.exit_status();
    if code != 0 {
        say(&format!("albatros: job {}: {}", job.name, job.words()));
    }
    Exit::Code(code)
}

async fn log(args: &LogArgs, controller: &Controller) -> Result<Exit, BuildError> {
    logs::print(controller, &args.name, None, args.follow).await?;
    if args.follow { last(controller, std::slice::from_ref(&args.name)).await } else { Ok(Exit::Success) }
}

async fn stop(args: &NameArgs, controller: &Controller) -> Result<Exit, BuildError> {
    for name in &args.names {
        controller.stop_job(name).await?;
    }
    if args.no_wait {
        show_jobs(controller, &args.names, args.printed).await?;
        return Ok(Exit::Success);
    }
    let mut watch = Watch::of(controller);
    for name in &args.names {
        if watch.ended(name, STOPPED_WITHIN).await?.is_none() {
            say(&format!("albatros: job {name} was told to stop, and has not ended yet"));
            return Ok(Exit::Failed);
        }
    }
    show_jobs(controller, &args.names, args.printed).await?;
    Ok(Exit::Success)
}

/// For programs: these jobs as they are now. People have been told meanwhile.
async fn show_jobs(controller: &Controller, names: &[JobName], printed: Printed) -> Result<(), BuildError> {
    if printed.json() {
        let shown = controller.jobs(None).await?;
        let jobs: Vec<&JobView> = shown.jobs.iter().filter(|job| names.contains(&job.name)).collect();
        writeln!(std::io::stdout(), "{}", json!(jobs))?;
    }
    Ok(())
}

async fn list(args: &ListArgs, controller: &Controller) -> Result<Exit, BuildError> {
    let shown = controller.jobs(None).await?;
    let mut out = std::io::stdout().lock();
    if args.printed.json() {
        writeln!(out, "{}", json!(shown.jobs))?;
        return Ok(Exit::Success);
    }
    let width = shown.jobs.iter().map(|job| job.name.as_str().len()).max().unwrap_or_default();
    for job in &shown.jobs {
        writeln!(out, "{:width$}  {}", job.name.as_str(), job.words())?;
    }
    Ok(Exit::Success)
}
