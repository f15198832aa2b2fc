//! `albatros vm guest`: the machine's first process.

use clap::{Args, ValueEnum};

use crate::cli::exit::Exit;
use crate::sidecar::vm::guest::{self, Inside};

/// The machine's first process
#[derive(Debug, Args)]
pub(crate) struct GuestArgs {
    /// Not the kernel's first process, but that of a container that is a machine
    #[arg(long)]
    inside: Option<Container>,
    /// Wait, once the machine is up, to be begun from there
    #[arg(long, conflicts_with = "inside")]
    pause: bool,
}

/// What makes a container a machine.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Container {
    /// crun's krun, by podman
    Krun,
}

impl GuestArgs {
    /// That of a machine.
    pub(super) fn of_machine(pause: bool) -> Self {
        Self { inside: None, pause }
    }

    /// Runs until the machine is to be switched off; in a machine it does not return.
    pub(crate) fn run(self) -> Exit {
        let inside = match self.inside {
            None if self.pause => Inside::Paused,
            None => Inside::Machine,
            Some(Container::Krun) => Inside::Krun,
        };
        Exit::Code(guest::run(inside))
    }
}
