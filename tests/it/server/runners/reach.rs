//! What a workflow can do with what it finds in its runner: nothing of what builds have.

use super::*;
use crate::fake::world::{ACTOR, person};

#[tokio::test]
async fn a_workflow_gets_nothing_of_a_builds_with_its_runners_session() {
    let (world, store) = (world(&pool()).await, tempfile::tempdir().unwrap());
    world.set("ALBATROS_STORE", &format!("file://{}", store.path().join("store").display()));
    world.nomad.register(&Builder::full("container"));
    let serve = world.serve().await;
    world.followed().await;
    deliver(&serve, &world.forge.queue(REPO, &[LABEL])).await;
    let build = world.nomad.child("runner", 1).await;
    world.nomad.place(&build);
    named(&world, &build).await;
    let (registered, claim, secret) = registration(&world, &serve, &build).await;
    assert_eq!(registered.status, 200, "{}", registered.text);
    let job = json!({"name": "out", "script": "true"}).to_string();
    for (method, path, body) in [
        ("PUT", "jobs/out", job.as_str()),
        ("GET", "jobs", ""),
        ("DELETE", "jobs/out", ""),
        ("GET", "jobs/out/log", ""),
        ("PUT", "address", r#"{"address":"127.0.0.1:1"}"#),
        ("GET", "artifacts", ""),
        ("GET", "artifacts/a", ""),
        ("HEAD", "artifacts/a", ""),
        ("POST", "artifacts/a", "{}"),
        ("GET", "caches/c", ""),
        ("POST", "caches/c", "{}"),
        ("PUT", "uploads/c0112233445566778899aabbccddeeff", "x"),
    ] {
        let url = format!("{}/session/{claim}/{path}", serve.url);
        let request = client().request(method.parse().unwrap(), url).bearer_auth(&secret).body(body.to_owned());
        let reply = Reply::read(request.send().await.unwrap()).await;
        assert_eq!(reply.status, 403, "{method} {path}: {}", reply.text);
    }
    let report = json!({"summary": "# of a workflow", "tests": {"total": 1, "failed": 1, "skipped": 0}}).to_string();
    let request = client().put(format!("{}/session/{claim}/report", serve.url)).bearer_auth(&secret).body(report);
    assert_eq!(request.send().await.unwrap().status().as_u16(), 204, "how its machine ended is told so");
    let shown = person(&serve, "GET", &format!("/builds/{build}"), Some(ACTOR)).await;
    assert!(shown.text.contains("runner") && !shown.text.contains("of a workflow"), "{}", shown.text);
    assert!(!shown.text.contains("tests failed"), "{}", shown.text);
    assert!(world.nomad.children("container").is_empty() && world.open().len() == 1);
}
