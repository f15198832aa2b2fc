//! Images of a container engine on this node.

use std::fmt;
use std::path::Path;
use std::process::Stdio;

use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Command;

use super::super::card::is_digest;
use super::super::error::{ImageError, failed};

/// What is shown of an engine's complaint, characters.
const SAID: usize = 500;

/// Copied at once, bytes.
const PIECE: usize = 256 * 1024;
/// What an engine saves of one image, bytes.
const BYTES_MOST: u64 = 64 << 30;

/// A program that has images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// Docker.
    Docker,
    /// Podman.
    Podman,
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.program())
    }
}

impl Engine {
    fn program(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
        }
    }

    /// The sum of an image's configuration, where the engine calls the image by it: so one that is known is not saved
    /// again.
    pub(super) async fn content(self, name: &str) -> Option<String> {
        let mut command = Command::new(self.program());
        command.args(["image", "inspect", "--format", "{{.Id}}", "--", name]).stdin(Stdio::null()).kill_on_drop(true);
        let output = command.output().await.ok().filter(|output| output.status.success())?;
        let id = String::from_utf8(output.stdout).ok()?;
        let digits = id.trim().trim_start_matches("sha256:");
        is_digest(digits).then(|| digits.to_owned())
    }

    /// Writes an image with its configuration and its layers to a file.
    pub(super) async fn save(self, name: &str, to: &Path) -> Result<(), ImageError> {
        let mut file = File::create(to).await.map_err(failed(to, "made"))?;
        let mut command = Command::new(self.program());
        command.args(["image", "save"]);
        if self == Self::Podman {
            command.args(["--format", "docker-archive"]);
        }
        // By way of this process: when it is killed, the engine has nowhere to write to and ends as well.
        command
            .args(["--", name])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let failed = |said: String| ImageError::Engine { program: self.program(), said };
        let mut running = command.spawn().map_err(|error| failed(error.to_string()))?;
        let saved = running.stdout.take().ok_or_else(|| failed("it prints nothing".to_owned()))?;
        let written = async {
            let mut saved = BufReader::with_capacity(PIECE, saved.take(BYTES_MOST));
            let size = tokio::io::copy_buf(&mut saved, &mut file).await?;
            file.flush().await.map(|()| size)
        };
        let (size, output) = tokio::join!(written, running.wait_with_output());
        let output = output.map_err(|error| failed(error.to_string()))?;
        let size = size.map_err(|error| ImageError::file(to, "written", error))?;
        if size == BYTES_MOST {
            return Err(failed(format!("it has more than {BYTES_MOST} bytes")));
        }
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
        Err(failed(last.chars().filter(|char| !char.is_control()).take(SAID).collect()))
    }
}
