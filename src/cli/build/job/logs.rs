//! Logs of jobs on this terminal.

use std::io::{self, Write as _};

use super::super::BuildError;
use crate::api::controller::{Controller, ControllerError, LogStream};
use crate::api::http::HttpError;
use crate::domain::id::JobName;

/// A line that is longer is printed in pieces.
const LINE_MOST: usize = 64 * 1024;

/// Prints both logs of a job as they come: byte for byte, or line by line behind a name.
pub(super) async fn print(
    controller: &Controller,
    name: &JobName,
    prefix: Option<&JobName>,
    follow: bool,
) -> Result<(), BuildError> {
    let both = [LogStream::Stdout, LogStream::Stderr].map(|log| one(controller, name, log, prefix, follow));
    futures_util::future::try_join_all(both).await.map(drop)
}

async fn one(
    controller: &Controller,
    name: &JobName,
    log: LogStream,
    prefix: Option<&JobName>,
    follow: bool,
) -> Result<(), BuildError> {
    let mut response = controller.job_log(name, log, follow).await?;
    let mut lines = prefix.map(Lines::of);
    let cut = |error: reqwest::Error| ControllerError::NoAnswer(HttpError::Cut(error.without_url()));
    while let Some(piece) = response.chunk().await.map_err(cut)? {
        match &mut lines {
            Some(lines) => put(log, &lines.take(&piece))?,
            None => put(log, &piece)?,
        }
    }
    if let Some(lines) = &mut lines {
        put(log, &lines.rest())?;
    }
    Ok(())
}

fn put(log: LogStream, bytes: &[u8]) -> io::Result<()> {
    match log {
        LogStream::Stdout => {
            let mut out = io::stdout().lock();
            out.write_all(bytes)?;
            out.flush()
        }
        LogStream::Stderr => io::stderr().lock().write_all(bytes),
    }
}

/// Whole lines, each behind a name.
struct Lines {
    prefix: String,
    unfinished: Vec<u8>,
}

impl Lines {
    fn of(name: &JobName) -> Self {
        Self { prefix: format!("{name}| "), unfinished: Vec::new() }
    }

    fn take(&mut self, piece: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            self.unfinished.extend_from_slice(part);
            if part.ends_with(b"\n") || self.unfinished.len() > LINE_MOST {
                out.extend(self.rest());
            }
        }
        out
    }

    /// What is left, ended.
    fn rest(&mut self) -> Vec<u8> {
        if self.unfinished.is_empty() {
            return Vec::new();
        }
        let mut line = self.prefix.clone().into_bytes();
        line.append(&mut self.unfinished);
        if !line.ends_with(b"\n") {
            line.push(b'\n');
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_behind_their_name_in_whatever_pieces_they_come() {
        let text = b"one\ntwo\n\nthree";
        for size in 1..=text.len() {
            let mut lines = Lines::of(&"a".parse().unwrap());
            let mut out: Vec<u8> = text.chunks(size).flat_map(|piece| lines.take(piece)).collect();
            out.extend(lines.rest());
            assert_eq!(out, b"a| one\na| two\na| \na| three\n");
        }
    }
}
