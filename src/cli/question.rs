//! A question to a person at a terminal.

use std::io::{BufRead as _, Write as _};

/// Whether the person says yes; anything else is no.
pub(super) fn agreed(question: &str) -> std::io::Result<bool> {
    write!(std::io::stderr().lock(), "{question} [y/N] ")?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
