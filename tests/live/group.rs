//! A builder as it is shipped, on one driver, and a repository whose branches hold the scripts of a story.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use albatros::domain::elf;
use serde_json::Value;

use crate::fake::delivery::Delivery;
use crate::fake::serve::Serve;
use crate::git::Git;
use crate::minded::say;
use crate::story::{INJECT, SECRET, Story, until};
use crate::tree;

const NONE: &str = "0000000000000000000000000000000000000000";
/// The repository's owner and name at the forge.
const NAME: &str = "quentin/hello";
/// How long a node takes to find docker, which may not be there at all.
const FOUND: Duration = Duration::from_secs(15);
/// The tasks of a runner group.
pub(crate) const TASKS: [&str; 4] = ["controller", "sidecar", "prepare", "executor"];

/// What separates the tasks of a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Driver {
    /// Nothing.
    RawExec,
    /// A root and processes of their own, one user.
    Exec,
    /// A container each.
    Docker,
}

impl fmt::Display for Driver {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::RawExec => "raw_exec",
            Self::Exec => "exec",
            Self::Docker => "docker",
        })
    }
}

/// A story with a builder of its own.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) story: Story,
    pub(crate) serve: Option<Serve>,
    pub(crate) driver: Driver,
    pub(crate) git: Git,
    listen: String,
    store: tempfile::TempDir,
}

impl Group {
    /// With these branches and their scripts; none, and a line that is always seen, where the driver is missing.
    pub(crate) async fn begin(name: &str, driver: Driver, scripts: &[(&str, &str)]) -> Option<Self> {
        Self::with(name, driver, scripts, &[]).await
    }

    /// The same with other answers to the job file's variables.
    pub(crate) async fn with(
        name: &str,
        driver: Driver,
        scripts: &[(&str, &str)],
        answers: &[(&str, &str)],
    ) -> Option<Self> {
        let name = format!("{name}-{}", driver.to_string().replace('_', "-"));
        let story = Story::begin(&name).await?;
        if !can_run(&story, driver).await {
            return None;
        }
        let [port] = crate::minded::free_ports();
        let listen = format!("127.0.0.1:{port}");
        let git = Git::with_branches(scripts).await;
        let mut group = Self { story, serve: None, driver, git, listen, store: tempfile::tempdir().unwrap() };
        group.register(&name, answers).await;
        group.configure().await;
        group.start().await;
        Some(group)
    }

    /// The server, again on the same port where there was one.
    pub(crate) async fn start(&mut self) {
        let store = format!("file://{}", self.store.path().display());
        let settings = [("ALBATROS_LISTEN", self.listen.as_str()), ("ALBATROS_STORE", &store)];
        let serve = self.story.serve_with(&settings).await;
        self.serve = Some(serve);
    }

    /// The server that runs.
    pub(crate) fn server(&self) -> &Serve {
        self.serve.as_ref().unwrap()
    }

    /// Registers the shipped job file under another name.
    pub(crate) async fn register(&self, name: &str, answers: &[(&str, &str)]) {
        let shipped = match self.driver {
            Driver::Docker => include_str!("../../hcl/builder.hcl"),
            Driver::Exec | Driver::RawExec => include_str!("../../hcl/exec.hcl"),
        };
        self.register_file(&shipped.replace("job \"builder\"", &format!("job \"{name}\"")), answers).await;
    }

    /// Registers any job file with the variables of a builder.
    pub(crate) async fn register_file(&self, hcl: &str, answers: &[(&str, &str)]) {
        let server = format!("http://{}", self.listen);
        // Many builds at once, on any machine.
        let mut told = vec![("server", server.as_str()), ("disk", "1200")];
        let driver = self.driver.to_string();
        let program = self.story.cluster.program();
        match self.driver {
            Driver::Docker => told.extend([("tools", tree::TOOLS), ("image", tree::TOOLS)]),
            Driver::Exec | Driver::RawExec => told.push(("driver", &driver)),
        }
        // A program that is not static cannot be fetched: it is installed where tasks find it.
        match self.driver {
            Driver::RawExec if !is_static() => told.push(("albatros", &program)),
            Driver::Exec if !is_static() => told.push(("albatros", "/usr/bin/albatros")),
            Driver::RawExec | Driver::Exec | Driver::Docker => {}
        }
        told.retain(|(name, _)| answers.iter().all(|(other, _)| other != name));
        told.extend(answers);
        let quoted = |value: &str| {
            if value.starts_with('[') || value.parse::<f64>().is_ok() { value.to_owned() } else { format!("{value:?}") }
        };
        let variables: Vec<String> = told.iter().map(|(name, value)| format!("{name} = {}\n", quoted(value))).collect();
        self.story.cluster.nomad.register(hcl, &variables.concat()).await;
    }

    /// Configures the repository, with the flavors that images are for.
    async fn configure(&self) {
        let mut config = self.story.config();
        config["builders"]["flavors"] = serde_json::json!({
            "one": {"builder": self.story.name, "image": tree::ONE},
            "user": {"builder": self.story.name, "image": tree::USER},
        });
        self.story.configure_at(&self.git.url(), &config).await;
    }

    /// quentin pushes the branch; gives the build.
    pub(crate) async fn push(&self, branch: &str) -> String {
        self.deliver(branch, |delivery| delivery).await
    }

    /// The same for a flavor.
    pub(crate) async fn push_as(&self, branch: &str, flavor: &str) -> String {
        self.deliver(branch, |delivery| delivery.flavor(flavor)).await
    }

    /// Somebody pushes the branch.
    pub(crate) async fn push_by(&self, branch: &str, sender: &str) -> String {
        self.deliver(branch, |delivery| delivery.sender(sender)).await
    }

    async fn deliver(&self, branch: &str, changed: impl FnOnce(Delivery) -> Delivery) -> String {
        let sha = self.git.commit_of(branch);
        self.story.forge.push(NAME, branch, &sha);
        let delivery = Delivery::push(branch, NONE, &sha).repo(&self.git.url());
        let reply = changed(delivery).send(&self.server().url, SECRET).await;
        assert!([200, 202].contains(&reply.status), "{}: {}", reply.status, reply.text);
        let claim = || async {
            let all = [self.story.records("open").await, self.story.records("done").await].concat();
            let found = all.into_iter().find(|(_, record)| record["commit"] == sha.as_str());
            found.and_then(|(_, record)| record["build"].as_str().map(str::to_owned))
        };
        until(&format!("{}: the build of {branch}", self.story.name), claim).await
    }

    /// The claim of a branch's commit, whatever has become of it.
    pub(crate) async fn claim(&self, branch: &str) -> String {
        let sha = self.git.commit_of(branch);
        let all = [self.story.records("open").await, self.story.records("done").await].concat();
        all.into_iter().find(|(_, record)| record["commit"] == sha.as_str()).unwrap().0
    }

    /// Waits for the verdict: the commit's final status, as `success: Successful in 2s`.
    pub(crate) async fn verdict(&self, branch: &str) -> String {
        let status = self.story.final_of(&self.git.commit_of(branch)).await;
        format!("{}: {}", status.state, status.description)
    }

    /// What a task has printed, both streams, as Nomad gives it.
    pub(crate) async fn printed(&self, build: &str, task: &str) -> String {
        let allocation = self.story.cluster.nomad.allocation(build).await;
        let id = allocation["ID"].as_str().unwrap_or_default().to_owned();
        let mut all = String::new();
        for kind in ["stdout", "stderr"] {
            let path = format!("/v1/client/fs/logs/{id}?task={task}&type={kind}&plain=true&namespace=ci");
            let read = self.story.cluster.nomad.text(&path);
            all += &tokio::time::timeout(Duration::from_secs(10), read).await.unwrap_or_default();
        }
        all
    }

    /// The same once these words are there: docker hands on what a short script prints when it is long over.
    pub(crate) async fn printed_with(&self, build: &str, words: &str) -> String {
        let look = || async { Some(self.printed(build, "executor").await).filter(|said| said.contains(words)) };
        until(&format!("{}: {words:?} of {build}", self.story.name), look).await
    }

    /// The build's folder on this machine, in which a story can leave the script a word.
    pub(crate) async fn folder(&self, build: &str) -> PathBuf {
        let allocation = || async {
            let found = self.story.cluster.nomad.allocation(build).await;
            found["ID"].as_str().map(str::to_owned)
        };
        let id = until("an allocation", allocation).await;
        self.story.cluster.nomad.server().room().join("alloc").join(id)
    }

    /// Waits until the script has left this file in the build's shared folder.
    pub(crate) async fn left(&self, build: &str, file: &str) -> PathBuf {
        let path = self.folder(build).await.join("alloc/data").join(file);
        let there = || async {
            if path.exists() {
                return Some(());
            }
            let allocation = self.story.cluster.nomad.allocation(build).await;
            let over = allocation["TaskStates"]["executor"]["State"] == "dead" && !path.exists();
            assert!(!over, "{build} is over without {file}\n{}", self.all_printed(build).await);
            None
        };
        until(&format!("{}: {file} of {build}", self.story.name), there).await;
        path
    }

    /// Waits until Nomad, too, knows that the script runs: a script can be quicker than Nomad's event of its start, and
    /// what is done to it before that event reads as if it had been done to nothing.
    pub(crate) async fn started(&self, build: &str) {
        let running = || async {
            let allocation = self.story.cluster.nomad.allocation(build).await;
            (allocation["TaskStates"]["executor"]["State"] == "running").then_some(())
        };
        until(&format!("{}: the start of {build}", self.story.name), running).await;
    }

    /// Leaves a file for the script in the shared folder.
    pub(crate) async fn tell_script(&self, build: &str, file: &str) {
        std::fs::write(self.folder(build).await.join("alloc/data").join(file), "").unwrap();
    }

    /// For a failure: what all tasks of a build say.
    pub(crate) async fn all_printed(&self, build: &str) -> String {
        let mut all = String::new();
        for task in TASKS {
            all += &format!("--- {task}\n{}\n", self.printed(build, task).await);
        }
        all + events(&self.story.cluster.nomad.allocation(build).await).as_str()
    }

    /// Nothing of the repository's secrets is in this.
    pub(crate) fn holds_no_secret(&self, what: &str, text: &str) {
        let secret = INJECT.split_once('=').unwrap().1;
        assert!(!text.contains(secret), "{}: a secret is in {what}", self.story.name);
    }
}

/// Whether the program under test runs anywhere.
pub(crate) fn is_static() -> bool {
    let program = std::fs::read(env!("CARGO_BIN_EXE_albatros")).unwrap();
    elf::is_static(&program[..elf::HEAD])
}

async fn can_run(story: &Story, driver: Driver) -> bool {
    let skip = |why: &str| say(&format!("SKIPPED {}: {why}", story.name));
    if driver == Driver::Docker && !is_static() {
        skip(
            "images need a static program: RUSTFLAGS=\"-C target-feature=+crt-static\" ALBATROS_LIVE=1 cargo test \
              --target \"$(uname -m)-unknown-linux-gnu\" --test live",
        );
        return false;
    }
    let healthy = tokio::time::timeout(FOUND, async {
        while !story.cluster.nomad.has(&driver.to_string()).await {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
    if healthy.await.is_err() {
        skip("this machine's Nomad cannot run it");
        return false;
    }
    if driver == Driver::Docker && !story.cluster.make_images().await {
        skip("`docker import` makes no image here");
        return false;
    }
    true
}

/// What Nomad says happened, task by task.
fn events(allocation: &Value) -> String {
    let mut all = String::new();
    for (task, state) in allocation["TaskStates"].as_object().into_iter().flatten() {
        for event in state["Events"].as_array().into_iter().flatten() {
            all += &format!("{task}: {}\n", event["DisplayMessage"]);
        }
    }
    all
}
