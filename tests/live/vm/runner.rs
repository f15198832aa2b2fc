//! A runner of the forge's Actions whose job is done in a microVM.

use std::process::Command;

use serde_json::{Value, json};

use super::network::{Address, ELSEWHERE};
use super::node::Node;
use crate::gitea::Gitea;
use crate::minded::{free_ports, may_run};
use crate::story::{ACTOR, SECRET, Story, until};

const REPO: &str = "quentin/jobs";
const LABEL: &str = "albatros-live";
const IMAGE: &str = "act-runner:1";
const WORKFLOW: &str = "name: machine
on: push
jobs:
  job:
    runs-on: albatros-live
    steps:
      - shell: sh
        run: test \"$(id -u)\" = 1000 && grep -q '^overlay / ' /proc/mounts && test ! -e /var/lib/albatros
";

/// Files that act_runner needs where it was linked against libraries of this machine.
fn libraries(program: &str) -> Vec<String> {
    let said = Command::new("ldd").arg(program).output().unwrap().stdout;
    let words = String::from_utf8(said).unwrap();
    words
        .split_whitespace()
        .filter(|word| word.starts_with('/'))
        .map(|word| word.trim_end_matches(':').to_owned())
        .collect()
}

/// The shipped job file for microVMs, called as runners are.
async fn register(node: &Node, story: &Story, listen: &str) {
    let hcl = include_str!("../../../hcl/microvm.hcl").replace("job \"builder\"", &format!("job {:?}", story.name));
    let text = [
        ("server", format!("http://{listen}")),
        ("albatros", node.program().to_str().unwrap().to_owned()),
        ("driver", "raw_exec".to_owned()),
        ("store", node.store().to_str().unwrap().to_owned()),
        ("image", IMAGE.to_owned()),
        ("pull", "never".to_owned()),
        ("accel", "tcg".to_owned()),
        ("network", "user".to_owned()),
        // No name is looked up.
        ("dns", "198.51.100.9".to_owned()),
        ("machine_disk", "512M".to_owned()),
        ("program", "/bin/act_runner".to_owned()),
        ("idle", "8m".to_owned()),
    ];
    let text = text.iter().map(|(name, value)| format!("{name} = {value:?}\n")).collect::<String>();
    story.cluster.nomad.register(&hcl, &(text + "disk = 1200\nmemory = 640\n")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workflows_job_is_done_in_a_machine_and_its_runner_is_gone() {
    if !may_run("vm: runner", &["act_runner"]) {
        return;
    }
    let Some(node) = Node::begin("vm: runner").await else { return };
    // From within a machine this machine's own loopback is out of reach.
    let Some(_address) = Address::add("vm: runner") else { return };
    let Some(story) = Story::begin("machine-runner").await else { return };
    let Some(gitea) = Gitea::start_at("machine-runner", ELSEWHERE).await else { return };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let program = std::env::split_paths(&path).map(|folder| folder.join("act_runner")).find(|file| file.is_file());
    let program = program.unwrap().to_str().unwrap().to_owned();
    let mut files = vec![("bin/act_runner".to_owned(), std::fs::read(&program).unwrap())];
    files.extend(libraries(&program).into_iter().map(|file| (file.clone(), std::fs::read(file).unwrap())));
    node.make(IMAGE, &files).await;

    let [port] = free_ports();
    let listen = format!("127.0.0.1:{port}");
    register(&node, &story, &listen).await;
    gitea.call(&gitea.quentin, "POST", "/user/repos", &json!({"name": "jobs", "auto_init": true})).await;
    let config = json!({
        "hook": {"secret": SECRET},
        "gitea": {"url": gitea.url(), "token": gitea.quentin},
        "builders": {"default": story.name},
        "tokens": {"read": [], "act": [ACTOR]},
        "runners": [{"labels": [LABEL], "builder": story.name, "max": 1, "timeout": "15m"}],
    });
    story.configure_at(&format!("{}/{REPO}.git", gitea.url()), &config).await;
    // Deliveries are not needed: the forge is asked what waits.
    let settings = [("ALBATROS_LISTEN", listen.as_str()), ("ALBATROS_RUNNERS_EVERY", "3s")];
    let _serve = story.serve_with(&settings).await;
    gitea.commit(&gitea.quentin, REPO, ".gitea/workflows/machine.yaml", WORKFLOW).await;

    until("a machine", || async { (!node.machines().is_empty()).then_some(()) }).await;
    let over = || async {
        let jobs = gitea.jobs(REPO).await;
        jobs.into_iter().find(|job| job["status"] == "completed")
    };
    let job: Value = until("a job that is over", over).await;
    assert_eq!(job["conclusion"], "success", "{job:#}");
    until("no runner at the forge", || async { gitea.runners(REPO).await.is_empty().then_some(()) }).await;
    let done = story.all_done().await;
    assert_eq!(done.len(), 1, "{done:#?}");
    assert_eq!(done[0].1["outcome"]["is"], "success", "{done:#?}");
    node.nothing_is_left().await;
    story.tell(&format!("{} in a machine, on {}: {}", job["name"], job["runner_name"], job["conclusion"]));
}
