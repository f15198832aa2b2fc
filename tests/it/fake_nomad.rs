//! The fake Nomad answers as the recordings do.

use serde_json::{Value, json};

use crate::fake::fixture::{exchange, read, shape};
use crate::fake::http::{Reply, call, client, send};
use crate::fake::nomad::{Builder, Nomad};

async fn nomad() -> Nomad {
    let nomad = Nomad::start().await;
    nomad.register(&Builder::plain("fx-d").optional(&["ALBATROS_GRANT", "SCENARIO"]));
    nomad.register(&Builder::plain("fx-dreq").payload("required"));
    nomad.register(&Builder::plain("fx-dforbid").payload("forbidden"));
    nomad.register(&Builder::plain("fx-dplain").not_parameterized());
    nomad.register(&Builder::plain("fx-dstop"));
    nomad.stop_job("fx-dstop");
    nomad
}

async fn replay(nomad: &Nomad, name: &str) -> Reply {
    let recorded = exchange(&format!("nomad/{name}"));
    let reply = send(&nomad.url(), &recorded.method, &recorded.path, recorded.sent.as_deref()).await;
    assert_eq!(reply.status, recorded.status, "{name}: {}", reply.text);
    reply
}

#[tokio::test]
async fn dispatches_are_refused_with_the_recorded_words() {
    let nomad = nomad().await;
    for name in [
        "unknown-job",
        "wrong-namespace",
        "unknown-namespace",
        "unknown-region",
        "not-parameterized",
        "stopped-parent",
        "missing-meta",
        "unpermitted-meta",
        "unpermitted-meta-lowercase",
        "no-meta",
        "meta-number-value",
        "payload-forbidden",
        "payload-required-missing",
        "payload-bad-base64",
        "bad-json",
        "empty-body",
        "no-body",
        "not-an-object",
        "jobid-mismatch",
        "wrong-method-get",
        "encoded-path-child-404",
    ] {
        let reply = replay(&nomad, &format!("dispatch/{name}")).await;
        assert_eq!(reply.value(), exchange(&format!("nomad/dispatch/{name}")).answer, "{name}");
    }
    assert_eq!((nomad.writes(), nomad.dispatches()), (0, 0));
    let big = json!({"Meta": {}, "Payload": base64_of(16_385)}).to_string();
    let refused = call(&nomad.url(), "POST", "/v1/job/fx-d/dispatch?namespace=ci", &big).await;
    assert_eq!(refused.text, exchange("nomad/dispatch/payload-16385").answer);
}

fn base64_of(bytes: usize) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(vec![b'x'; bytes])
}

#[tokio::test]
async fn one_token_makes_one_child() {
    let nomad = nomad().await;
    let first = replay(&nomad, "dispatch/idempotency-first").await.value();
    assert_eq!(shape(&first), shape(&exchange("nomad/dispatch/idempotency-first").answer));
    let again = replay(&nomad, "dispatch/idempotency-repeat").await.value();
    assert_eq!(again["DispatchedJobID"], first["DispatchedJobID"]);
    assert_eq!((&again["EvalID"], &again["EvalCreateIndex"]), (&json!(""), &json!(0)));
    let other = replay(&nomad, "dispatch/idempotency-repeat-other-meta").await.value();
    assert_eq!(other["DispatchedJobID"], first["DispatchedJobID"], "meta is not compared");
    replay(&nomad, "dispatch/success").await;
    assert_eq!(nomad.children("fx-d").len(), 2);
    nomad.ghosts(1);
    let ghost = replay(&nomad, "dispatch/success").await.value();
    let id = ghost["DispatchedJobID"].as_str().unwrap().replace('/', "%2F");
    assert_eq!(send(&nomad.url(), "GET", &format!("/v1/job/{id}?namespace=ci"), None).await.text, "job not found");
    assert_eq!(nomad.dispatches(), 2);
}

/// Every answer of a green build has the fields, and the fields the types, that were recorded.
#[tokio::test]
async fn a_green_build_reads_as_recorded() {
    let nomad = Nomad::start().await;
    nomad.register(&Builder::full("fx-exit0").payload("optional"));
    let meta = json!({"REPO_URL": "r", "COMMIT": "c", "BRANCH": "b", "FLAVOR": "f"});
    let build = nomad.dispatch_as_stranger("fx-exit0", "", &meta);
    nomad.run(&build);
    nomad.say(&build, "out");
    nomad.exit(&build, 0);
    let encoded = build.replace('/', "%2F");
    let get = |path: &'static str| {
        let path = format!("/v1/job/{encoded}{path}?namespace=ci");
        let url = nomad.url();
        async move { send(&url, "GET", &path, None).await.value() }
    };
    let recorded = read("nomad/scenarios/exit0");
    let last = |part: &str| {
        let steps = recorded["steps"].as_array().unwrap().iter().rev();
        let mut fits = steps.filter(|step| {
            let path = step["request"]["path"].as_str().unwrap().split('?').next().unwrap();
            if part.is_empty() {
                path.starts_with("/v1/job/") && path.matches('/').count() == 3
            } else {
                path.ends_with(part)
            }
        });
        fits.next().unwrap()["body"].clone()
    };
    let job = get("").await;
    for field in ["ID", "ParentID", "Status", "Stop", "Dispatched", "Meta", "Payload", "ParameterizedJob", "SubmitTime"]
    {
        assert_eq!(type_of(&job[field]), type_of(&last("")[field]), "{field}");
    }
    assert_eq!(job["Status"], "dead");
    let (ours, theirs) = (get("/allocations").await[0].clone(), last("/allocations")[0].clone());
    let executor = |stub: &Value| stub["TaskStates"]["executor"].clone();
    assert_eq!(shape(&executor(&ours)["Events"][3]), shape(&executor(&theirs)["Events"][3]));
    for field in ["State", "Failed", "Restarts"] {
        assert_eq!(executor(&ours)[field], executor(&theirs)[field], "{field}");
    }
    for field in
        ["ClientStatus", "ClientDescription", "DesiredStatus", "DesiredDescription", "NextAllocation", "TaskGroup"]
    {
        assert_eq!(ours[field], theirs[field], "{field}");
    }
    let evaluation = get("/evaluations").await[0].clone();
    assert_eq!(evaluation["Status"], "complete");
    let alone =
        send(&nomad.url(), "GET", &format!("/v1/allocation/{}", ours["ID"].as_str().unwrap()), None).await.value();
    assert_eq!(alone.get("DesiredDescription"), None, "what is empty is left out");
}

fn type_of(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Number(_) => 2,
        Value::String(_) => 3,
        Value::Array(_) => 4,
        Value::Object(_) => 5,
    }
}

#[tokio::test]
async fn what_is_unknown_is_told_as_recorded() {
    let nomad = nomad().await;
    for name in [
        "job/unknown",
        "job/unknown-allocations",
        "job/unknown-evaluations",
        "alloc/alloc-unknown-get",
        "alloc/alloc-short-id-get",
        "logs/alloc-unknown",
        "logs/alloc-short-id",
        "blocking/job-404-long-poll",
        "misc/unknown-path",
    ] {
        let reply = replay(&nomad, name).await;
        assert_eq!(reply.value(), exchange(&format!("nomad/{name}")).answer, "{name}");
    }
}

#[tokio::test]
async fn lists_come_in_pages_and_can_be_filtered() {
    let nomad = nomad().await;
    for n in 0..7 {
        let commit = format!("{n:040}");
        nomad.dispatch_as_stranger(
            "fx-d",
            &format!("t{n}"),
            &json!({"REPO_URL": "r", "COMMIT": commit, "BRANCH": "b", "FLAVOR": "f"}),
        );
    }
    let list = async |query: &str| {
        let path = format!("/v1/jobs?namespace=ci&prefix=fx-d%2Fdispatch-&meta=true{query}");
        send(&nomad.url(), "GET", &path, None).await
    };
    let page = list("&per_page=3").await;
    assert_eq!(shape(&page.value()), shape(&exchange("nomad/list/page-1").answer));
    let next = page.headers["x-nomad-nexttoken"].to_str().unwrap().to_owned();
    let second = list(&format!("&per_page=3&next_token={}", next.replace('/', "%2F"))).await.value();
    assert_eq!(second.as_array().unwrap().len(), 3);
    assert_eq!(format!("ci.{}", second[0]["ID"].as_str().unwrap()), next);
    assert_eq!(list("&per_page=3&next_token=zzz").await.value(), json!([]));
    let one = format!("&filter=Meta.COMMIT%20%3D%3D%20%22{:040}%22", 3);
    assert_eq!(list(&one).await.value().as_array().unwrap().len(), 1);
    assert_eq!(list("&filter=ParentID%20%3D%3D%20%22fx-d%22").await.value().as_array().unwrap().len(), 7);
    assert_eq!(list("&filter=Meta.NOPE%20%3D%3D%20%22x%22").await.value(), json!([]));
    assert_eq!(list("&filter=Meta%20%3D%3D").await.status, 400);
    assert_eq!(list("&filter=Bogus%20%3D%3D%201").await.text, exchange("nomad/list/filter-unknown-field").answer);
}

async fn logged(nomad: &Nomad, query: &str) -> Reply {
    let build = nomad.children("fx-d")[0].replace('/', "%2F");
    let stubs = send(&nomad.url(), "GET", &format!("/v1/job/{build}/allocations?namespace=ci"), None).await.value();
    let id = stubs[0]["ID"].as_str().unwrap();
    send(&nomad.url(), "GET", &format!("/v1/client/fs/logs/{id}?namespace=ci&{query}"), None).await
}

#[tokio::test]
async fn logs_are_read_as_recorded() {
    let nomad = nomad().await;
    let meta = json!({"REPO_URL": "r", "COMMIT": "c", "BRANCH": "b", "FLAVOR": "f"});
    let build = nomad.dispatch_as_stranger("fx-d", "t", &meta);
    nomad.place(&build);
    let early = logged(&nomad, "task=executor&type=stdout&plain=true").await;
    assert_eq!((early.status, early.value()), (404, exchange("nomad/logs/before-start-plain").answer));
    nomad.run(&build);
    let whole = "out line 1\nout line 2\nout line 3\nout line 4\nno newline at end";
    nomad.write(&build, "executor", "stdout", whole.as_bytes());
    nomad.exit(&build, 0);
    for name in [
        "end-plain",
        "end-framed",
        "offset-11",
        "offset-negative",
        "offset-beyond-end",
        "origin-end-offset-0",
        "origin-end-offset-10",
        "task-missing",
        "task-unknown",
        "type-bad",
        "type-missing",
    ] {
        let recorded = exchange(&format!("nomad/logs/{name}"));
        let query = recorded.path.split_once("namespace=ci&").unwrap().1.to_owned();
        let reply = logged(&nomad, &query).await;
        assert_eq!((reply.status, reply.value()), (recorded.status, recorded.answer), "{name}");
    }
    nomad.collect_logs(&build);
    assert!(logged(&nomad, "task=executor&type=stdout").await.text.ends_with("not found on client"));
}

#[tokio::test]
async fn a_follower_gets_frames_and_heartbeats_and_no_end() {
    let nomad = nomad().await;
    let meta = json!({"REPO_URL": "r", "COMMIT": "c", "BRANCH": "b", "FLAVOR": "f"});
    let build = nomad.dispatch_as_stranger("fx-d", "t", &meta);
    nomad.run(&build);
    let path = format!("/v1/job/{}/allocations?namespace=ci", build.replace('/', "%2F"));
    let id = send(&nomad.url(), "GET", &path, None).await.value()[0]["ID"].as_str().unwrap().to_owned();
    let url = format!("{}/v1/client/fs/logs/{id}?task=executor&type=stdout&follow=true", nomad.url());
    let mut answer = client().get(url).send().await.unwrap();
    nomad.say(&build, "one");
    let frame: Value = serde_json::from_slice(&answer.chunk().await.unwrap().unwrap()).unwrap();
    assert_eq!(frame, json!({"Data": "b25lCg==", "File": "alloc/logs/executor.stdout.0", "Offset": 4}));
    nomad.exit(&build, 0);
    for _ in 0..2 {
        assert_eq!(answer.chunk().await.unwrap().unwrap().as_ref(), b"{}", "goes on after the end");
    }
}

#[tokio::test]
async fn old_files_of_a_rotated_log_are_gone_without_a_word() {
    let nomad = nomad().await;
    nomad.rotate_logs(2, 10);
    let meta = json!({"REPO_URL": "r", "COMMIT": "c", "BRANCH": "b", "FLAVOR": "f"});
    let build = nomad.dispatch_as_stranger("fx-d", "t", &meta);
    nomad.run(&build);
    nomad.write(&build, "executor", "stdout", b"aaaaaaaaaabbbbbbbbbbccccccccccddd");
    assert_eq!(logged(&nomad, "task=executor&type=stdout&plain=true").await.text, "ccccccccccddd");
    assert!(logged(&nomad, "task=executor&type=stdout").await.text.contains("executor.stdout.2"));
}

#[tokio::test]
async fn the_event_stream_tells_what_happens_to_builds() {
    let nomad = nomad().await;
    let url = format!("{}/v1/event/stream?namespace=ci&topic=Allocation&topic=Evaluation&index=999999", nomad.url());
    let mut stream = client().get(&url).send().await.unwrap();
    assert_eq!(stream.chunk().await.unwrap().unwrap().as_ref(), b"{}\n");
    let meta = json!({"REPO_URL": "r", "COMMIT": "c", "BRANCH": "b", "FLAVOR": "f"});
    let build = nomad.dispatch_as_stranger("fx-d", "t", &meta);
    nomad.run(&build);
    let mut read = String::new();
    while !read.contains("\"running\"") {
        read.push_str(std::str::from_utf8(&stream.chunk().await.unwrap().unwrap()).unwrap());
    }
    let events: Vec<Value> = read.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let update = &events.last().unwrap()["Events"][0];
    assert_eq!((&update["Topic"], &update["Type"]), (&json!("Allocation"), &json!("AllocationUpdated")));
    assert_eq!(update["FilterKeys"][0], build);
    nomad.require_token("s");
    let silent = send(&nomad.url(), "GET", "/v1/event/stream?namespace=ci", None).await;
    assert_eq!((silent.status, silent.text.as_str()), (200, ""), "seen: not authorised is 200 and nothing");
}

#[tokio::test]
async fn a_missing_right_is_told_as_recorded() {
    let nomad = nomad().await;
    nomad.deny("read-job");
    assert_eq!(send(&nomad.url(), "GET", "/v1/job/fx-d?namespace=ci", None).await.status, 403);
    let id = "00000000-0000-4000-8000-000000000000";
    assert_eq!(send(&nomad.url(), "GET", &format!("/v1/allocation/{id}"), None).await.status, 500);
    nomad.deny("dispatch-job");
    assert_eq!(replay(&nomad, "dispatch/no-token").await.text, "Permission denied");
}

#[tokio::test]
async fn a_deregistration_ends_the_build() {
    let nomad = nomad().await;
    let meta = json!({"REPO_URL": "r", "COMMIT": "c", "BRANCH": "b", "FLAVOR": "f"});
    let build = nomad.dispatch_as_stranger("fx-d", "t", &meta);
    nomad.run(&build);
    let path = format!("/v1/job/{}?namespace=ci", build.replace('/', "%2F"));
    let answer = send(&nomad.url(), "DELETE", &path, None).await;
    assert_eq!(answer.status, 200);
    let job = send(&nomad.url(), "GET", &path, None).await.value();
    assert_eq!((&job["Stop"], &job["Status"]), (&json!(true), &json!("dead")));
    let unknown = send(&nomad.url(), "DELETE", "/v1/job/none?namespace=ci", None).await;
    assert_eq!((unknown.status, &unknown.value()["EvalID"]), (200, &json!("")));
    assert_eq!(nomad.writes(), 2, "the dispatch and the deregistration");
}

#[tokio::test]
async fn the_connection_beyond_the_limit_gets_429() {
    let nomad = nomad().await;
    nomad.wire().limit_connections(1);
    let held = client();
    let url = format!("{}/v1/job/fx-d?namespace=ci", nomad.url());
    assert_eq!(held.get(&url).send().await.unwrap().status(), 200);
    assert_eq!(client().get(&url).send().await.unwrap().status(), 429);
}
