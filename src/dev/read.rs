//! What the developer sees: builds' output as it comes, and our own lines.

use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use crate::engine::LogStream;

/// Standard output and standard error, a whole line at a time where several builds share them.
#[derive(Debug, Clone, Default)]
pub struct Terminal {
    turn: Arc<Mutex<()>>,
}

impl Terminal {
    /// One line of our own, on standard output like the script's, so that it comes where it belongs.
    pub fn say(&self, line: &str) {
        self.write(LogStream::Stdout, format!("albatros: {line}\n").as_bytes());
    }

    fn write(&self, stream: LogStream, bytes: &[u8]) {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        // A terminal that is gone is no reason to end a build.
        let _ = match stream {
            LogStream::Stdout => {
                let mut out = std::io::stdout().lock();
                out.write_all(bytes).and_then(|()| out.flush())
            }
            LogStream::Stderr => std::io::stderr().lock().write_all(bytes),
        };
    }

    /// A printer for one stream of one build.
    #[must_use]
    pub(super) fn printer(&self, stream: LogStream, prefix: Option<String>) -> Printer {
        Printer { terminal: self.clone(), stream, prefix, rest: Vec::new() }
    }
}

/// Prints a build's stream: byte for byte, or in whole lines behind the repository's name.
#[derive(Debug)]
pub(super) struct Printer {
    terminal: Terminal,
    stream: LogStream,
    prefix: Option<String>,
    rest: Vec<u8>,
}

/// A longer line is cut in pieces rather than kept.
const LINE: usize = 64 * 1024;

impl Printer {
    pub(super) fn print(&mut self, bytes: &[u8]) {
        let Some(prefix) = &self.prefix else { return self.terminal.write(self.stream, bytes) };
        self.rest.extend_from_slice(bytes);
        let mut lines = Vec::new();
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            lines.extend_from_slice(format!("{prefix} | ").as_bytes());
            lines.extend(self.rest.drain(..=end));
        }
        if self.rest.len() > LINE {
            lines.extend_from_slice(format!("{prefix} | ").as_bytes());
            lines.append(&mut self.rest);
            lines.push(b'\n');
        }
        self.terminal.write(self.stream, &lines);
    }

    /// The last line, which may lack its end.
    pub(super) fn finish(mut self) {
        if !self.rest.is_empty() {
            self.print(b"\n");
        }
    }
}
