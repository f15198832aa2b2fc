//! `albatros vm keep`: a program that ends with the process that started it, under another user where it is told so.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use crate::cli::complain;
use crate::cli::exit::Exit;
use crate::sidecar::vm::host::{self, KeepSettings};

/// A program that ends with the one that started it
#[derive(Debug, Args)]
pub(crate) struct KeepArgs {
    /// Who started this; without it the program is not started
    #[arg(long)]
    parent: i32,
    /// Where to write which process it is
    #[arg(long)]
    mark: PathBuf,
    /// The user that it runs as, user:group[:group]
    #[arg(long)]
    user: Option<String>,
    /// The program and its arguments
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

impl KeepArgs {
    /// Becomes the program.
    pub(crate) fn run(self) -> Exit {
        let settings = KeepSettings { parent: self.parent, mark: self.mark, user: self.user, command: self.command };
        complain(&host::keep(&settings), Exit::Code(host::NOT_STARTED))
    }
}
