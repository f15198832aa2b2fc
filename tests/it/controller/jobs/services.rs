//! A service, from the script that starts it through two controllers to its port; neither side has a network.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;

use albatros::api::session::SessionServer;
use albatros::controller::Source;
use albatros::domain::grant::{GivenSession, Grant};
use albatros::domain::secret::Secret;
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::super::serve::{CLAIM, FakeServe};
use super::super::{COMMIT, Running, grant, start_at};
use super::serve::SERVICE_SECRET;
use super::{build, job, post, seen, state};
use crate::fake::wire::PATIENCE;

/// Alone with its loopback, every side may have the same port.
const PORT: u16 = 7007;

/// What serves in these tests: says everything twice, until it is told to end.
#[test]
#[ignore = "a program that other tests start"]
fn echo() {
    let listener = std::net::TcpListener::bind(("127.0.0.1", PORT)).unwrap();
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = stream.read(&mut buffer) {
                let twice = [&buffer[..read], &buffer[..read]].concat();
                if stream.write_all(&twice).is_err() {
                    return;
                }
            }
        });
    }
}

fn echo_command() -> Value {
    let program = std::env::current_exe().unwrap();
    json!([program, "--ignored", "--exact", "controller::jobs::services::echo", "--nocapture"])
}

/// The executor of a build whose controller is `running`.
fn exec(running: &Running, room: &Path) -> Command {
    for sub in ["local", "secrets"] {
        std::fs::create_dir_all(room.join(sub)).unwrap();
    }
    let bin = running.dir.join("bin");
    std::fs::create_dir_all(&bin).unwrap();
    let program = bin.join("albatros");
    if !program.exists() {
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_albatros"), program).unwrap();
    }
    std::fs::create_dir_all(running.dir.join("workspace")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_albatros"));
    command.arg("exec").env_clear().env("ALBATROS_NETWORK", "none").kill_on_drop(true);
    command.env("PATH", std::env::var_os("PATH").unwrap()).env("NOMAD_ALLOC_DIR", &running.dir);
    command.env("NOMAD_TASK_DIR", room.join("local")).env("NOMAD_SECRETS_DIR", room.join("secrets"));
    command.env("NOMAD_JOB_ID", "jobs/dispatch-1-a").env("NOMAD_META_REPO_URL", "https://git.example/o/r");
    command.env("NOMAD_META_COMMIT", COMMIT).env("NOMAD_META_BRANCH", "main").env("NOMAD_META_FLAVOR", "default");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The build of a job, as Nomad would run it: a controller with a port, and an executor.
struct Job {
    running: Running,
    room: tempfile::TempDir,
}

impl Job {
    async fn start(serve: &FakeServe, spec: &Value) -> Self {
        let session = GivenSession {
            server: serve.url().parse().unwrap(),
            claim: CLAIM.parse().unwrap(),
            secret: Secret::new("a-session"),
        };
        let spec = serde_json::from_value(spec.clone()).unwrap();
        let service_secret = Some(Secret::new(SERVICE_SECRET));
        let inject = Some(Secret::new("SECRET1=\"x y\"\n"));
        let grant = Grant { job: Some(spec), session: Some(session), service_secret, inject, ..grant(true) };
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().to_owned();
        let listen = Some("127.0.0.1:0".parse().unwrap());
        let server = SessionServer::new(serve.url().parse().unwrap(), None).unwrap();
        let source = Source::Given { grant: Box::new(grant), server: Some(server) };
        Self { running: start_at(folder, dir, source, listen).await, room: tempfile::tempdir().unwrap() }
    }

    fn exec(&self) -> Command {
        exec(&self.running, self.room.path())
    }

    async fn ended(&self) -> (Option<i32>, String, String) {
        said(self.exec().spawn().unwrap()).await
    }
}

async fn said(child: Child) -> (Option<i32>, String, String) {
    let output = timeout(PATIENCE, child.wait_with_output()).await.expect("it ends").unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// Whether the system lets a script have a network of its own.
fn forbidden(err: &str) -> bool {
    err.contains("lets no user make a network namespace")
}

/// Runs a script of the parent's build to its end, in a network of its own.
async fn script(running: &Running, text: &str) -> (Option<i32>, String, String) {
    let room = tempfile::tempdir().unwrap();
    let mut command = exec(running, room.path());
    let file = running.dir.join("workspace/.albatros");
    std::fs::write(&file, format!("#!/bin/bash\nset -e\n{text}")).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    said(command.spawn().unwrap()).await
}

#[tokio::test]
async fn a_script_talks_to_a_service_as_if_it_were_on_its_own_loopback() {
    let (serve, running) = build().await;
    let text = format!(
        "command='{}'\n\
         albatros job start db --service --port {PORT} --timeout 5m -- $(echo \"$command\")\n\
         exec 3<>/dev/tcp/127.0.0.1/{PORT}\n\
         printf 'hello\\n' >&3; head -n2 <&3\n\
         albatros job list\n\
         albatros job stop db\n",
        echo_command().as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect::<Vec<_>>().join(" ")
    );
    let talking = script(&running, &text);
    let serving = async {
        let spec = serve.jobs.started("db").await;
        let job = Job::start(&serve, &spec).await;
        let child = job.exec().spawn().unwrap();
        serve.jobs.stopped("db").await;
        (job, child)
    };
    let ((code, out, err), _service) = tokio::join!(talking, async {
        // Where the script may have no network of its own it never begins.
        timeout(PATIENCE, serving).await.ok()
    });
    if forbidden(&err) {
        eprintln!("skipped: {err}");
        return;
    }
    assert_eq!((code, out.as_str()), (Some(0), &*format!("127.0.0.1:{PORT}\nhello\nhello\ndb  ready\n")), "{err}");
}

#[tokio::test]
async fn a_service_that_is_not_there_yet_is_not_ready_and_one_that_ends_says_so() {
    let (serve, running) = build().await;
    let spec = json!({"name": "db", "service": true, "port": PORT, "script": "sleep 600"});
    post(&running, spec).await;
    let spec = serve.jobs.started("db").await;
    let service = Job::start(&serve, &spec).await;
    let mut child = service.exec().spawn().unwrap();
    serve.jobs.set("db", json!({"state": "running"}));
    state(&running, "db", "running").await;
    let name = "db".parse().unwrap();
    let refused = running.as_script().connect_job(&name).await.unwrap_err();
    assert!(refused.waiting() && refused.to_string().contains("not ready"), "{refused}");
    child.start_kill().unwrap();
    serve.jobs.end("db", "failure", Some(1));
    state(&running, "db", "failure").await;
    let refused = running.as_script().connect_job(&name).await.unwrap_err();
    assert_eq!(refused.status().unwrap().as_u16(), 409, "{refused}");
    assert_eq!(running.as_script().connect_job(&"nowhere".parse().unwrap()).await.unwrap_err().status().unwrap(), 404);
}

#[tokio::test]
async fn only_its_parent_comes_in_and_only_by_the_port() {
    let (serve, running) = build().await;
    post(&running, json!({"name": "db", "service": true, "port": PORT, "script": "sleep 600"})).await;
    let spec = serve.jobs.started("db").await;
    let service = Job::start(&serve, &spec).await;
    // A socket that takes whatever comes: no executor is needed for this.
    let listener = tokio::net::UnixListener::bind(service.running.dir.join("service.sock")).unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, b"+served").await;
        }
    });
    let view = seen(&running, "db", |job| job["ready"] == true).await;
    assert!(view.get("secret").is_none() && view.get("address").is_none(), "the script needs neither: {view}");
    let by_socket = service.running.script("GET /v1/service", "").await;
    assert_eq!(by_socket.status, 404);
    let mut far = running.as_script().connect_job(&"db".parse().unwrap()).await.unwrap();
    let mut text = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut far, &mut text).await.unwrap();
    assert_eq!(text, "served");
    assert_eq!(running.script("GET /v1/jobs/db/connect", "").await.status, 426);
}

#[tokio::test]
async fn a_link_in_place_of_the_services_socket_is_not_followed() {
    let (serve, running) = build().await;
    post(&running, json!({"name": "db", "service": true, "port": PORT, "script": "x"})).await;
    let spec = serve.jobs.started("db").await;
    let service = Job::start(&serve, &spec).await;
    let foreign = tempfile::tempdir().unwrap();
    let listener = tokio::net::UnixListener::bind(foreign.path().join("foreign.sock")).unwrap();
    let socket = service.running.dir.join("service.sock");
    for link in [std::os::unix::fs::symlink, |from, to| std::fs::hard_link(from, to)] as [fn(_, _) -> _; 2] {
        let _: () = link(foreign.path().join("foreign.sock"), socket.clone()).unwrap();
        let looked = timeout(std::time::Duration::from_secs(1), listener.accept()).await;
        assert!(looked.is_err(), "it was followed");
        std::fs::remove_file(&socket).unwrap();
    }
}

#[tokio::test]
async fn a_job_runs_its_command_or_script_with_what_it_was_given() {
    let (serve, _running) = build().await;
    let shown = "echo \"$A $SECRET1 $ALBATROS_JOB\"; cat \"$SECRET_PATH\"; pwd | grep -c workspace";
    let env = json!({"A": "it's"});
    let expected = "it's x y a\nSECRET1=\"x y\"\n1\n";
    for (fields, code, out) in [
        (json!({"script": shown}), 0, expected),
        (json!({"script": format!("#!/bin/bash\n{shown}\n[[ -n $BASH ]]")}), 0, expected),
        (json!({"command": ["sh", "-c", shown]}), 0, expected),
        (json!({"script": "false\necho on"}), 1, ""),
        (json!({"command": ["sh", "-c", "exit 7"]}), 7, ""),
    ] {
        let mut spec = json!({"name": "a", "env": env});
        spec.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let ended = Job::start(&serve, &spec).await.ended().await;
        if forbidden(&ended.2) {
            return;
        }
        assert_eq!((ended.0, ended.1.as_str()), (Some(code), out), "{spec}: {}", ended.2);
    }
    for (fields, words) in [
        (json!({"command": ["no-such-program"]}), "no program \"no-such-program\""),
        (json!({"script": "#!/no/such/shell\n"}), "there is no \"/no/such/shell\""),
    ] {
        let mut spec = job("a", &[]);
        spec.as_object_mut().unwrap().remove("command");
        spec.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let ended = Job::start(&serve, &spec).await.ended().await;
        assert!(ended.0 == Some(127) && ended.2.contains(words), "{ended:?}");
    }
}
