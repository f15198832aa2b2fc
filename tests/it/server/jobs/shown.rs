//! What people see of jobs.

use serde_json::Value;

use super::{Parent, job};
use crate::fake::http::{Reply, client};
use crate::fake::world::person;

async fn value(parent: &Parent, path: &str) -> Value {
    let request = client().get(format!("{}{path}", parent.story.serve.url)).header("accept", "application/json");
    Reply::read(request.send().await.unwrap()).await.value()
}

#[tokio::test]
async fn a_list_has_jobs_only_where_they_are_asked_for() {
    let parent = Parent::new().await;
    let build = parent.start(&job("test")).await;
    parent.wait("it is named", |job| job["build"].is_string()).await;
    let of = |list: &Value| list.as_array().unwrap().iter().map(|one| one["build"].clone()).collect::<Vec<_>>();
    assert_eq!(of(&value(&parent, "/builds").await), [parent.story.build.as_str()]);
    let all = of(&value(&parent, "/builds?jobs=true").await);
    assert!(all.len() == 2 && all.contains(&build.clone().into()), "{all:?}");
    parent.world().nomad.run(&build);
    parent.world().nomad.exit(&build, 0);
    parent.world().consul.wait("albatros-builds/", "it is settled", |_| parent.done_job().is_some()).await;
    assert_eq!(of(&value(&parent, "/builds").await), [parent.story.build.as_str()]);
}

#[tokio::test]
async fn a_build_s_page_names_its_jobs_during_and_after_it() {
    let parent = Parent::new().await;
    let build = parent.start(&job("test")).await;
    parent.wait("it is named", |job| job["build"].is_string()).await;
    let page = format!("/builds/{}", parent.story.build);
    let jobs = value(&parent, &page).await["jobs"].clone();
    assert_eq!((&jobs[0]["name"], &jobs[0]["build"]), (&"test".into(), &build.clone().into()));
    let link = jobs[0]["page"].as_str().unwrap().strip_prefix("https://ci.example").unwrap().to_owned();
    let own = value(&parent, &link).await;
    assert_eq!((&own["job"], &own["parent"]), (&"test".into(), &parent.claim.clone().into()));

    parent.world().nomad.run(&build);
    parent.world().nomad.exit(&build, 3);
    parent.wait("it has ended", |job| job["ended"] == true).await;
    parent.world().nomad.exit(&parent.story.build, 0);
    parent.world().all_done(2).await;
    let jobs = value(&parent, &page).await["jobs"].clone();
    assert_eq!((&jobs[0]["state"], &jobs[0]["exit_code"]), (&"failure".into(), &3.into()));
    let text = person(&parent.story.serve, "GET", &page, None).await.text;
    assert!(text.contains("job test: failure (Failed with exit 3"), "{text}");
    let own = person(&parent.story.serve, "GET", &link, None).await.text;
    assert!(own.contains("job test of https://ci.example/builds/claim/"), "{own}");
}

#[tokio::test]
async fn the_verb_status_names_a_job_and_the_claim_to_approve_it_by() {
    let parent = Parent::new().await;
    let reply = parent.put(&serde_json::json!({"name": "deploy", "hold": true})).await;
    let claim = reply.value()["claim"].as_str().unwrap().to_owned();
    let run = async |arguments: &[&str]| {
        let mut verb = tokio::process::Command::new(env!("CARGO_BIN_EXE_albatros"));
        verb.args(arguments).env_clear().env("ALBATROS_URL", &parent.story.serve.url).kill_on_drop(true);
        String::from_utf8(verb.output().await.unwrap().stdout).unwrap()
    };
    let said = run(&["status", &parent.story.build]).await;
    assert!(said.contains(&format!("deploy held waiting for approval {claim}")), "{said}");
    assert!(run(&["list", "--jobs"]).await.contains(&claim));
    assert!(!run(&["list"]).await.contains(&claim));
}
