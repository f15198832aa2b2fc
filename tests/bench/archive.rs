//! (g) A log of 1 GB on its way into the archive: sidecar and controller as processes, a server that only takes it.

use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use albatros::domain::grant::{Checkout, GivenSession, Grant};
use albatros::domain::log_chunk::{CHUNK_MOST, Chunk};
use albatros::domain::secret::Secret;
use anyhow::{Context as _, ensure};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::routing::{any, put};
use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::controller::facts;
use crate::report::{Report, mb, ms};

const PROGRAM: &str = env!("CARGO_BIN_EXE_albatros");
/// As large as the files of our builders, and as many of them as their logs may have.
const FILE: u64 = 50 << 20;
const FILES: u64 = 20;
const LINE: &str = "a line of the log, as long as such lines usually are, or so\n";
const INJECT: &str = "KEY=a-secret-of-usual-length\nOTHER=another-secret-0123456789abcdef\n";
const START_WITHIN: Duration = Duration::from_secs(10);
const WITHIN: Duration = Duration::from_secs(300);
/// No process may hold more than this, whatever the log's length.
const FLAT: u64 = 64 << 20;

pub(crate) async fn measure(report: &mut Report) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let logs = folder.path().join("logs");
    std::fs::create_dir(&logs)?;
    let block = LINE.repeat(usize::try_from(FILE)? / LINE.len());
    for number in 0..FILES {
        std::fs::write(logs.join(format!("executor.stdout.{number}")), &block)?;
    }
    let total = block.len() as u64 * FILES;
    let copied = cat(&logs, &folder.path().join("copy"))?;
    let (server, mut taken) = server().await?;
    let controller = Process(controller(folder.path(), &server)?);
    let begun = Instant::now();
    let sidecar = Process(task(folder.path(), &["sidecar"]).stdin(Stdio::null()).spawn()?);
    let whole = taken.wait_for(|taken| *taken >= total);
    tokio::time::timeout(WITHIN, whole).await.context("the log did not arrive in time")??;
    let took = begun.elapsed();
    let (read, handed) = (sidecar.peak(), controller.peak());
    let speed = total as f64 / took.as_secs_f64() / 1e6;
    report
        .row(format!("a log of {} into the archive", mb(total)), format!("{} ({speed:.0} MB/s)", ms(took)))
        .against(format!("cat into a file {}", ms(copied)), took.as_secs_f64() / copied.as_secs_f64());
    report
        .row("the most memory of sidecar and controller meanwhile", format!("{} and {}", mb(read), mb(handed)))
        .aim(mb(FLAT), read.max(handed) <= FLAT);
    Ok(())
}

/// What copying the same files takes.
fn cat(logs: &Path, to: &Path) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    let mut command = Command::new("cat");
    command.args((0..FILES).map(|number| logs.join(format!("executor.stdout.{number}"))));
    ensure!(command.stdout(std::fs::File::create(to)?).status()?.success(), "cat failed");
    let took = begun.elapsed();
    std::fs::remove_file(to)?;
    Ok(took)
}

/// Takes chunks, and counts their text.
async fn server() -> anyhow::Result<(String, watch::Receiver<u64>)> {
    let (count, taken) = watch::channel(0);
    let count = Arc::new(count);
    let chunk = move |body: Bytes| {
        let count = Arc::clone(&count);
        async move {
            let Ok(chunk) = Chunk::from_wire(&body) else { return StatusCode::BAD_REQUEST };
            count.send_modify(|taken| *taken = (*taken).max(chunk.end()));
            StatusCode::NO_CONTENT
        }
    };
    let router = Router::new().route("/session/{claim}/log/{stream}/{offset}", put(chunk));
    let router = router.fallback(any(async || StatusCode::NO_CONTENT)).layer(DefaultBodyLimit::max(CHUNK_MOST));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok((address, taken))
}

fn task(alloc: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(args).env_clear().env("NOMAD_ALLOC_DIR", alloc).env("NOMAD_JOB_ID", "builder/dispatch-1-a");
    command.env("NOMAD_META_REPO_URL", "https://git.example/o/r").env("NOMAD_META_BRANCH", "main");
    command.env("NOMAD_META_COMMIT", "0123456789012345678901234567890123456789").env("NOMAD_META_FLAVOR", "default");
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn controller(alloc: &Path, server: &str) -> anyhow::Result<Child> {
    let mut child = task(alloc, &["controller", "--grant-stdin"]).stdin(Stdio::piped()).spawn()?;
    let session =
        GivenSession { server: server.parse()?, claim: "0".repeat(64).parse()?, secret: Secret::new("a".repeat(64)) };
    let checkout = Checkout { source: true, submodules: false, lfs: false, credential: None };
    let inject = Some(Secret::new(INJECT));
    let grant = Grant {
        facts: facts()?,
        checkout,
        inject,
        params: Default::default(),
        job: None,
        service_secret: None,
        session: Some(session),
    };
    child.stdin.take().context("no standard input")?.write_all(&grant.to_wire()?)?;
    let (began, token) = (Instant::now(), alloc.join("albatros-trusted.token"));
    while !token.exists() {
        ensure!(began.elapsed() < START_WITHIN, "the controller does not come up");
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(child)
}

/// Killed when it is dropped.
struct Process(Child);

impl Process {
    /// The most memory that it ever had, bytes.
    fn peak(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or_default() * 1024
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
