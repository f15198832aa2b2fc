//! What can be typed: one file a verb group. What it means is read in [`settings`].

mod build;
mod builder;
mod client;
mod completions;
mod controller;
mod dev;
mod exec;
pub mod exit;
mod explain;
mod log;
mod machine;
mod params;
mod question;
mod repo;
mod run;
mod serve;
pub mod settings;
mod short;
mod sidecar;
mod table;
mod vm;
mod waiting;

use clap::{CommandFactory as _, Parser, Subcommand};

use build::BuildVerb;
use builder::BuilderVerb;
use client::ClientVerb;
use completions::CompletionsArgs;
use controller::ControllerArgs;
use dev::DevArgs;
use exec::{ExecArgs, SuperviseArgs};
use exit::Exit;
use repo::RepoArgs;
use run::RunArgs;
use serve::ServeArgs;
use sidecar::SidecarArgs;
use vm::VmArgs;

/// A CI for people who run Nomad
#[derive(Debug, Parser)]
#[command(name = "albatros", version, args_conflicts_with_subcommands = true, after_help = exit::EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    serve: ServeArgs,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Take webhooks, dispatch builds, post statuses (also without a verb)
    Serve(ServeArgs),
    /// Serve working copies on this machine, and build each new commit
    Dev(DevArgs),
    /// Build a working copy as it stands, without a server
    Run(RunArgs),
    /// In the controller task of a build: serve the API that its script asks
    Controller(ControllerArgs),
    /// In the executor task of a build: run .albatros, and check COMMIT out where nobody else has
    Exec(ExecArgs),
    /// In the executor task of a build: the same in a virtual machine of its own
    Vm(Box<VmArgs>),
    /// Beside the script of a build: keep its files below their limit
    Sidecar(SidecarArgs),
    /// The parent of a build on this machine; started by dev and run alone
    #[command(hide = true)]
    Supervise(SuperviseArgs),
    #[command(flatten)]
    Build(BuildVerb),
    #[command(flatten)]
    Client(ClientVerb),
    Explain(explain::ExplainArgs),
    /// Check, register, list and show builders
    #[command(subcommand)]
    Builder(BuilderVerb),
    /// Register repositories: their entries in Consul and their webhooks
    Repo(RepoArgs),
    /// Print what a shell needs to complete verbs and options
    Completions(CompletionsArgs),
}

/// Parses what was typed and runs it. Says on standard error what went wrong.
#[must_use]
pub fn main() -> Exit {
    let words: Vec<_> = std::env::args_os().collect();
    if let Some(verb) = words.get(1..).and_then(short::verb) {
        return run(verb);
    }
    let cli = match Cli::try_parse_from(builder::spelled(words.into_iter())) {
        Ok(cli) => cli,
        Err(error) => {
            // clap's own codes: 0 for help and version, 2 for wrong use.
            let wrong = error.use_stderr();
            return match error.print() {
                Ok(()) if wrong => Exit::Usage,
                Ok(()) => Exit::Success,
                Err(_no_output) => Exit::Infra,
            };
        }
    };
    match cli.verb {
        None => roles(serve::run(cli.serve)),
        Some(verb) => run(verb),
    }
}

fn run(verb: Verb) -> Exit {
    match verb {
        Verb::Serve(args) => roles(serve::run(args)),
        Verb::Explain(args) => match explain::run(&args) {
            Ok(code) => Exit::Code(code),
            Err(error) => complain(&error, Exit::Infra),
        },
        Verb::Repo(args) => roles(async {
            match args.run(&settings::process).await {
                Ok(exit) => exit,
                Err(error) => complain(&error, error.exit()),
            }
        }),
        Verb::Completions(args) => match args.run(Cli::command()) {
            Ok(()) => Exit::Success,
            Err(error) => complain(&error, Exit::Infra),
        },
        Verb::Dev(args) => {
            log::start(&quiet);
            roles(args.run(&settings::process))
        }
        Verb::Run(args) => {
            log::start(&quiet);
            roles(args.run(&settings::process))
        }
        Verb::Controller(args) => {
            log::start(&settings::process);
            in_build(args.run(&settings::process))
        }
        Verb::Build(verb) => in_build(async {
            match build::run(&verb, &settings::process).await {
                Ok(exit) => exit,
                Err(error) => complain(&error, error.exit()),
            }
        }),
        Verb::Exec(args) => args.run(std::env::vars_os()),
        Verb::Vm(args) => args.run(std::env::vars_os()),
        Verb::Sidecar(args) => args.run(std::env::vars_os()),
        Verb::Supervise(args) => in_build(args.run(std::env::vars_os())),
        Verb::Builder(verb) => roles(async {
            match builder::run(verb, &settings::process).await {
                Ok(exit) => exit,
                Err(error) => complain(&error, error.exit()),
            }
        }),
        Verb::Client(verb) => roles(async {
            match client::run(verb, &settings::process).await {
                Ok(exit) => exit,
                Err(error) => complain(&error, error.exit()),
            }
        }),
    }
}

/// On a developer's terminal only what is wrong is logged, unless ALBATROS_LOG says otherwise.
fn quiet(name: &str) -> Option<String> {
    let set = settings::process(name).filter(|value| !value.is_empty());
    set.or_else(|| (name == "ALBATROS_LOG").then(|| "warn".to_owned()))
}

/// Runs a role on the asynchronous runtime.
fn roles(role: impl Future<Output = Exit>) -> Exit {
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(role),
        Err(error) => complain(&error, Exit::Infra),
    }
}

/// The same on one thread: a process for each build starts faster and stays small. When its answer is there, what it has
/// left to other threads is not waited for: who was told to stop is killed soon.
fn in_build(role: impl Future<Output = Exit>) -> Exit {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            let exit = runtime.block_on(role);
            runtime.shutdown_background();
            exit
        }
        Err(error) => complain(&error, Exit::Infra),
    }
}

/// An error and its causes, on one line of standard error; nothing where a reader such as `head` has what it wanted.
fn complain(error: &(dyn std::error::Error + 'static), exit: Exit) -> Exit {
    let mut line = format!("albatros: {error}");
    if is_broken_pipe(error) {
        return exit;
    }
    let mut cause = error.source();
    while let Some(error) = cause {
        if is_broken_pipe(error) {
            return exit;
        }
        line.push_str(&format!(": {error}"));
        cause = error.source();
    }
    say(&line);
    exit
}

fn is_broken_pipe(error: &(dyn std::error::Error + 'static)) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

fn say(line: &str) {
    use std::io::Write as _;
    // Nobody is left to be told when standard error is closed.
    drop(writeln!(std::io::stderr().lock(), "{line}"));
}
