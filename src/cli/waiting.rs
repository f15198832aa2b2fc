//! What is being waited for: a line that moves on a terminal, and elsewhere one line each time that it changes.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Between two pictures.
const EVERY: Duration = Duration::from_millis(100);

/// A wait, on standard error. Dropped, its line is gone from the terminal.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    bar: Option<ProgressBar>,
    told: String,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Waiting {
    /// Says what it waits for now.
    pub(super) fn tell(&mut self, line: &str) -> std::io::Result<()> {
        if line == self.told {
            return Ok(());
        }
        line.clone_into(&mut self.told);
        let mut out = std::io::stderr().lock();
        if !out.is_terminal() {
            return writeln!(out, "albatros: {line}");
        }
        drop(out);
        self.bar.get_or_insert_with(spinner).set_message(self.told.clone());
        Ok(())
    }
}

fn spinner() -> ProgressBar {
    // A template of ours is a good one; else the spinner's own is.
    let style = ProgressStyle::with_template("{spinner} {wide_msg} {elapsed}");
    let bar = ProgressBar::new_spinner().with_style(style.unwrap_or_else(|_wrong| ProgressStyle::default_spinner()));
    bar.enable_steady_tick(EVERY);
    bar
}
