//! What `/v1/openapi.json` says is what a controller answers: see [`crate::openapi`].

use std::path::Path;

use albatros::api::controller::Reach;
use albatros::api::http::local_client;
use albatros::controller::Source;
use albatros::domain::grant::Grant;
use serde_json::json;

use super::serve::FakeServe;
use super::{Running, grant, open, start};
use crate::fake::http::Reply;
use crate::openapi::checked::{Checked, operations};
use crate::openapi::shape;

/// Bytes follow the answers of these, for which there are tests of their own.
const EXCEPTED: [&str; 2] = ["connect_job", "connect_service"];
const BASE: &str = "http://albatros";
const DESCRIPTION: &str = "/v1/openapi.json";

/// A client of the socket that is at a path now, whatever becomes of its name.
fn client(socket: &Path) -> reqwest::Client {
    let reach = Reach::path(socket).unwrap();
    let client = local_client(Some(reach.as_path())).unwrap();
    // As long as the test: the client connects by its path.
    std::mem::forget(reach);
    client
}

/// Both doors of a controller.
struct Doors<'a> {
    running: &'a Running,
    script: Checked,
    trusted: Checked,
}

impl<'a> Doors<'a> {
    async fn of(running: &'a Running) -> Self {
        let script = Checked::at(client(&running.socket()), BASE, DESCRIPTION).await;
        let trusted = script.through(client(&running.trusted_socket()));
        Self { running, script, trusted }
    }

    fn script<'b>(&'b self, id: &'b str, path: &'b str) -> crate::openapi::checked::Call<'b> {
        self.script.call(id, path).bearer(&self.running.script)
    }

    fn trusted<'b>(&'b self, id: &'b str, path: &'b str) -> crate::openapi::checked::Call<'b> {
        self.trusted.call(id, path).bearer(&self.running.trusted)
    }
}

#[tokio::test]
async fn what_the_controller_answers_is_what_its_description_says() {
    let serve = FakeServe::start(&[]).await;
    let running = start(serve.source()).await;
    let doors = Doors::of(&running).await;
    shape::is_sound(&doors.script.document);
    for (id, operation) in operations(&doors.script.document) {
        if id != "get_description" {
            doors.script.call(&id, &operation.path.replace(['{', '}'], "")).refused(401).await;
        }
    }
    prepare(&doors).await;
    script(&doors).await;
    runner(&doors, &serve).await;
    blobs(&doors).await;
    jobs(&doors, &serve).await;
    own_job(&doors).await;
    end(&doors).await;
    doors.script.all_asked(&EXCEPTED);
}

#[tokio::test]
async fn every_route_of_the_controller_is_described_with_its_methods() {
    let running = start(super::given(true)).await;
    let api = Checked::at(client(&running.socket()), BASE, DESCRIPTION).await;
    let routes = shape::routes("src/controller/routes.rs");
    shape::all_described(&api.document, &routes);
    // That one is at the port alone.
    for path in routes.iter().filter(|path| *path != "/v1/service") {
        let line = format!("PROPFIND {}", path.replace(['{', '}'], ""));
        let refused = Reply::read(open(&running.socket(), Some(&running.script), &line, "").await).await;
        shape::takes_what_is_described(&api.document, path, &refused);
    }
}

async fn prepare(doors: &Doors<'_>) {
    doors.script("get_description", DESCRIPTION).given().await;
    doors.trusted("get_build", "/v1/build").given().await;
    doors.script("get_workspace", "/v1/workspace").refused(403).await;
    doors.trusted("get_workspace", "/v1/workspace").given().await;
    doors.trusted("list_masks", "/v1/masks").given().await;
    for stream in ["stdout", "stderr"] {
        let piece = format!("/v1/log/{stream}/0");
        doors.trusted("put_log", &piece).bytes("x").given().await;
        let end = format!("/v1/log/{stream}/end");
        doors.trusted("end_log", &end).json(&json!({"length": 1})).given().await;
    }
    doors.trusted("put_log", "/v1/log/other/0").bytes("x").refused(404).await;
}

async fn script(doors: &Doors<'_>) {
    doors.script("get_build", "/v1/build").given().await;
    doors.script("list_params", "/v1/params").given().await;
    doors.script("list_params", "/v1/params").header("accept", "text/plain").given().await;
    doors.script("get_param", "/v1/params/SECRET1").given().await;
    doors.script("get_param", "/v1/params/NONE").refused(404).await;
    doors.script("tell_event", "/v1/events").json(&json!({"type": "a", "data": {"b": 1}})).given().await;
    doors.script("tell_event", "/v1/events").json(&json!({"type": "albatros.a"})).refused(422).await;
    doors.script("tell_event", "/v1/events").bytes("a").refused(415).await;
    doors.script("follow_events", "/v1/events").header("last-event-id", "x").refused(400).await;
    let report = |kind| doors.script("report", "/v1/report").header("content-type", kind);
    report("text/markdown").bytes("# fine").given().await;
    let xml = r#"<testsuite name="a"><testcase name="b"/></testsuite>"#;
    report("application/xml").bytes(xml).given().await;
    report("image/png").bytes("x").refused(415).await;
}

async fn runner(doors: &Doors<'_>, serve: &FakeServe) {
    let ask = || doors.script("register_runner", "/v1/runner");
    ask().refused(404).await;
    serve.runners([Err(503), Err(429), Ok(super::runner::gitea())]);
    ask().refused(503).await;
    ask().refused(429).await;
    doors.trusted("register_runner", "/v1/runner").refused(403).await;
    ask().given().await;
    ask().refused(410).await;
}

async fn blobs(doors: &Doors<'_>) {
    for (one, many, again) in [("artifact", "artifacts", 409), ("cache", "caches", 200)] {
        let (path, put) = (format!("/v1/{many}/app"), format!("put_{one}"));
        let kept = doors.script(&put, &path).header("content-type", "application/zstd").bytes("x").given().await;
        assert_eq!(kept.status, 201);
        assert_eq!(doors.script(&put, &path).bytes("x").send().await.status, again);
        for id in [format!("get_{one}"), format!("head_{one}")] {
            doors.script(&id, &path).given().await;
            doors.script(&id, &format!("{path}-other")).refused(404).await;
        }
    }
    let file = "/v1/artifacts/file?name=a.txt";
    doors.script("put_artifact", file).header("content-type", "application/octet-stream").bytes("x").given().await;
    doors.trusted("get_artifact", "/v1/artifacts/file").given().await;
    doors.script("list_artifacts", "/v1/artifacts").given().await;
    doors.script("list_artifacts", "/v1/artifacts?x=1").refused(400).await;
}

async fn jobs(doors: &Doors<'_>, serve: &FakeServe) {
    doors.script("start_jobs", "/v1/jobs").json(&json!({"name": "a", "command": ["true"]})).given().await;
    let several = json!({"jobs": [{"name": "b", "command": ["true"], "needs": ["a"]}]});
    doors.script("start_jobs", "/v1/jobs").json(&several).given().await;
    doors.script("start_jobs", "/v1/jobs").json(&json!({"name": "a/b"})).refused(422).await;
    serve.jobs.started("a").await;
    serve.jobs.say("a", "hello\n");
    serve.jobs.end("a", "failure", Some(3));
    let path = "/v1/jobs/a?wait=20s";
    while doors.script("get_job", path).given().await.value()["ended"] == false {}
    doors.script("get_job", "/v1/jobs/none").refused(404).await;
    doors.script("list_jobs", "/v1/jobs").given().await;
    doors.script("list_jobs", "/v1/jobs?wait=x").refused(400).await;
    doors.script("read_job_log", "/v1/jobs/a/log?follow=false").given().await;
    doors.script("read_job_log", "/v1/jobs/none/log").refused(404).await;
    doors.script("stop_job", "/v1/jobs/a").given().await;
    doors.script("stop_job", "/v1/jobs/none").refused(404).await;
    doors.script("connect_job", "/v1/jobs/a/connect").refused(426).await;
    doors.script("get_own_job", "/v1/job").refused(404).await;
}

/// A build that is a job of another one.
async fn own_job(doors: &Doors<'_>) {
    let job = serde_json::from_value(json!({"name": "a", "image": "alpine", "command": ["true"]})).unwrap();
    let grant = Grant { job: Some(Box::new(job)), ..grant(true) };
    let running = start(Source::Given { grant: Box::new(grant), server: None }).await;
    let other = doors.script.through(client(&running.socket()));
    other.call("get_own_job", "/v1/job").bearer(&running.script).given().await;
}

async fn end(doors: &Doors<'_>) {
    let save = json!({"kind": "artifact", "id": "app", "paths": ["target"]});
    doors.script("declare_save", "/v1/saves").json(&save).given().await;
    doors.script("declare_save", "/v1/saves").json(&json!({})).refused(422).await;
    doors.script("list_saves", "/v1/saves").given().await;
    doors.trusted("attach", "/v1/attach").given().await;
    doors.script("finish", "/v1/finish").json(&json!({})).refused(422).await;
    let key = "a".repeat(64);
    doors.script("machine", "/v1/machine").json(&json!({})).refused(422).await;
    doors.script("machine", "/v1/machine").json(&json!({"state": "running", "key": key})).given().await;
    doors.script("machine", "/v1/machine").json(&json!({"state": "running", "key": "b".repeat(64)})).refused(409).await;
    let finished = doors.script("finish", "/v1/finish").json(&json!({"exit_code": 0, "machine": key}));
    let sidecar = async {
        doors.trusted("wait_for_saves", "/v1/saves/due").given().await;
        let failed = json!({"failed": [{"kind": "artifact", "id": "app", "reason": "it is gone"}]});
        doors.trusted("saves_done", "/v1/saves/done").json(&failed).given().await;
    };
    let ended = async {
        let (finished, ()) = tokio::join!(finished.given(), sidecar);
        assert!(finished.value()["trouble"].is_string(), "{}", finished.text);
    };
    let followed = doors.script("follow_events", "/v1/events").send_and(ended).await;
    assert!(followed.text.contains("albatros.finished"), "{}", followed.text);
    doors.trusted("prepared", "/v1/prepared").given().await;
}
