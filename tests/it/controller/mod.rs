//! The API of a build's controller: what its script gets, what it does not, and how it comes by it.

mod blobs;
mod described;
mod events;
mod hostile;
mod jobs;
mod machine;
mod params;
mod prepare;
mod process;
mod report;
mod rights;
mod runner;
mod serve;
mod session;
mod verbs;
mod waits;

use std::path::{Path, PathBuf};
use std::time::Duration;

use albatros::api::controller::{Controller, ControllerAddress, Reach};
use albatros::api::http::local_client;
use albatros::controller::{self, Settings, Source};
use albatros::domain::event::EventKind;
use albatros::domain::grant::{Checkout, Credential, Facts, Grant};
use albatros::domain::secret::Secret;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::fake::http::Reply;

const COMMIT: &str = "0123456789012345678901234567890123456789";
const STEP: Duration = Duration::from_millis(250);
const INJECT: &str = "# two\nSECRET1=xx\nexport SECRET2='y y'\n";

/// A controller in this process; it ends when this is dropped.
struct Running {
    dir: PathBuf,
    script: String,
    trusted: String,
    shutdown: CancellationToken,
    ended: JoinHandle<()>,
    _folder: TempDir,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

fn facts(trusted: bool) -> Facts {
    Facts {
        repo_url: "https://git.example/o/r".to_owned(),
        commit: COMMIT.parse().unwrap(),
        branch: "main".to_owned(),
        flavor: "default".parse().unwrap(),
        git_ref: Some("refs/heads/main".to_owned()),
        event: Some(EventKind::Push),
        sender: Some("quentin".to_owned()),
        pull_request: None,
        trusted,
    }
}

fn grant(trusted: bool) -> Grant {
    let credential = Credential {
        scope: "https://git.example/o/r".to_owned(),
        user: "albatros".to_owned(),
        password: Secret::new("c0ffee"),
    };
    Grant {
        facts: facts(trusted),
        checkout: Checkout { source: true, submodules: true, lfs: false, credential: Some(credential) },
        params: Default::default(),
        inject: trusted.then(|| Secret::new(INJECT)),
        job: None,
        service_secret: None,
        session: None,
    }
}

fn given(trusted: bool) -> Source {
    Source::Given { grant: Box::new(grant(trusted)), server: None }
}

/// Starts a controller, and returns when its tokens are there.
async fn start(source: Source) -> Running {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_owned();
    start_in(folder, dir, source).await
}

async fn start_in(folder: TempDir, dir: PathBuf, source: Source) -> Running {
    start_at(folder, dir, source, None).await
}

/// The same with a port.
async fn start_at(folder: TempDir, dir: PathBuf, source: Source, listen: Option<std::net::SocketAddr>) -> Running {
    let shutdown = CancellationToken::new();
    step_by_step(shutdown.clone());
    let settings = Settings {
        alloc_dir: dir.clone(),
        build: "builder/dispatch-1-a".to_owned(),
        facts: facts(false),
        listen,
        reached_at: None,
        task_dir: None,
        source,
    };
    let stop = shutdown.clone();
    let ended = tokio::spawn(async move { controller::run(settings, stop).await.unwrap() });
    while !dir.join("albatros-trusted.token").exists() {
        assert!(!ended.is_finished(), "it did not start");
        tokio::task::yield_now().await;
    }
    let token = |name: &str| std::fs::read_to_string(dir.join(name)).unwrap();
    let (script, trusted) = (token("albatros.token"), token("albatros-trusted.token"));
    Running { dir, script, trusted, shutdown, ended, _folder: folder }
}

/// A paused clock jumps to the next timer even past a socket that has become readable, so a jump must be short against
/// every limit that is tested.
fn step_by_step(shutdown: CancellationToken) {
    tokio::spawn(shutdown.run_until_cancelled_owned(async {
        loop {
            tokio::time::sleep(STEP).await;
        }
    }));
}

impl Running {
    fn socket(&self) -> PathBuf {
        self.dir.join("albatros.sock")
    }

    fn trusted_socket(&self) -> PathBuf {
        self.dir.join("albatros-trusted.sock")
    }

    /// The client that is part of the product, with the script's token.
    fn as_script(&self) -> Controller {
        Controller::new(&ControllerAddress::Unix(self.socket()), Secret::new(self.script.as_str())).unwrap()
    }

    /// The same for the trusted tasks.
    fn as_trusted(&self) -> Controller {
        Controller::new(&ControllerAddress::Unix(self.trusted_socket()), Secret::new(self.trusted.as_str())).unwrap()
    }

    async fn script(&self, line: &str, body: &str) -> Reply {
        ask(&self.socket(), Some(&self.script), line, body).await
    }

    /// The same, with an answer that comes in its own time.
    fn reading(&self, line: &str) -> JoinHandle<reqwest::Response> {
        let (socket, token, line) = (self.socket(), self.script.clone(), line.to_owned());
        tokio::spawn(async move { open(&socket, Some(&token), &line, "").await })
    }

    async fn trusted(&self, line: &str) -> Reply {
        ask(&self.trusted_socket(), Some(&self.trusted), line, "").await
    }

    /// Ends it, and waits for that.
    async fn end(&mut self) {
        self.shutdown.cancel();
        (&mut self.ended).await.unwrap();
    }
}

/// A request as one would write it down: `POST /v1/report text/markdown`.
async fn ask(socket: &Path, token: Option<&str>, line: &str, body: &str) -> Reply {
    Reply::read(open(socket, token, line, body).await).await
}

/// The same, with the answer's body unread.
async fn open(socket: &Path, token: Option<&str>, line: &str, body: &str) -> reqwest::Response {
    let reach = Reach::path(socket).unwrap();
    let mut words = line.split(' ');
    let method = words.next().unwrap().parse().unwrap();
    let address = format!("http://albatros{}", words.next().unwrap());
    let mut request = local_client(Some(reach.as_path())).unwrap().request(method, address);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    if let Some(kind) = words.next() {
        request = request.header("Content-Type", kind).body(body.to_owned());
    }
    request.send().await.unwrap()
}

/// What a refusal says.
fn detail(reply: &Reply) -> String {
    assert_eq!(reply.headers["content-type"], "application/problem+json", "{reply:?}");
    let problem = reply.value();
    assert_eq!(problem["status"], reply.status);
    assert!(problem["type"].is_string() && problem["title"].is_string());
    problem["detail"].as_str().unwrap().to_owned()
}
