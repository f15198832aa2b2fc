//! `albatros exec` as Nomad would start it: COMMIT of a repository behind HTTP, by a smart server and by plain files.

use std::path::PathBuf;
use std::process::{Output, Stdio};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use tokio::process::Command;

use super::fake::repos::backend;
use super::local::git;

/// A repository, a server in front of it, and a task's directories.
struct Task {
    room: tempfile::TempDir,
    url: String,
}

#[derive(Clone, Copy)]
enum Kind {
    /// git's own CGI: gives any commit by itself.
    Smart,
    /// Files only: gives refs, whole.
    Plain,
}

impl Task {
    async fn new(kind: Kind) -> Self {
        let room = tempfile::tempdir().unwrap();
        let served = room.path().join("served");
        for sub in ["served", "alloc", "local", "work"] {
            std::fs::create_dir(room.path().join(sub)).unwrap();
        }
        git(&room.path().join("work"), &["init", "-q", "-b", "main", "."]);
        let router = match kind {
            Kind::Smart => Router::new().fallback(smart).with_state(served),
            Kind::Plain => Router::new().fallback(plain).with_state(served),
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/repo", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { room, url }
    }

    fn work(&self) -> PathBuf {
        self.room.path().join("work")
    }

    /// A commit whose script prints `word`; pushed to `git_ref`.
    fn commit(&self, word: &str, git_ref: &str) -> String {
        let script = self.work().join(".albatros");
        std::fs::write(&script, format!("#!/bin/sh\necho {word}\ngit rev-parse HEAD\ngit log --oneline | wc -l\n"))
            .unwrap();
        git(&self.work(), &["add", "-A"]);
        git(&self.work(), &["update-index", "--chmod=+x", ".albatros"]);
        git(&self.work(), &["commit", "-q", "-m", word]);
        git(&self.work(), &["update-ref", git_ref, "HEAD"]);
        git(&self.work(), &["rev-parse", "HEAD"])
    }

    /// What the server has is what the working repository has now.
    fn publish(&self) {
        let served = self.room.path().join("served/repo");
        if served.exists() {
            std::fs::remove_dir_all(&served).unwrap();
        }
        let target = served.to_str().unwrap();
        git(&self.work(), &["clone", "-q", "--mirror", ".", target]);
        git(&served, &["update-server-info"]);
    }

    async fn exec(&self, commit: &str, branch: &str, more: &[(&str, &str)]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_albatros"));
        command.arg("exec").env_clear().env("PATH", std::env::var_os("PATH").unwrap()).stdin(Stdio::null());
        command
            .env("NOMAD_ALLOC_DIR", self.room.path().join("alloc"))
            .env("NOMAD_TASK_DIR", self.room.path().join("local"));
        command.env("NOMAD_META_REPO_URL", &self.url).env("NOMAD_META_COMMIT", commit);
        command.env("NOMAD_META_BRANCH", branch).env("NOMAD_META_FLAVOR", "default").env("NOMAD_TOKEN", "n0mad");
        command.envs(more.iter().copied()).output().await.unwrap()
    }
}

fn said(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

async fn plain(State(served): State<PathBuf>, uri: Uri) -> Response {
    match std::fs::read(served.join(uri.path().trim_start_matches('/'))) {
        Ok(bytes) => bytes.into_response(),
        Err(_) => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn smart(State(served): State<PathBuf>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    backend(&served, &method, &uri, &headers, &body).await
}

#[tokio::test]
async fn a_commit_is_fetched_by_itself_where_the_server_gives_it() {
    let task = Task::new(Kind::Smart).await;
    let first = task.commit("first", "refs/heads/main");
    task.commit("second", "refs/heads/main");
    task.publish();
    let (code, out, err) = said(&task.exec(&first, "main", &[("NOMAD_META_REF", "refs/heads/main")]).await);
    assert_eq!((code, out.as_str()), (0, format!("first\n{first}\n1\n").as_str()), "{err}");
}

#[tokio::test]
async fn without_a_group_there_is_no_checkout_without_network_and_the_sentence_says_what_to_do() {
    let task = Task::new(Kind::Smart).await;
    let commit = task.commit("first", "refs/heads/main");
    task.publish();
    let (code, out, err) = said(&task.exec(&commit, "main", &[("ALBATROS_NETWORK", "none")]).await);
    assert_eq!((code, out.as_str()), (125, ""));
    let needs = "albatros: ALBATROS_NETWORK=none needs a builder with the tasks controller, sidecar and prepare\n";
    // Where the system has no such namespaces that is said first.
    assert!(err == needs || err.contains("lets no user make a network namespace"), "{err}");
}

#[tokio::test]
async fn elsewhere_the_ref_is_fetched_and_must_hold_the_commit() {
    let task = Task::new(Kind::Plain).await;
    let first = task.commit("first", "refs/heads/main");
    let second = task.commit("second", "refs/heads/main");
    task.publish();
    for (commit, word, depth) in [(&first, "first", 1), (&second, "second", 2)] {
        let (code, out, err) = said(&task.exec(commit, "main", &[]).await);
        assert_eq!((code, out), (0, format!("{word}\n{commit}\n{depth}\n")), "{err}");
    }
    git(&task.work(), &["checkout", "-q", "--orphan", "apart"]);
    let other = task.commit("other", "refs/heads/apart");
    task.publish();
    let (code, out, err) = said(&task.exec(&other, "main", &[]).await);
    assert_eq!((code, out.as_str()), (125, ""), "{err}");
    assert!(err.contains(&format!("commit {other} is not on refs/heads/main")), "{err}");
}

#[tokio::test]
async fn tags_and_pull_requests_are_found_with_ref_and_without() {
    let task = Task::new(Kind::Plain).await;
    let commit = task.commit("pulled", "refs/pull/3/head");
    git(&task.work(), &["tag", "-a", "-m", "x", "v1.0"]);
    task.publish();
    for (branch, git_ref) in [("pull/3/head", "refs/pull/3/head"), ("v1.0", "refs/tags/v1.0")] {
        for more in [vec![], vec![("NOMAD_META_REF", git_ref)]] {
            let (code, out, err) = said(&task.exec(&commit, branch, &more).await);
            assert_eq!((code, out.lines().next()), (0, Some("pulled")), "{branch} {err}");
        }
    }
}

#[tokio::test]
async fn addresses_and_refs_that_could_run_something_are_refused_and_run_nothing() {
    let task = Task::new(Kind::Plain).await;
    let commit = task.commit("x", "refs/heads/main");
    let trap = task.room.path().join("trap");
    for url in [
        format!("ext::sh -c touch% {}", trap.display()),
        format!("--upload-pack=touch {}", trap.display()),
        "file:///".into(),
    ] {
        let (code, _, err) = said(&task.exec(&commit, "main", &[("NOMAD_META_REPO_URL", &url)]).await);
        assert_eq!(code, 125, "{url}: {err}");
        assert!(err.starts_with("albatros: REPO_URL cannot be fetched from"), "{err}");
    }
    for branch in ["a:b", "../x", "a b", "x\\y"] {
        let (code, _, err) = said(&task.exec(&commit, branch, &[]).await);
        assert_eq!(code, 125, "{branch}: {err}");
        assert!(err.contains("is not the name of a git ref"), "{err}");
    }
    assert!(!trap.exists());
}

#[tokio::test]
async fn a_repository_that_wants_a_password_is_a_sentence_and_no_prompt() {
    let mut task = Task::new(Kind::Plain).await;
    let commit = task.commit("x", "refs/heads/main");
    let router =
        Router::new().fallback(|| async { (StatusCode::UNAUTHORIZED, [("WWW-Authenticate", "Basic realm=x")]) });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    task.url = format!("http://{}/repo", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let (code, _, err) = said(&task.exec(&commit, "main", &[]).await);
    assert_eq!(code, 125, "{err}");
    assert!(err.contains(&format!("commit {commit} could not be fetched from {}", task.url)), "{err}");
}

#[tokio::test]
async fn what_nomad_gave_to_exec_is_not_in_the_scripts_environment() {
    let task = Task::new(Kind::Smart).await;
    let script = task.work().join(".albatros");
    std::fs::write(&script, "#!/bin/sh\nenv\n").unwrap();
    git(&task.work(), &["add", "-A"]);
    git(&task.work(), &["update-index", "--chmod=+x", ".albatros"]);
    git(&task.work(), &["commit", "-q", "-m", "x"]);
    task.publish();
    let commit = git(&task.work(), &["rev-parse", "HEAD"]);
    let (code, out, err) = said(&task.exec(&commit, "main", &[("LEAK", "leaked")]).await);
    assert_eq!(code, 0, "{err}");
    assert!(!out.contains("NOMAD") && !out.contains("n0mad") && !out.contains("LEAK"), "{out}");
}

#[tokio::test]
async fn a_payload_is_the_scripts_secrets_but_one_newline_is_none() {
    let task = Task::new(Kind::Smart).await;
    let script = task.work().join(".albatros");
    std::fs::write(&script, "#!/bin/sh\ncat \"${SECRET_PATH-/dev/null}\"; echo \"${SECRET_PATH+set}\"\n").unwrap();
    git(&task.work(), &["add", "-A"]);
    git(&task.work(), &["update-index", "--chmod=+x", ".albatros"]);
    git(&task.work(), &["commit", "-q", "-m", "x"]);
    task.publish();
    let commit = git(&task.work(), &["rev-parse", "HEAD"]);
    let payload = task.room.path().join("payload");
    for (bytes, shown) in [("A='x'\n\n", "A='x'\n\nset\n"), ("\n", "\n"), ("", "\n")] {
        std::fs::write(&payload, bytes).unwrap();
        let path = [("SECRET_PATH", payload.to_str().unwrap())];
        let (code, out, err) = said(&task.exec(&commit, "main", &path).await);
        assert_eq!((code, out.as_str()), (0, shown), "{err}");
    }
}
