//! Parses what was typed, starts logging, runs the role and maps its failure to an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    albatros::cli::main().into()
}
