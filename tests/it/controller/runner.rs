//! A build that is a runner: what its registration is given to, and what `albatros runner` makes of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use albatros::domain::runner_wire::RunnerRegistration;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::serve::{ALONE, FakeServe};
use super::{Running, detail, start};
use crate::fake::wire::PATIENCE;

const REGISTERED: &str = r#"{"id":7,"name":"albatros-1","token":"s3cr3t-runner","labels":["ubuntu-latest"]}"#;

pub(super) fn gitea() -> RunnerRegistration {
    RunnerRegistration::Gitea { files: BTreeMap::from([(".runner".to_owned(), REGISTERED.to_owned())]) }
}

fn github() -> RunnerRegistration {
    RunnerRegistration::Github { jit: "s3cr3t-jit".to_owned() }
}

/// A runner's program that a test writes, in the place that `exec` would give to it.
struct Place {
    folder: TempDir,
    running: Running,
}

impl Place {
    async fn of(serve: &FakeServe, program: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let this = Self { folder, running: start(serve.source()).await };
        for dir in ["bin", "tmp"] {
            std::fs::create_dir(this.path(dir)).unwrap();
        }
        if !program.is_empty() {
            this.write("bin/act_runner", program);
        }
        this
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, program: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        // Written under another name: a program that somebody has open for writing cannot be run.
        let text = format!("#!/bin/sh\nout={}\n{program}\n", self.path("out").display());
        let new = self.path("new");
        std::fs::write(&new, text).unwrap();
        std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::rename(new, self.path(name)).unwrap();
    }

    fn start(&self, more: &[(&str, &str)]) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_albatros"));
        let path = format!("{}:/usr/bin:/bin", self.path("bin").display());
        command.arg("runner").env_clear().env("PATH", path).env("TMPDIR", self.path("tmp"));
        command.env("ALBATROS_API", format!("unix:{}", self.running.socket().display()));
        command.env("ALBATROS_TOKEN", &self.running.script).env("NOMAD_TOKEN", "s3cr3t-nomad").env("COMMIT", "0");
        command.envs(more.iter().copied());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command.spawn().unwrap()
    }

    async fn run(&self, more: &[(&str, &str)]) -> (Option<i32>, String) {
        ended(self.start(more)).await
    }

    /// What the program wrote; waits for it.
    async fn out(&self) -> String {
        let out = self.path("out");
        let written = async {
            while !std::fs::read_to_string(&out).is_ok_and(|text| text.ends_with("ready\n")) {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, written).await.expect("the program wrote");
        std::fs::read_to_string(out).unwrap()
    }
}

async fn ended(child: Child) -> (Option<i32>, String) {
    let output = timeout(PATIENCE, child.wait_with_output()).await.expect("it ends").unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

fn is_empty(dir: &Path) -> bool {
    std::fs::read_dir(dir).unwrap().next().is_none()
}

#[tokio::test]
async fn a_runners_registration_is_given_once() {
    let serve = FakeServe::start(&[]).await;
    serve.runners([Err(503), Ok(gitea())]);
    let running = start(serve.source()).await;
    // What serve does not answer is not given, and may be asked for again.
    assert_eq!(running.script("POST /v1/runner", "").await.status, 503);
    let given = running.script("POST /v1/runner", "").await;
    assert_eq!((given.status, given.value()["kind"].as_str()), (200, Some("gitea")), "{given:?}");
    let again = running.script("POST /v1/runner", "").await;
    assert_eq!(again.status, 410);
    assert!(detail(&again).contains("given once"), "{again:?}");
    assert_eq!(serve.runners_asked().len(), 2);
}

#[tokio::test]
async fn a_runners_script_has_nothing_of_what_builds_have() {
    let serve = FakeServe::start(&[]).await;
    serve.runners([Ok(gitea())]);
    let running = start(serve.source()).await;
    assert_eq!(running.script("GET /v1/build", "").await.status, 200);
    let save = r#"{"kind":"cache","id":"c","paths":["p"],"when":"always"}"#;
    for (line, body) in [
        ("POST /v1/jobs application/json", r#"{"name":"out","script":"true"}"#),
        ("GET /v1/jobs", ""),
        ("DELETE /v1/jobs/out", ""),
        ("POST /v1/report text/markdown", "# of a workflow"),
        ("POST /v1/events application/json", r#"{"type":"a"}"#),
        ("POST /v1/saves application/json", save),
    ] {
        let answered = running.script(line, body).await;
        assert_eq!(answered.status, 403, "{line}: {}", answered.text);
        assert!(detail(&answered).contains("is a runner"), "{line}: {}", answered.text);
    }
    assert!(serve.reports().is_empty());
}

#[tokio::test]
async fn a_forge_that_wants_to_be_left_alone_is_left_alone() {
    let serve = FakeServe::start(&[]).await;
    serve.runners([Err(429)]);
    let place = Place::of(&serve, "exit 0").await;
    let refused = place.running.script("POST /v1/runner", "").await;
    assert_eq!(refused.headers["retry-after"].to_str().unwrap(), ALONE, "{refused:?}");
    // For longer than a runner waits: it is not asked again and again meanwhile.
    let (code, said) = place.run(&[]).await;
    assert!(code == Some(3) && said.contains("not registered"), "{code:?}: {said}");
    assert_eq!(serve.runners_asked().len(), 2);
}

#[tokio::test]
async fn a_program_that_does_not_end_is_killed_with_all_that_it_has_started() {
    let serve = FakeServe::start(&[]).await;
    serve.runners([Ok(gitea())]);
    let program = r#"
        trap '' TERM
        sh -c 'trap "" TERM; echo $$ >"$0.child"; while :; do sleep 0.05; done' "$out" &
        while ! [ -s "$out.child" ]; do sleep 0.05; done
        echo ready >"$out"
        while :; do sleep 0.05; done"#;
    let place = Place::of(&serve, program).await;
    let child = place.start(&[]);
    place.out().await;
    let started = std::fs::read_to_string(place.path("out.child")).unwrap();
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let (code, said) = ended(child).await;
    assert!(code == Some(0) && said.contains("is killed"), "{code:?}: {said}");
    // Who reaps it is none of ours.
    let stat = format!("/proc/{}/stat", started.trim());
    let gone = async {
        while std::fs::read_to_string(&stat).is_ok_and(|state| !state.contains(") Z")) {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, gone).await.expect("what it had started ends with it");
    assert!(is_empty(&place.path("tmp")));
}

#[tokio::test]
async fn two_that_ask_at_once_are_not_two_runners() {
    let serve = FakeServe::start(&[]).await;
    serve.runners([Ok(gitea())]);
    let running = start(serve.source()).await;
    let (one, two) = tokio::join!(running.script("POST /v1/runner", ""), running.script("POST /v1/runner", ""));
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert_eq!((statuses, serve.runners_asked().len()), ([200, 410], 1));
}

#[tokio::test]
async fn a_build_that_is_no_runner_has_no_registration() {
    let serve = FakeServe::start(&[]).await;
    let place = Place::of(&serve, "exit 0").await;
    assert_eq!(place.running.script("POST /v1/runner", "").await.status, 404);
    let (code, said) = place.run(&[]).await;
    assert!(code == Some(2) && said.contains("not registered"), "{code:?}: {said}");
}

#[tokio::test]
async fn act_runner_finds_its_registration_and_nothing_of_the_build() {
    let serve = FakeServe::start(&[]).await;
    serve.runners([Err(503), Ok(gitea())]);
    let program = r#"(echo "$0 $*"; cat .runner; echo; stat -c %a .runner . ; env; pwd; echo ready) >"$out""#;
    let place = Place::of(&serve, program).await;
    let (code, said) = place.run(&[]).await;
    assert_eq!(code, Some(0), "{said}");
    let out = place.out().await;
    assert!(out.contains("daemon --config"), "{out}");
    assert!(out.contains(r#""labels":["ubuntu-latest:host"]"#), "{out}");
    assert!(out.contains("\n600\n700\n"), "{out}");
    for name in ["ALBATROS", "NOMAD", "COMMIT"] {
        assert!(!out.contains(name), "{name}: {out}");
    }
    // The registration is in its file, and neither in the arguments nor in the log.
    assert_eq!((out.matches("s3cr3t-runner").count(), said.matches("s3cr3t").count()), (1, 0), "{out}{said}");
    assert!(is_empty(&place.path("tmp")), "nothing is left of its folder");
}

#[tokio::test]
async fn github_s_runner_is_told_by_its_environment() {
    let serve = FakeServe::start(&[]).await;
    serve.runners([Ok(github())]);
    let place = Place::of(&serve, "").await;
    let program = r#"echo "[$*] $ACTIONS_RUNNER_INPUT_JITCONFIG $RUNNER_MANUALLY_TRAP_SIG ready" >"$out""#;
    place.write("bin/run.sh", program);
    assert_eq!(place.run(&[]).await.0, Some(0));
    assert_eq!(place.out().await, "[] s3cr3t-jit 1 ready\n", "and hands signals on");
}

#[tokio::test]
async fn what_the_builder_says_of_its_runners_is_heard() {
    let serve = FakeServe::start(&[]).await;
    serve.runners([Ok(gitea())]);
    let place = Place::of(&serve, "exit 9").await;
    place.write("own", r#"(cat .runner; echo " $DOCKER_HOST $3"; echo ready) >"$out""#);
    let own = place.path("own");
    let settings = [
        ("ALBATROS_RUNNER_PROGRAM", own.to_str().unwrap()),
        ("ALBATROS_RUNNER_IMAGE", "debian:12"),
        ("ALBATROS_RUNNER_DOCKER", "unix:///run/docker.sock"),
        ("ALBATROS_RUNNER_CONFIG", "/etc/act_runner.yaml"),
    ];
    assert_eq!(place.run(&settings).await.0, Some(0));
    let out = place.out().await;
    assert!(out.contains(r#"["ubuntu-latest:docker://debian:12"]"#), "{out}");
    assert!(out.contains("} unix:///run/docker.sock /etc/act_runner.yaml\n"), "{out}");
}

#[tokio::test]
async fn a_program_that_fails_or_is_not_there_is_no_runner() {
    let serve = FakeServe::start(&[]).await;
    serve.runners([Ok(gitea())]);
    let place = Place::of(&serve, "exit 7").await;
    let (code, said) = place.run(&[]).await;
    assert!(code == Some(1) && said.contains("act_runner ended with exit status: 7"), "{said}");
    assert!(is_empty(&place.path("tmp")));
    let place = Place::of(&serve, "").await;
    let (code, said) = place.run(&[("PATH", "/nowhere")]).await;
    assert!(code == Some(3) && said.contains("ALBATROS_RUNNER_PROGRAM"), "{said}");
}

#[tokio::test]
async fn a_signal_is_handed_on_once_and_the_files_are_removed() {
    let serve = FakeServe::start(&[]).await;
    serve.runners([Ok(gitea())]);
    let program = r#"
        trap 'echo told >>"$out"; exit 0' TERM
        echo ready >"$out"
        while :; do sleep 0.05; done"#;
    let place = Place::of(&serve, program).await;
    let child = place.start(&[]);
    place.out().await;
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let (code, said) = ended(child).await;
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(std::fs::read_to_string(place.path("out")).unwrap(), "ready\ntold\n");
    assert!(is_empty(&place.path("tmp")));
}

#[tokio::test]
async fn a_runner_that_nobody_has_a_job_for_ends() {
    let serve = FakeServe::start(&[]).await;
    serve.runners([Ok(gitea())]);
    let place = Place::of(&serve, "trap 'exit 0' TERM; while :; do sleep 0.05; done").await;
    let (code, said) = place.run(&[("ALBATROS_RUNNER_IDLE", "1s")]).await;
    assert!(code == Some(0) && said.contains("after 1s the runner takes no job any more"), "{code:?}: {said}");
    assert!(is_empty(&place.path("tmp")));
}

#[tokio::test]
async fn github_s_runner_is_not_told_to_end_while_it_has_a_job() {
    let serve = FakeServe::start(&[]).await;
    serve.runners([Ok(github())]);
    let place = Place::of(&serve, "").await;
    // Its job is a process of that name, and longer than the limit.
    std::fs::copy("/bin/sleep", place.path("bin/Runner.Worker")).unwrap();
    place.write("bin/run.sh", r#"trap 'echo told >"$out"' TERM; Runner.Worker 3; Runner.Worker 0"#);
    let (code, said) = place.run(&[("ALBATROS_RUNNER_IDLE", "1s")]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(!place.path("out").exists() && !said.contains("takes no job"), "{said}");
}
