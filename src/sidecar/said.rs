//! What the tasks of a build say in their logs: lines for people, on standard error.

use std::io::Write as _;

/// One line in the task's log.
pub(super) fn say(line: &str) {
    // Nobody is left to be told when the log itself cannot be written.
    let _ = writeln!(std::io::stderr(), "albatros: {line}");
}

/// An error and its causes, on one line.
pub(super) fn reasons(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}
