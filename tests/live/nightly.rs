//! A schedule as it is shipped: what Nomad starts at its time asks for a build.

use std::fs;

use serde_json::{Value, json};

use crate::fake::delivery::{REPO, commit};
use crate::story::{ACTOR, Story, until};

const SCHEDULE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/hcl/nightly.hcl");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schedule_has_the_branch_s_head_built_once_each_time() {
    let Some(story) = Story::begin("nightly").await else { return };
    let serve = story.serve().await;
    let nomad = &story.cluster.nomad;
    let head = commit(0xc1);
    story.forge.push("quentin/albatros", "main", &head);

    let token = json!({"Path": "nomad/jobs/nightly", "Namespace": "default", "Items": {"act_token": ACTOR}});
    nomad.call("PUT", "/v1/var/nomad/jobs/nightly?namespace=default", Some(&token)).await;
    let answers = format!(
        "server = {:?}\nrepo = {REPO:?}\ndriver = \"raw_exec\"\nalbatros = {:?}\n",
        serve.url,
        env!("CARGO_BIN_EXE_albatros"),
    );
    nomad.register(&fs::read_to_string(SCHEDULE).unwrap(), &answers).await;
    assert!(story.children().await.is_empty(), "nothing is built before its time");

    nomad.call("PUT", "/v1/job/nightly/periodic/force?namespace=default", None).await;
    let status = story.final_of(&head).await;
    assert_eq!(status.state, "success", "{status:?}");
    let done = story.all_done().await;
    assert_eq!((done.len(), &done[0].1["sender"]["login"]), (1, &Value::from("@trigger")), "{done:#?}");

    // The job has said which build it is, and has ended well; the token stands nowhere in it.
    let run = until("the schedule's job to end", || async {
        let jobs = nomad.get("/v1/jobs?namespace=default&prefix=nightly/periodic-").await;
        let id = jobs[0]["ID"].as_str()?.replace('/', "%2F");
        let runs = nomad.get(&format!("/v1/job/{id}/allocations?namespace=default")).await;
        (runs[0]["ClientStatus"] == "complete").then(|| (id, runs[0]["ID"].as_str().unwrap().to_owned()))
    });
    let (id, run) = run.await;
    let log = |kind: &str| format!("/v1/client/fs/logs/{run}?namespace=default&task=trigger&type={kind}&plain=true");
    // The log may come a moment after the end; and where Nomad is slow the answer is the claim's address.
    let (claim, build) = (done[0].0.as_str(), done[0].1["build"].as_str().unwrap());
    let told = until("what the schedule's job has printed", || async {
        let (out, err) = (nomad.text(&log("stdout")).await, nomad.text(&log("stderr")).await);
        (out.contains(build) || out.contains(claim)).then_some((out, err))
    });
    let (out, err) = told.await;
    let job = nomad.get(&format!("/v1/job/{id}?namespace=default")).await.to_string();
    assert!(![job, out.clone(), err].iter().any(|text| text.contains(ACTOR)));
    story.tell(&format!("{}: {}", id.replace("%2F", "/"), out.trim()));
}
