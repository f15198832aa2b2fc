//! Role `serve`: what forges, controllers and operators ask.

use albatros::domain::log_chunk::Chunk;
use bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::checked::Checked;
use super::{people, shape};
use crate::fake::delivery::{Delivery, commit};
use crate::fake::fault::{Fault, Times};
use crate::fake::http::{Reply, client};
use crate::fake::nomad::Builder;
use crate::fake::serve::Serve;
use crate::fake::world::{ACTOR, OPEN, SECRET, World};

/// A program that is not static is not given to builds, and a test's is not.
const EXCEPTED: [&str; 1] = ["get_program"];

/// A server with a store, and its description.
pub(super) struct Stage {
    pub(super) world: World,
    pub(super) api: Checked,
    _serve: Serve,
    _store: tempfile::TempDir,
}

/// A build with a session.
pub(super) struct Build {
    pub(super) id: String,
    pub(super) claim: String,
    secret: String,
}

impl Stage {
    async fn new() -> Self {
        let (world, store) = (World::new().await, tempfile::tempdir().unwrap());
        world.nomad.register(&Builder::full("builder"));
        world.nomad.register(&Builder::full("container"));
        world.set("ALBATROS_STORE", &format!("file://{}", store.path().display()));
        let serve = world.serve().await;
        let api = Checked::at(client(), &serve.url, "/openapi.json").await;
        Self { world, api, _serve: serve, _store: store }
    }

    /// Delivers a push of `n`.
    pub(super) async fn delivered(&self, n: u64) -> Reply {
        self.world.forge.push("quentin/albatros", "main", &commit(n));
        self.deliver(&Delivery::push("main", &commit(n - 1), &commit(n)), SECRET).await
    }

    pub(super) async fn deliver(&self, delivery: &Delivery, secret: &str) -> Reply {
        let path = delivery.path();
        let mut call = self.api.call("deliver", &path).bytes(delivery.bytes()).object();
        for (name, value) in delivery.headers(secret) {
            call = call.header(name, &value);
        }
        call.send().await
    }

    /// A trusted build of commit `n` with its session.
    pub(super) async fn build(&self, n: u64) -> Build {
        let told = self.delivered(n).await;
        assert!(told.status < 300, "{}", told.text);
        let builds = || self.world.nomad.builds_of(&commit(n));
        self.world.nomad.wait("its build", || !builds().is_empty()).await;
        self.begun(&builds()[0]).await
    }

    /// A build's controller has asked for its session.
    async fn begun(&self, id: &str) -> Build {
        self.world.nomad.place(id);
        let names = |record: &[u8]| serde_json::from_slice::<Value>(record).unwrap()["build"] == id;
        let fits = |open: &[(String, Vec<u8>)]| open.iter().any(|(_, record)| names(record));
        self.world.consul.wait(OPEN, "a record with the child's id", fits).await;
        let claim = self.world.nomad.job(id)["Meta"]["ALBATROS_CLAIM"].as_str().unwrap().to_owned();
        let (secret, token) = (crate::fake::hex(32), self.world.nomad.sign(&self.world.nomad.claims(id)));
        let asked = json!({"claim": claim, "secret": secret});
        self.api.call("exchange", "/session").bearer(&token).json(&asked).given().await;
        Build { id: id.to_owned(), claim, secret }
    }
}

#[tokio::test]
async fn what_the_server_answers_is_what_its_description_says() {
    let stage = Stage::new().await;
    shape::is_sound(&stage.api.document);
    people::ask(&stage).await;
    let build = stage.build(2).await;
    session(&stage, &build).await;
    blobs(&stage, &build).await;
    jobs(&stage, &build).await;
    runner(&stage).await;
    people::ask_of(&stage, &build).await;
    forges(&stage).await;
    operators(&stage).await;
    stage.api.all_asked(&EXCEPTED);
}

#[tokio::test]
async fn every_route_of_the_server_is_described_with_its_methods() {
    let world = World::new().await;
    let serve = world.serve().await;
    let api = Checked::at(client(), &serve.url, "/openapi.json").await;
    let routes = shape::routes("src/dispatcher/routes.rs");
    shape::all_described(&api.document, &routes);
    for path in &routes {
        let asked = path.replace(['{', '}'], "");
        let request = client().request("PROPFIND".parse().unwrap(), format!("{}{asked}", serve.url));
        shape::takes_what_is_described(&api.document, path, &Reply::read(request.send().await.unwrap()).await);
    }
    assert_eq!(api.document["servers"][0]["url"], "https://ci.example");
}

async fn runner(stage: &Stage) {
    let (api, world) = (&stage.api, &stage.world);
    world.nomad.register(&Builder::full("runner"));
    let mut config = world.config();
    config["runners"] = json!([{"labels": ["x"]}]);
    world.put_config(&config);
    let job = Delivery::job(&world.forge.queue("quentin/albatros", &["x"]));
    assert_eq!(stage.deliver(&job, SECRET).await.status, 202);
    let runner = stage.begun(&world.nomad.child("runner", 1).await).await;
    let path = format!("/session/{}/runner", runner.claim);
    assert_eq!(api.call("register_runner", &path).bearer(&runner.secret).given().await.value()["kind"], "gitea");
    let claim = format!("/builds/claim/{}", runner.claim);
    let shown = api.call("get_claim", &claim).bearer(ACTOR).object().given().await.value();
    assert_eq!(shown["runner"]["job"]["repo"], "http://127.0.0.1:3300/quentin/albatros.git");
}

async fn forges(stage: &Stage) {
    stage.deliver(&Delivery::push("main", &commit(2), &commit(3)), "wrong").await;
    stage.deliver(&Delivery::push("main", &commit(1), &commit(2)), SECRET).await;
    stage.deliver(&Delivery::recorded("pr-fork-closed"), SECRET).await;
    stage.api.call("deliver", "/hook").bytes("no JSON").refused(400).await;
    stage.api.call("deliver", "/hook").bytes("{}").header("content-type", "image/png").object().refused(415).await;
}

async fn operators(stage: &Stage) {
    let api = &stage.api;
    for id in ["healthz", "version", "metrics", "readyz"] {
        api.call(&format!("get_{id}"), &format!("/{id}")).given().await;
    }
    let told = api.call("get_description", "/openapi.json").given().await;
    let etag = told.headers["etag"].to_str().unwrap().to_owned();
    let known = api.call("get_description", "/openapi.json").header("if-none-match", &etag).given().await;
    assert_eq!(known.status, 304);
    api.call("get_root", "/").given().await;
    api.call("get_asset", "/assets/albatros.css").given().await;
    api.call("get_asset", "/assets/albatros.js").given().await;
    api.call("get_asset", "/assets/nothing").object().refused(404).await;
    api.call("get_program", "/bin/linux-pdp11.tar.gz").object().refused(404).await;
    let fault = stage.world.consul.faults().arm("*", "/v1/", Times::All, Fault::Text(500, "no"));
    api.call("get_readyz", "/readyz").object().refused(503).await;
    api.call("get_readyz", "/readyz").refused(503).await;
    drop(fault);
    stage.world.all_work();
}

/// The report, the log, and who has no session.
async fn session(stage: &Stage, build: &Build) {
    let (api, claim) = (&stage.api, &build.claim);
    api.call("exchange", "/session").bytes("{}").refused(401).await;
    api.call("exchange", "/session").bearer("no.token.at-all").bytes("no JSON").refused(400).await;
    let report = json!({"summary": "# fine", "tests": {"total": 2, "failed": 1, "skipped": 0,
        "failures": [{"name": "a", "message": "b"}]}});
    let path = format!("/session/{claim}/report");
    api.call("put_report", &path).bearer(&build.secret).json(&report).given().await;
    api.call("put_report", &path).bearer(&"0".repeat(64)).json(&report).refused(403).await;
    let text = "hello\n";
    let chunk = Chunk { offset: 0, times: vec![(0, 1_766_000_000_000)], text: Bytes::from(text) };
    let path = format!("/session/{claim}/log/stdout/0");
    api.call("put_log", &path).bearer(&build.secret).bytes(chunk.to_wire().unwrap()).given().await;
    api.call("put_log", &path).bearer(&build.secret).bytes("nonsense").refused(400).await;
    let path = format!("/session/{claim}/log/stdout/end");
    api.call("end_log", &path).bearer(&build.secret).json(&json!({"length": text.len()})).given().await;
    api.call("end_log", &path).bearer(&build.secret).bytes("nonsense").refused(400).await;
}

async fn blobs(stage: &Stage, build: &Build) {
    for (one, many) in [("artifact", "artifacts"), ("cache", "caches")] {
        let path = format!("/session/{}/{many}/report", build.claim);
        put(stage, build, (one, &path), b"all is well", "file").await;
        for id in [format!("get_{one}"), format!("head_{one}")] {
            stage.api.call(&id, &path).bearer(&build.secret).given().await;
            stage.api.call(&id, &format!("{path}-other")).bearer(&build.secret).refused(404).await;
        }
        stage.api.call(&format!("begin_{one}"), &path).bearer(&build.secret).bytes("{}").refused(409).await;
        let commit = format!("{path}/commit");
        stage.api.call(&format!("commit_{one}"), &commit).bearer(&build.secret).bytes("{}").refused(400).await;
    }
    let path = format!("/session/{}/artifacts/site", build.claim);
    put(stage, build, ("artifact", &path), &archive(), "archive").await;
    stage.api.call("get_artifact", &path).bearer(&build.secret).given().await;
    let path = format!("/session/{}/artifacts", build.claim);
    stage.api.call("list_own_artifacts", &path).bearer(&build.secret).given().await;
    stage.api.call("list_own_artifacts", &format!("{path}?from=x")).bearer(&build.secret).refused(400).await;
    let path = format!("/session/{}/uploads/nothing", build.claim);
    stage.api.call("put_upload", &path).bearer(&build.secret).bytes("x").refused(400).await;
}

async fn put(stage: &Stage, build: &Build, (one, path): (&str, &str), bytes: &[u8], packing: &str) {
    let (api, begin, end) = (&stage.api, format!("begin_{one}"), format!("commit_{one}"));
    let begun = api.call(&begin, path).bearer(&build.secret).json(&json!({"size": bytes.len()})).given().await.value();
    let upload = begun["upload"].as_str().unwrap();
    let to = format!("/session/{}/uploads/{upload}", build.claim);
    api.call("put_upload", &to).bearer(&build.secret).bytes(bytes.to_vec()).given().await;
    let sum = hex::encode(Sha256::digest(bytes));
    let told = json!({"upload": upload, "size": bytes.len(), "sha256": sum, "packing": packing});
    let commit = format!("{path}/commit");
    assert_eq!(api.call(&end, &commit).bearer(&build.secret).json(&told).given().await.status, 201);
    assert_eq!(api.call(&end, &commit).bearer(&build.secret).json(&told).given().await.status, 200);
}

/// An archive with a page.
fn archive() -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(6);
    builder.append_data(&mut header, "report/index.html", &b"<br/>\n"[..]).unwrap();
    zstd::encode_all(builder.into_inner().unwrap().as_slice(), 1).unwrap()
}

async fn jobs(stage: &Stage, build: &Build) {
    let (api, base) = (&stage.api, format!("/session/{}", build.claim));
    stage.world.nomad.run(&build.id);
    let db = format!("{base}/jobs/db");
    let spec = json!({"name": "db", "service": true, "port": 5432, "image": "postgres"});
    assert_eq!(api.call("start_job", &db).bearer(&build.secret).json(&spec).given().await.status, 201);
    assert_eq!(api.call("start_job", &db).bearer(&build.secret).json(&spec).given().await.status, 200);
    api.call("start_job", &db).bearer(&build.secret).json(&json!({"name": "db", "command": ["x"]})).refused(409).await;
    let child = stage.world.nomad.child("container", 1).await;
    let service = stage.begun(&child).await;
    stage.world.nomad.run(&child);
    let address = format!("/session/{}/address", service.claim);
    let at = json!({"address": "127.0.0.1:2000"});
    api.call("put_address", &address).bearer(&service.secret).json(&at).given().await;
    api.call("put_address", &address).bearer(&service.secret).json(&json!({"address": "x"})).refused(400).await;
    let list = format!("{base}/jobs");
    let told = api.call("list_jobs", &list).bearer(&build.secret).given().await.value();
    assert_eq!(told["jobs"][0]["name"], "db");
    api.call("list_jobs", &list).bearer(&service.secret).refused(403).await;
    api.call("stop_job", &db).bearer(&build.secret).given().await;
    api.call("stop_job", &format!("{base}/jobs/none")).bearer(&build.secret).refused(404).await;
    api.call("job_log", &format!("{db}/log")).bearer(&build.secret).given().await;
    api.call("register_runner", &format!("{base}/runner")).bearer(&build.secret).refused(409).await;
    api.call("job_log", &format!("{base}/jobs/none/log")).bearer(&build.secret).refused(404).await;
}
