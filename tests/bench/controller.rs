//! (e) Small requests a second to a build's controller over its Unix socket, against a bare axum answer on such a socket.

use std::io::Write as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use albatros::domain::grant::{Checkout, Facts, Grant};
use albatros::domain::secret::Secret;
use anyhow::{Context as _, ensure};
use axum::Router;
use axum::routing::get;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::task::LocalSet;

use crate::report::{Report, mb};

const PROGRAM: &str = env!("CARGO_BIN_EXE_albatros");
const CONNECTIONS: usize = 16;
const WITHIN: Duration = Duration::from_secs(4);
/// Before the measurement, so that what grows once has grown.
const WARM: Duration = Duration::from_millis(500);
/// A controller that is not there by then never will be.
const START_WITHIN: Duration = Duration::from_secs(10);
const AIM: f64 = 10_000.0;
/// What the parameter holds.
const VALUE: &str = "0123456789abcdef0123456789abcdef";

pub(crate) async fn measure(report: &mut Report) -> anyhow::Result<()> {
    let controller = Controller::start()?;
    let token = std::fs::read_to_string(controller.folder.path().join("albatros.token"))?;
    let request = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n");
    let bare = bare(controller.folder.path())?;
    let theirs = a_second(bare, request("/")).await?;
    let socket = controller.folder.path().join("albatros.sock");
    for path in ["/v1/params/KEY", "/v1/build"] {
        let before = controller.resident();
        let ours = a_second(socket.clone(), request(path)).await?;
        report
            .row(format!("GET {path} of a controller a second, {CONNECTIONS} connections"), format!("{ours:.0}"))
            .against(format!("bare axum {theirs:.0}"), ours / theirs)
            .aim("10000", ours >= AIM);
        let grown = controller.resident().saturating_sub(before);
        report.note(format!("the controller took {} and {} more by the end", mb(before), mb(grown)));
    }
    Ok(())
}

/// A running controller; dropped, it is stopped.
struct Controller {
    child: Child,
    folder: TempDir,
}

impl Controller {
    fn start() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let facts = facts()?;
        let mut command = Command::new(PROGRAM);
        command.args(["controller", "--grant-stdin"]).env_clear().env("NOMAD_ALLOC_DIR", folder.path());
        command.env("NOMAD_JOB_ID", "builder/dispatch-1-a").env("NOMAD_META_REPO_URL", &facts.repo_url);
        command.env("NOMAD_META_COMMIT", facts.commit.as_str()).env("NOMAD_META_BRANCH", &facts.branch);
        command.env("NOMAD_META_FLAVOR", facts.flavor.as_str());
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().context("the controller does not start")?;
        let mut controller = Self { child, folder };
        let checkout = Checkout { source: true, submodules: false, lfs: false, credential: None };
        let grant = Grant {
            facts,
            checkout,
            params: Default::default(),
            inject: Some(Secret::new(format!("KEY={VALUE}\n"))),
            job: None,
            service_secret: None,
            session: None,
        };
        controller.child.stdin.take().context("no standard input")?.write_all(&grant.to_wire()?)?;
        let (began, token) = (Instant::now(), controller.folder.path().join("albatros-trusted.token"));
        while !token.exists() {
            ensure!(began.elapsed() < START_WITHIN, "the controller does not come up");
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(controller)
    }

    /// Resident memory, bytes.
    fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or_default() * 1024
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

pub(crate) fn facts() -> anyhow::Result<Facts> {
    Ok(Facts {
        repo_url: "https://git.example/o/r".to_owned(),
        commit: "0123456789012345678901234567890123456789".parse()?,
        branch: "main".to_owned(),
        flavor: "default".parse()?,
        git_ref: None,
        event: None,
        sender: None,
        pull_request: None,
        trusted: true,
    })
}

/// The same answer with nothing around it, from one thread as the controller's; it lives as long as this process.
fn bare(folder: &Path) -> anyhow::Result<PathBuf> {
    let path = folder.join("bare.sock");
    let listener = UnixListener::bind(&path)?;
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::spawn(move || {
        runtime.block_on(async move {
            let listener = tokio::net::UnixListener::from_std(listener)?;
            axum::serve(listener, Router::new().route("/", get(async || VALUE))).await
        })
    });
    Ok(path)
}

/// How often this request is answered with 200.
async fn a_second(socket: PathBuf, request: String) -> anyhow::Result<f64> {
    let (count, took) = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(LocalSet::new().run_until(async move {
            exchanges(&socket, &request, WARM).await?;
            exchanges(&socket, &request, WITHIN).await
        }))
    })
    .await??;
    Ok(count as f64 / took.as_secs_f64())
}

async fn exchanges(socket: &Path, request: &str, within: Duration) -> anyhow::Result<(usize, Duration)> {
    let mut workers = Vec::new();
    let began = Instant::now();
    for _ in 0..CONNECTIONS {
        let (mut stream, request) = (UnixStream::connect(socket).await?, request.to_owned());
        workers.push(tokio::task::spawn_local(async move {
            let mut answer = vec![0; 8 * 1024];
            stream.write_all(request.as_bytes()).await?;
            // Small, and written at once: it comes in one piece, and each has the length of the first.
            let length = stream.read(&mut answer).await?;
            answer.truncate(length);
            let mut count = 1;
            while began.elapsed() < within {
                stream.write_all(request.as_bytes()).await?;
                stream.read_exact(&mut answer).await?;
                ensure!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
                count += 1;
            }
            anyhow::Ok(count)
        }));
    }
    let mut count = 0;
    for worker in workers {
        count += worker.await??;
    }
    Ok((count, began.elapsed()))
}
