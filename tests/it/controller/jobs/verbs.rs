//! `albatros job`, as a script types it.

use serde_json::json;

use super::super::verbs::{Said, in_build, say};
use super::build;

async fn typed(running: &super::Running, line: &str) -> Said {
    in_build(running, &line.split(' ').collect::<Vec<_>>(), "").await
}

#[tokio::test]
async fn a_job_is_started_waited_for_and_its_log_read() {
    let (serve, running) = build().await;
    let said = typed(
        &running,
        "job start test --image rust:1 --env A=b=c --param LONG --get built:in --put out=x --put out=y --timeout 5m \
         --cache c-{hash}=target --cache-hash Cargo.lock -- cargo test",
    )
    .await;
    assert_eq!((said.code, said.out.as_str()), (Some(0), "test\n"), "{said:?}");
    let spec = serve.jobs.started("test").await;
    let expected = json!({
        "name": "test", "image": "rust:1", "command": ["cargo", "test"], "env": {"A": "b=c"}, "params": ["LONG"],
        "timeout": "5m", "get": [{"artifact": "built", "into": "in"}], "put": [{"artifact": "out", "paths": ["x", "y"]}],
        "caches": [{"key": "c-{hash}", "hash": ["Cargo.lock"], "paths": ["target"]}]
    });
    assert_eq!(spec, expected);
    serve.jobs.say("test", "two tests\n");
    assert_eq!(typed(&running, "job logs test").await.out, "two tests\n");
    serve.jobs.end("test", "failure", Some(3));
    let said = typed(&running, "job wait test").await;
    assert_eq!((said.code, said.out.as_str()), (Some(3), ""), "{said:?}");
    assert!(said.err.contains("job test: failure (exit 3)"), "{said:?}");
    let said = typed(&running, "job logs -f test").await;
    assert_eq!((said.code, said.out.as_str()), (Some(3), "two tests\n"));
    assert_eq!(typed(&running, "job list").await.out, "test  failure (exit 3)\n");
}

#[tokio::test]
async fn a_job_that_never_ran_is_never_well_waited_for() {
    let (serve, running) = build().await;
    typed(&running, "job start a -- x").await;
    typed(&running, "job start b --need a -- x").await;
    typed(&running, "job start c --need a --when failure -- x").await;
    serve.jobs.started("a").await;
    serve.jobs.end("a", "success", Some(0));
    serve.jobs.started("b").await;
    serve.jobs.end("b", "lost", None);
    for (job, code) in [("a", 0), ("b", 1), ("c", 1)] {
        assert_eq!(typed(&running, &format!("job wait {job}")).await.code, Some(code), "{job}");
    }
    assert_eq!(typed(&running, "job wait a b").await.code, Some(1));
    let said = typed(&running, "job wait nowhere").await;
    assert!(said.code == Some(2) && said.err.contains("no job nowhere"), "{said:?}");
}

#[tokio::test]
async fn run_follows_a_job_to_its_end() {
    let (serve, running) = build().await;
    let running_job = typed(&running, "job run --image docker.io/library/alpine:3 -- true");
    let (said, ()) = tokio::join!(running_job, async {
        serve.jobs.started("alpine").await;
        serve.jobs.say("alpine", "in it\n");
        serve.jobs.end("alpine", "success", Some(0));
    });
    assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (Some(0), "in it\n", ""));
}

const PLAN: &str = "lint: {command: [cargo, clippy], image: 'rust:1'}\n\
    db: {service: true, port: 7009, script: postgres}\n\
    test: {needs: [lint, db], script: cargo test}\n\
    mourn: {needs: [test], when: failure, command: [mail]}\n";

#[tokio::test]
async fn a_plan_runs_in_order_stops_its_services_and_is_green_only_if_all_went_well() {
    for (state, code, verdict) in [("success", 0, "plan: success"), ("failure", 1, "plan: failure; test: failure")] {
        let (serve, running) = build().await;
        let plan = in_build(&running, &["job", "plan", "-", "--logs"], PLAN);
        let (said, ()) = tokio::join!(plan, async {
            serve.jobs.started("lint").await;
            serve.jobs.started("db").await;
            serve.jobs.say("lint", "fine\nvery");
            serve.jobs.end("lint", "success", Some(0));
            serve.jobs.set("db", json!({"state": "running", "ready": true}));
            serve.jobs.started("test").await;
            serve.jobs.end("test", state, (state == "success").then_some(0));
            if state == "failure" {
                serve.jobs.started("mourn").await;
                serve.jobs.end("mourn", "success", Some(0));
            }
            serve.jobs.stopped("db").await;
        });
        assert_eq!((said.code, said.out.as_str()), (Some(code), "lint| fine\nlint| very\n"), "{said:?}");
        assert!(said.err.contains(verdict), "{said:?}");
    }
}

#[tokio::test]
async fn a_plan_is_shown_without_a_build_and_what_is_wrong_with_one_is_named() {
    let said = say(&[], &["job", "plan", "-", "--dry-run"], PLAN).await;
    let expected = "stage 1\n  lint: cargo clippy; in rust:1\n  db: a script of 1 lines; serves on port 7009\nstage 2\n  \
        test: a script of 1 lines; after lint, db\nstage 3\n  mourn: mail; after test, if one of them fails\n";
    assert_eq!((said.code, said.out.as_str()), (Some(0), expected), "{said:?}");
    for (plan, words) in [
        ("a: {needs: [b], script: x}\nb: {needs: [a], script: x}", "a → b → a"),
        ("a:\n  scrip: x\n", "line 2"),
        ("a: {needs: [c], script: x}", "job a needs c"),
        ("", "job"),
    ] {
        let said = say(&[], &["job", "plan", "-", "--dry-run"], plan).await;
        assert!(said.code == Some(2) && said.err.contains(words), "{plan:?}: {said:?}");
    }
    let said = say(&[], &["job", "plan", "-"], PLAN).await;
    assert!(said.code == Some(2) && said.err.contains("ALBATROS_API"), "{said:?}");
}

#[tokio::test]
async fn what_is_typed_wrongly_is_said_at_once() {
    let (serve, running) = build().await;
    for (line, words) in [
        ("job start", "name"),
        ("job start db --service -- x", "--port"),
        ("job start a --script /nowhere", "/nowhere"),
        ("job start a --env A -- x", "NAME=VALUE"),
        ("job start a --put o -- x", "NAME=VALUE"),
        ("job start a --need b -- x", "job a needs b"),
    ] {
        let said = typed(&running, line).await;
        assert!(said.code == Some(2) && said.err.contains(words), "{line}: {said:?}");
    }
    assert_eq!(serve.jobs.puts(), 0);
}

#[tokio::test]
async fn programs_get_jobs_as_json() {
    let (serve, running) = build().await;
    let object = async |line: &str, code: i32| {
        let said = typed(&running, &format!("{line} --json")).await;
        assert_eq!((said.code, said.out.lines().count()), (Some(code), 1), "{line}: {said:?}");
        serde_json::from_str::<serde_json::Value>(&said.out).unwrap()
    };
    let said = typed(&running, "job start test --json -- x").await;
    assert_eq!(said.out, "{\"name\":\"test\"}\n", "{said:?}");
    serve.jobs.started("test").await;
    serve.jobs.end("test", "failure", Some(3));
    let waited = object("job wait test", 3).await;
    assert_eq!((&waited[0]["name"], &waited[0]["exit_code"]), (&json!("test"), &json!(3)), "{waited}");
    assert_eq!(object("job stop test", 0).await, waited);
    assert_eq!(object("job list", 0).await, waited);
    let said = typed(&running, "job wait test --logs --json").await;
    assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{said:?}");
}
