//! `albatros vm guest`: the machine's first process.

use clap::Args;

use crate::cli::exit::Exit;

/// The machine's first process
#[derive(Debug, Args)]
pub(crate) struct GuestArgs {
    /// Not the kernel's first process, but that of a container that is a machine
    #[arg(long, value_name = "krun")]
    inside: Option<String>,
}

impl GuestArgs {
    /// Nothing yet.
    pub(crate) fn run(self) -> Exit {
        let _ = self.inside;
        Exit::Usage
    }
}
