//! Role `serve`: what people ask.

use serde_json::json;

use super::serve::{Build, Stage};
use crate::fake::delivery::{Delivery, REPO, commit};
use crate::fake::world::{ACTOR, OPEN, READER, SECRET};

const NOWHERE: &str = "/builds/builder/dispatch-1-00000000";
const NO_CLAIM: &str = "/builds/claim/0000000000000000000000000000000000000000000000000000000000000000";
const FORMS: [&str; 3] = ["text/plain", "application/json", "text/html"];

/// What needs no build that runs.
pub(super) async fn ask(stage: &Stage) {
    approvals(stage).await;
    triggered(stage).await;
    let api = &stage.api;
    for form in FORMS {
        api.call("list_builds", "/builds?limit=3").header("accept", form).given().await;
        api.call("get_build", NOWHERE).header("accept", form).refused(404).await;
        api.call("get_claim", NO_CLAIM).header("accept", form).refused(404).await;
    }
    api.call("list_builds", "/builds?before=x").refused(400).await;
    let latest = format!("/builds/latest?repo={REPO}&branch=main");
    api.call("find_latest", &latest).bearer(READER).given().await;
    api.call("find_latest", "/builds/latest").object().refused(400).await;
    let badge = format!("/badge.svg?repo={REPO}");
    let told = api.call("show_badge", &badge).given().await;
    let etag = told.headers["etag"].to_str().unwrap().to_owned();
    api.call("show_badge", &badge).header("if-none-match", &etag).given().await;
    api.call("show_badge", &format!("{badge}&flavor=a%20b")).object().refused(400).await;
    signing_in(stage).await;
}

async fn approvals(stage: &Stage) {
    let api = &stage.api;
    let pull = |n: u64| Delivery::pull_pushed(n, &commit(100 + n));
    let mut claims = Vec::new();
    for n in [3, 4, 5] {
        stage.world.forge.commit("quentin/albatros", &commit(100 + n));
        let told = stage.deliver(&pull(n), SECRET).await.value();
        claims.push(format!("/builds/claim/{}", told["claim"].as_str().unwrap()));
    }
    for path in ["/held", "/held?files=true"] {
        let held = api.call("list_held", path).object().bearer(READER).given().await.value();
        assert_eq!(held["held"].as_array().unwrap().len(), 3, "{held}");
    }
    api.call("list_held", "/held").given().await;
    api.call("list_held", "/held?files=perhaps").refused(400).await;
    for form in FORMS {
        api.call("get_claim", &claims[0]).header("accept", form).given().await;
    }
    let approve = format!("{}/approve?always=true", claims[0]);
    api.call("approve_claim", &approve).object().refused(401).await;
    api.call("approve_claim", &approve).object().bearer(ACTOR).given().await;
    api.call("cancel_claim", &claims[1]).object().refused(401).await;
    api.call("cancel_claim", &claims[1]).object().bearer(ACTOR).given().await;
    let cancel = format!("{}/cancel", claims[2]);
    api.call("cancel_claim_by_form", &cancel).object().refused(401).await;
    api.call("cancel_claim_by_form", &cancel).object().bearer(ACTOR).given().await;
    senders(stage).await;
}

async fn senders(stage: &Stage) {
    let api = &stage.api;
    let named = json!({"repo": REPO, "login": "eve", "id": 9});
    api.call("approve_sender", "/approved").object().bearer(ACTOR).json(&named).given().await;
    api.call("approve_sender", "/approved").object().bearer(READER).json(&named).refused(401).await;
    api.call("approve_sender", "/approved").object().bearer(ACTOR).bytes("x").refused(415).await;
    let listed = api.call("list_approved", "/approved").object().bearer(READER).given().await.value();
    assert_eq!(listed.as_array().unwrap().len(), 2, "{listed}");
    api.call("list_approved", "/approved").object().refused(401).await;
    let eve = format!("/approved?repo={REPO}&login=eve");
    api.call("revoke_sender", &eve).object().bearer(ACTOR).given().await;
    let mallory = format!("/approved?repo={REPO}&login=mallory");
    api.call("revoke_sender", &mallory).object().bearer(ACTOR).given().await;
    api.call("revoke_sender", "/approved").object().bearer(ACTOR).refused(400).await;
}

async fn triggered(stage: &Stage) {
    let api = &stage.api;
    stage.world.forge.push("quentin/albatros", "main", &commit(1));
    let wanted = json!({"repo": REPO, "branch": "main", "commit": commit(1)});
    let told = api.call("trigger", "/trigger").object().bearer(ACTOR).json(&wanted).given().await.value();
    api.call("trigger", "/trigger").bearer(ACTOR).json(&wanted).given().await;
    api.call("trigger", "/trigger").object().json(&wanted).refused(401).await;
    let nowhere = json!({"repo": REPO, "branch": "nowhere"});
    api.call("trigger", "/trigger").object().bearer(ACTOR).json(&nowhere).refused(422).await;
    let page = format!("/builds/{}", told["build"].as_str().unwrap());
    let cancel = format!("{page}/cancel");
    api.call("cancel_by_form", &cancel).object().bearer(READER).refused(401).await;
    api.call("cancel_by_form", &cancel).object().bearer(ACTOR).given().await;
    let claim = told["claim"].as_str().unwrap();
    let by_claim = format!("/builds/claim/{claim}");
    stage.world.consul.wait(OPEN, "it is over", |open| open.iter().all(|(key, _)| !key.ends_with(claim))).await;
    for (id, page) in [("retry_build", &page), ("retry_claim", &by_claim)] {
        let retry = format!("{page}/retry");
        api.call(id, &retry).object().bearer(READER).refused(401).await;
        api.call(id, &retry).object().bearer(ACTOR).given().await;
    }
}

async fn signing_in(stage: &Stage) {
    let api = &stage.api;
    api.call("show_signin", "/signin?back=/builds").given().await;
    api.call("show_signin", "/signin?back=a&back=b").object().refused(400).await;
    let form = "application/x-www-form-urlencoded";
    let typed = |token: &str| format!("token={token}&back=/builds");
    let sign_in = || api.call("sign_in", "/signin").header("content-type", form);
    sign_in().bytes(typed(READER)).given().await;
    sign_in().object().bytes(typed("guessed")).refused(401).await;
    sign_in().header("accept", "text/html").bytes(typed("guessed")).refused(401).await;
    sign_in().object().header("origin", "https://evil.example").bytes(typed(READER)).refused(403).await;
    let sign_out = || api.call("sign_out", "/signout").header("content-type", form).bytes("back=/builds");
    sign_out().given().await;
    sign_out().object().header("origin", "https://evil.example").refused(403).await;
}

/// What a build shows while it runs, and when it is over.
pub(super) async fn ask_of(stage: &Stage, build: &Build) {
    let (api, page) = (&stage.api, format!("/builds/{}", build.id));
    for form in FORMS {
        api.call("get_build", &page).header("accept", form).given().await;
    }
    let artifacts = format!("{page}/artifacts");
    for form in ["text/plain", "application/json"] {
        api.call("list_artifacts", &artifacts).header("accept", form).given().await;
    }
    api.call("list_artifacts", &format!("{NOWHERE}/artifacts")).object().refused(404).await;
    for (id, path, missing) in
        [("download_artifact", "report", "nothing"), ("download_file", "site/report/index.html", "site/report/nothing")]
    {
        api.call(id, &format!("{artifacts}/{path}")).given().await;
        api.call(id, &format!("{artifacts}/{missing}")).object().refused(404).await;
    }
    stage.world.nomad.say(&build.id, "hello");
    stage.world.nomad.exit(&build.id, 3);
    for form in ["text/html", "text/event-stream"] {
        api.call("read_log", &format!("{page}/log")).header("accept", form).given().await;
    }
    for (id, path) in [("read_log", format!("{page}/log?")), ("read_log_by_id", format!("/build?job={}", build.id))] {
        api.call(id, &path).given().await;
        let part = api.call(id, &path).header("range", "bytes=0-1").given().await;
        assert_eq!(part.status, 206, "{}", part.text);
        api.call(id, &format!("{path}&follow=perhaps")).object().refused(400).await;
        api.call(id, &path).header("range", "bytes=1000000-").refused(416).await;
    }
    api.call("cancel_build", &page).object().bearer(READER).refused(401).await;
    api.call("cancel_build", &page).object().bearer(ACTOR).given().await;
    api.call("get_build", &page).object().given().await;
    // Of a build that is over the events end.
    stage.world.consul.wait(OPEN, "it is over", |open| open.iter().all(|(key, _)| !key.ends_with(&build.claim))).await;
    api.call("get_build", &page).header("accept", "text/event-stream").given().await;
    api.call("list_builds", "/builds?jobs=true").object().given().await;
}
