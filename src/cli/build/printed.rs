//! What a verb in a build prints: a line for people, or one JSON object for programs.

use std::io::Write as _;

use clap::Args;
use serde_json::Value;

/// How it is printed.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Printed {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Printed {
    /// What is for programs.
    pub(super) fn json(self) -> bool {
        self.json
    }

    /// Prints one of both.
    pub(super) fn say(self, line: &str, object: &Value) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        if self.json { writeln!(out, "{object}") } else { writeln!(out, "{line}") }
    }
}
