//! `albatros vm image`

use clap::Args;

use crate::cli::exit::Exit;

/// Root filesystems and kernels on this node
#[derive(Debug, Args)]
pub(crate) struct ImageArgs {}

impl ImageArgs {
    /// Nothing yet.
    pub(crate) fn run(self) -> Exit {
        Exit::Usage
    }
}
