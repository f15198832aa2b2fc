//! `albatros vm`: a build in a microVM, in the executor's place; its images; and two verbs that only it starts itself.

mod guest;
mod image;
mod keep;
mod run;

use std::ffi::OsString;

use clap::{Args, Subcommand};

use super::exit::Exit;
use guest::GuestArgs;
use image::ImageArgs;
use keep::KeepArgs;
use run::RunArgs;

/// Without a verb: everything else is read from the environment that Nomad gives to a task
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct VmArgs {
    #[command(subcommand)]
    verb: Option<VmVerb>,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Debug, Subcommand)]
enum VmVerb {
    /// Root filesystems and kernels on this node
    Image(ImageArgs),
    /// The machine's first process; started by its kernel alone
    #[command(hide = true)]
    Guest(GuestArgs),
    /// A program that ends with the one that started it
    #[command(hide = true)]
    Keep(KeepArgs),
}

impl VmArgs {
    /// The machine's first process.
    pub(super) fn guest(pause: bool) -> Self {
        Self { verb: Some(VmVerb::Guest(GuestArgs::of_machine(pause))), run: RunArgs::default() }
    }

    /// Runs what was typed.
    pub(crate) fn run(self, vars: impl IntoIterator<Item = (OsString, OsString)>) -> Exit {
        match self.verb {
            None => self.run.run(vars),
            Some(VmVerb::Image(args)) => args.run(),
            Some(VmVerb::Guest(args)) => args.run(),
            Some(VmVerb::Keep(args)) => args.run(),
        }
    }
}
