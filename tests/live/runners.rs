//! Runners of Gitea's Actions on Nomad: a real forge's jobs, `act_runner` on a real node, and nothing left of either.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::fake::serve::Serve;
use crate::gitea::Gitea;
use crate::minded::{free_ports, may_run};
use crate::story::{ACTOR, SECRET, Story, until};

/// The repository at the forge.
const REPO: &str = "quentin/jobs";
/// What its jobs run on.
const LABEL: &str = "albatros-live";

/// A repository with workflows, whose hook tells a server of its jobs.
struct Actions {
    story: Story,
    gitea: Gitea,
    serve: Option<Serve>,
    listen: String,
    /// Where jobs leave files for the story, and it for them.
    spool: tempfile::TempDir,
}

impl Actions {
    /// With so many runners at most; none, and a line that is always seen, where something is missing.
    async fn begin(name: &str, most: u32) -> Option<Self> {
        if !may_run(name, &["act_runner"]) {
            return None;
        }
        let story = Story::begin(name).await?;
        let gitea = Gitea::start(name).await?;
        let [port] = free_ports();
        let listen = format!("127.0.0.1:{port}");
        let mut this = Self { story, gitea, serve: None, listen, spool: tempfile::tempdir().unwrap() };
        let made = json!({"name": "jobs", "auto_init": true, "private": true});
        this.gitea.call(&this.gitea.quentin, "POST", "/user/repos", &made).await;
        this.configure(most).await;
        this.register(&which("act_runner")).await;
        this.start().await;
        let url = format!("http://{}/hook", this.listen);
        let hook = json!({
            "type": "gitea", "active": true, "events": ["workflow_job"],
            "config": {"url": url, "content_type": "json", "secret": SECRET},
        });
        this.gitea.call(&this.gitea.quentin, "POST", &format!("/repos/{REPO}/hooks"), &hook).await;
        Some(this)
    }

    async fn configure(&self, most: u32) {
        let config = json!({
            "hook": {"secret": SECRET},
            "gitea": {"url": self.gitea.url(), "token": self.gitea.quentin},
            "builders": {"default": self.story.name},
            "tokens": {"read": [], "act": [ACTOR]},
            "runners": [{"labels": [LABEL], "builder": self.story.name, "max": most, "timeout": "10m"}],
        });
        self.story.configure_at(&format!("{}/{REPO}.git", self.gitea.url()), &config).await;
    }

    /// The shipped job file under the story's name, with another program where a story has one.
    async fn register(&self, program: &Path) {
        let hcl = include_str!("../../hcl/runner.hcl");
        let hcl = hcl.replace("job \"runner\"", &format!("job {:?}", self.story.name));
        let text = [
            ("server", format!("http://{}", self.listen)),
            ("albatros", self.story.cluster.program()),
            ("driver", "raw_exec".to_owned()),
            ("program", program.to_str().unwrap().to_owned()),
        ];
        let numbers = "disk = 1200\ncpu = 100\nmemory = 64\n";
        let text = text.iter().map(|(name, value)| format!("{name} = {value:?}\n")).collect::<String>();
        self.story.cluster.nomad.register(&hcl, &(text + numbers)).await;
    }

    /// The server, again at the same address.
    async fn start(&mut self) {
        let listen = self.listen.clone();
        let settings = [("ALBATROS_LISTEN", listen.as_str()), ("ALBATROS_RUNNERS_EVERY", "3s")];
        self.serve = Some(self.story.serve_with(&settings).await);
    }

    /// Pushes a workflow with one job, or as many as the matrix has.
    async fn push(&self, name: &str, matrix: usize, script: &str) {
        let all: Vec<String> = (1..=matrix).map(|n| n.to_string()).collect();
        let workflow = format!(
            "name: {name}\non: push\njobs:\n  job:\n    strategy:\n      matrix:\n        n: [{}]\n    runs-on: {LABEL}\n    \
             steps:\n      - run: |\n          cd {}\n          {script}\n",
            all.join(", "),
            self.spool.path().display(),
        );
        self.gitea.commit(&self.gitea.quentin, REPO, &format!(".gitea/workflows/{name}.yaml"), &workflow).await;
    }

    fn file(&self, name: &str) -> PathBuf {
        self.spool.path().join(name)
    }

    /// Waits until a job has left this file.
    async fn left(&self, name: &str) {
        let there = || async { self.file(name).exists().then_some(()) };
        until(&format!("{}: {name} of a job", self.story.name), there).await;
    }

    /// Waits until so many jobs are over, and gives how each ended.
    async fn ended(&self, count: usize) -> Vec<String> {
        // A wait of its own for each: many jobs take long, and none should.
        for reached in 1..=count {
            let over = || async { (self.over().await.len() >= reached).then_some(()) };
            until(&format!("{}: {reached} of {count} jobs", self.story.name), over).await;
        }
        self.over().await
    }

    async fn over(&self) -> Vec<String> {
        let jobs = self.gitea.jobs(REPO).await;
        let over = jobs.iter().filter(|job| job["status"] == "completed");
        over.map(|job| job["conclusion"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Waits until the forge lists no runner, and nothing is open here.
    async fn nothing_left(&self) -> Vec<Value> {
        let none = || async { self.gitea.runners(REPO).await.is_empty().then_some(()) };
        until(&format!("{}: no runner at the forge", self.story.name), none).await;
        let done = self.story.all_done().await;
        done.into_iter().map(|(_, record)| record).collect()
    }

    /// Waits until a runner is listed, and gives its name.
    async fn listed(&self) -> String {
        let one = || async { self.gitea.runners(REPO).await.first().cloned() };
        until(&format!("{}: a runner at the forge", self.story.name), one).await
    }

    /// The folder of the story's one build, on this machine.
    async fn folder(&self) -> PathBuf {
        let child = self.story.children().await.remove(0);
        let allocation = self.story.cluster.nomad.allocation(child["ID"].as_str().unwrap()).await;
        self.story.cluster.nomad.server().room().join("alloc").join(allocation["ID"].as_str().unwrap())
    }
}

/// The processes of a build's folder that were started as this program, with this verb where it has one. Other stories have
/// theirs on the same Nomad.
fn processes(folder: &Path, program: &str, verb: Option<&str>) -> Vec<Pid> {
    let mut found = Vec::new();
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let name = std::fs::read_to_string(process.path().join("comm")).unwrap_or_default();
        let here = std::fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(folder));
        let words = std::fs::read_to_string(process.path().join("cmdline")).unwrap_or_default();
        let is_verb = verb.is_none_or(|verb| words.split('\0').nth(1) == Some(verb));
        if here && name.trim_end() == program && is_verb {
            found.extend(Pid::from_raw(pid));
        }
    }
    found
}

/// Whether a runner of this record may be there.
fn is_under_way(record: &Value) -> bool {
    ["claimed", "dispatched"].iter().any(|phase| record["phase"]["is"] == *phase)
}

/// A program on the PATH.
fn which(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file()).unwrap()
}

/// A program that waits for leave, and then is the other one.
fn gated(spool: &Path, gate: &Path) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let file = spool.join("gated");
    let text = format!(
        "#!/bin/sh\nwhile [ ! -e {} ]; do sleep 0.1; done\nexec {} \"$@\"\n",
        gate.display(),
        which("act_runner").display()
    );
    std::fs::write(&file, text).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    file
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pushed_workflow_is_run_on_nomad_and_its_runner_is_gone() {
    let Some(actions) = Actions::begin("runner", 2).await else { return };
    actions.push("hello", 1, "env >env; touch ready; while [ ! -e go ]; do sleep 0.1; done; echo done >said").await;
    actions.left("ready").await;
    let name = actions.listed().await;
    assert!(name.starts_with("albatros-"), "{name}");
    nothing_shows_a_credential(&actions).await;
    std::fs::write(actions.file("go"), "").unwrap();
    assert_eq!(actions.ended(1).await, ["success"]);
    let done = actions.nothing_left().await;
    assert_eq!(done.len(), 1, "{done:#?}");
    assert_eq!(done[0]["outcome"]["is"], "success", "{done:#?}");
    let job = actions.gitea.jobs(REPO).await.remove(0);
    assert_eq!(job["runner_name"], name.as_str());
    actions.story.tell(&format!("{} on {name}: {}", job["name"], job["conclusion"]));
}

/// What registers runners is on no node; what a runner is registered as is in its own file, and in nothing that is shown.
async fn nothing_shows_a_credential(actions: &Actions) {
    let path = format!("/repos/{REPO}/actions/runners/registration-token");
    let registers = actions.gitea.call(&actions.gitea.quentin, "POST", &path, &Value::Null).await;
    let registers = registers["token"].as_str().unwrap().to_owned();
    let child = actions.story.children().await.remove(0);
    let build = child["ID"].as_str().unwrap().to_owned();
    let mut all = vec![("the job".to_owned(), child.to_string())];
    all.push(("the allocation".to_owned(), actions.story.cluster.nomad.allocation(&build).await.to_string()));
    all.push(("the workflow's environment".to_owned(), std::fs::read_to_string(actions.file("env")).unwrap()));
    let mut registered = Vec::new();
    let mut folders = vec![actions.folder().await];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).into_iter().flatten().flatten() {
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() && entry.metadata().is_ok_and(|file| file.len() < 1 << 20) {
                let text = String::from_utf8_lossy(&std::fs::read(entry.path()).unwrap_or_default()).into_owned();
                if entry.file_name() == ".runner" {
                    let token = serde_json::from_str::<Value>(&text).unwrap()["token"].as_str().unwrap().to_owned();
                    registered.push(token);
                } else {
                    all.push((entry.path().display().to_string(), text));
                }
            }
        }
    }
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        for file in ["cmdline", "environ"] {
            let bytes = std::fs::read(process.path().join(file)).unwrap_or_default();
            all.push((format!("a process's {file}"), String::from_utf8_lossy(&bytes).into_owned()));
        }
    }
    assert!(!registered.is_empty());
    registered.push(registers);
    for (what, text) in all {
        for secret in &registered {
            assert!(!text.contains(secret.as_str()), "a credential of a runner is in {what}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_jobs_are_each_done_once_and_never_more_than_four_at_a_time() {
    let Some(actions) = Actions::begin("runners-many", 4).await else { return };
    actions.push("many", 20, "echo one >>job-${{ matrix.n }}; sleep 1").await;
    let most = AtomicUsize::new(0);
    let watching = async {
        loop {
            let open = actions.story.records("open").await;
            let under_way = open.iter().filter(|(_, record)| is_under_way(record)).count();
            assert!(under_way <= 4, "{under_way} runners are under way");
            most.fetch_max(under_way, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let ended = tokio::select! {
        ended = actions.ended(20) => ended,
        () = watching => Vec::new(),
    };
    assert!(ended.iter().all(|one| one == "success"), "{ended:?}");
    let done = actions.nothing_left().await;
    for n in 1..=20 {
        let said = std::fs::read_to_string(actions.file(&format!("job-{n}"))).unwrap();
        assert_eq!(said, "one\n", "job {n} was run once");
    }
    actions.story.tell(&format!(
        "20 jobs green, {} records, at most {} under way at once",
        done.len(),
        most.into_inner()
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_cancelled_before_a_runner_took_it_stops_its_runner() {
    let Some(actions) = Actions::begin("runner-cancelled-before", 2).await else { return };
    let gate = actions.file("gate");
    actions.register(&gated(actions.spool.path(), &gate)).await;
    actions.push("never", 1, "touch taken").await;
    let name = actions.listed().await;
    actions.gitea.cancel(REPO, 1).await;
    let done = actions.nothing_left().await;
    assert_eq!(done.len(), 1, "{done:#?}");
    assert_eq!(actions.ended(1).await, ["cancelled"]);
    assert!(!actions.file("taken").exists());
    actions.story.tell(&format!("{name} was registered, its job cancelled: {}", done[0]["outcome"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_cancelled_while_it_runs_ends_its_runner() {
    let Some(actions) = Actions::begin("runner-cancelled-during", 2).await else { return };
    actions.push("long", 1, "touch ready; sleep 600; touch over").await;
    actions.left("ready").await;
    actions.gitea.cancel(REPO, 1).await;
    // Gitea says nothing of it and removes the runner at once; act_runner would go on to the job's end.
    let done = actions.nothing_left().await;
    assert_eq!(done.len(), 1, "{done:#?}");
    assert_eq!(actions.ended(1).await, ["cancelled"]);
    assert!(!actions.file("over").exists());
    actions.story.tell(&format!("cancelled while it ran: {}", done[0]["outcome"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runners_outlive_a_server_that_is_killed() {
    let Some(mut actions) = Actions::begin("runner-server-killed", 2).await else { return };
    let script = "echo one >>job-${{ matrix.n }}; while [ ! -e go ]; do sleep 0.1; done";
    actions.push("two", 2, script).await;
    actions.left("job-1").await;
    actions.left("job-2").await;
    actions.serve.take().unwrap().kill().await;
    std::fs::write(actions.file("go"), "").unwrap();
    assert_eq!(actions.ended(2).await, ["success", "success"]);
    actions.start().await;
    let done = actions.nothing_left().await;
    assert_eq!(done.len(), 2, "{done:#?}");
    for n in 1..=2 {
        assert_eq!(std::fs::read_to_string(actions.file(&format!("job-{n}"))).unwrap(), "one\n");
    }
    actions.story.tell("two jobs green, whose server was killed while they ran");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runner_that_is_killed_is_removed_from_the_forge() {
    let Some(actions) = Actions::begin("runner-killed", 2).await else { return };
    actions.push("long", 1, "touch ready; sleep 600").await;
    actions.left("ready").await;
    let name = actions.listed().await;
    let before = processes(&actions.folder().await, "act_runner", None);
    assert!(!before.is_empty(), "act_runner runs");
    for pid in before {
        kill_process(pid, Signal::KILL).unwrap();
    }
    let done = actions.nothing_left().await;
    assert_eq!(done.len(), 1, "{done:#?}");
    assert_eq!(done[0]["outcome"]["is"], "infra", "{done:#?}");
    actions.story.tell(&format!("{name} was killed in its job: {}", done[0]["outcome"]));
}

/// Kills what of ours runs with this verb, in the middle of a job.
async fn killed(verb: &str) {
    let Some(actions) = Actions::begin(&format!("runner-{verb}-killed"), 2).await else { return };
    actions.push("long", 1, "touch ready; sleep 600").await;
    actions.left("ready").await;
    let name = actions.listed().await;
    let folder = actions.folder().await;
    let ours = || async { Some(processes(&folder, "albatros", Some(verb))).filter(|found| !found.is_empty()) };
    for pid in until(&format!("{}: albatros {verb} runs", actions.story.name), ours).await {
        kill_process(pid, Signal::KILL).unwrap();
    }
    let done = actions.nothing_left().await;
    assert_eq!(done.len(), 1, "{done:#?}");
    assert_eq!(done[0]["outcome"]["is"], "infra", "{done:#?}");
    let gone = || async { processes(&folder, "act_runner", None).is_empty().then_some(()) };
    until(&format!("{}: no act_runner after that", actions.story.name), gone).await;
    actions.story.tell(&format!("albatros {verb} of {name} was killed in its job: {}", done[0]["outcome"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runner_whose_executor_is_killed_is_removed_from_the_forge() {
    killed("exec").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runner_whose_minder_is_killed_is_removed_from_the_forge() {
    killed("runner").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runner_whose_controller_is_killed_is_removed_from_the_forge() {
    killed("controller").await;
}
