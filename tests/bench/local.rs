//! `albatros dev` on a small repository: the local engine.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::delivery::Template;
use crate::load;
use crate::server::Server;

/// Prints when it began, and for flavor `log` a log.
const SCRIPT: &str = "#!/bin/sh\ndate +%s%N\n[ \"$FLAVOR\" != log ] || yes 'a line of the log, as long as such lines usually are, or so' | head -c SIZE\n";
/// `dev` delivers once by itself; that build is over by then.
const FIRST_BUILD_WITHIN: Duration = Duration::from_secs(20);

/// A server with one working copy.
#[derive(Debug)]
pub(crate) struct Local {
    pub(crate) server: Server,
    pub(crate) secret: String,
    pub(crate) template: Template,
    _folder: TempDir,
}

impl Local {
    /// Starts it and waits for the build that it starts by itself. The log of flavor `log` has `size` bytes.
    pub(crate) async fn start(size: u64) -> anyhow::Result<Self> {
        Self::with(&SCRIPT.replace("SIZE", &size.to_string())).await
    }

    /// The same with any script.
    pub(crate) async fn with(script: &str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let (copy, data) = (folder.path().join("bench"), folder.path().join("data"));
        let commit = repository(&copy, script)?;
        let (copy, data_text) = (copy.to_string_lossy(), data.to_string_lossy());
        let server = Server::start(&["dev", &*copy, "--data", &*data_text], &[]).await?;
        let secret = secret(&data)?;
        let template = Template::new("http://localhost/bench", Some(&commit))?;
        first_build(&server).await?;
        Ok(Self { server, secret, template, _folder: folder })
    }
}

/// A repository with this script; gives its commit.
pub(crate) fn repository(copy: &Path, script: &str) -> anyhow::Result<String> {
    use std::os::unix::fs::PermissionsExt as _;
    let path: PathBuf = copy.join(".albatros");
    std::fs::create_dir_all(copy)?;
    std::fs::write(&path, script)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    let who = ["-c", "user.name=bench", "-c", "user.email=bench@git.example"];
    git(copy, &["init", "--quiet", "--initial-branch=main"])?;
    git(copy, &["add", "."])?;
    git(copy, &[&who[..], &["commit", "--quiet", "--message=A script"]].concat())?;
    git(copy, &["rev-parse", "HEAD"])
}

/// Runs git there; gives what it prints.
pub(crate) fn git(copy: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new("git").arg("-C").arg(copy).args(arguments).output().context("no git")?;
    ensure!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The secret that `dev` made up.
fn secret(data: &Path) -> anyhow::Result<String> {
    let kept: Value = serde_json::from_slice(&std::fs::read(data.join("dev.json"))?)?;
    let secret = kept.pointer("/repositories/bench/secret").and_then(Value::as_str);
    Ok(secret.context("dev keeps no secret")?.to_owned())
}

async fn first_build(server: &Server) -> anyhow::Result<()> {
    let began = Instant::now();
    while began.elapsed() < FIRST_BUILD_WITHIN {
        let builds: Value = serde_json::from_slice(&load::get_json(server.address, "/builds").await?)?;
        let builds = builds.as_array().map(Vec::as_slice).unwrap_or_default();
        if !builds.is_empty() && builds.iter().all(|build| build["ended"] == true) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bail!("the first build does not end: {}", server.printed())
}
