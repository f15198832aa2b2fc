//! `albatros completions SHELL`: a script for the shell, on standard output.

use std::io::Write as _;

use clap::Args;
use clap_complete::Shell;

/// Which shell.
#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

impl CompletionsArgs {
    /// Prints the completions of `command`, which is all that can be typed.
    pub(super) fn run(&self, command: clap::Command) -> std::io::Result<()> {
        // Not the verbs that are no people's: the library would offer them all the same.
        let visible = command.get_subcommands().filter(|verb| !verb.is_hide_set()).cloned().collect::<Vec<_>>();
        let options = command.get_arguments().cloned().collect::<Vec<_>>();
        let mut command = clap::Command::new("albatros").args(options).subcommands(visible);
        // Made whole first: the library does not take a reader that goes away.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, "albatros", &mut script);
        let mut out = std::io::stdout().lock();
        out.write_all(&script)?;
        out.flush()
    }
}
