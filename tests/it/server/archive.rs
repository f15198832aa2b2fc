//! Logs and ended changes that outlive Nomad's memory and Consul's.

use albatros::domain::log_chunk::Chunk;
use bytes::Bytes;
use serde_json::{Value, json};

use super::session::{Story, refused, secret};
use crate::fake::delivery::{Delivery, REPO, commit};
use crate::fake::http::{Reply, client};
use crate::fake::world::{ACTOR, DONE, READER, person};

/// A build with a session at a server that has a store.
struct Archived {
    story: Story,
    claim: String,
    secret: String,
    store: tempfile::TempDir,
}

impl Archived {
    async fn new(change: impl FnOnce(&mut Value)) -> Self {
        let store = tempfile::tempdir().unwrap();
        let setting = format!("file://{}", store.path().display());
        let push = Delivery::push("main", &commit(1), &commit(2));
        let story = Story::with(&push, change, |world| world.set("ALBATROS_STORE", &setting)).await;
        let secret = secret();
        assert_eq!(story.exchange(&secret).await.status, 200);
        let claim = story.claim();
        Self { story, claim, secret, store }
    }

    async fn send(&self, method: &str, path: &str, bearer: &str, body: Bytes) -> Reply {
        let url = format!("{}/session/{}/log/{path}", self.story.serve.url, self.claim);
        let request = client().request(method.parse().unwrap(), url).bearer_auth(bearer).body(body);
        Reply::read(request.send().await.unwrap()).await
    }

    async fn put(&self, offset: u64, text: &str) -> Reply {
        let times = vec![(0, 1_766_000_000_000 + i64::try_from(offset).unwrap())];
        let chunk = Chunk { offset, times, text: Bytes::from(text.to_owned()) };
        self.send("PUT", &format!("stdout/{offset}"), &self.secret, chunk.to_wire().unwrap()).await
    }

    async fn whole(&self, length: u64) -> Reply {
        self.send("POST", "stdout/end", &self.secret, json!({"length": length}).to_string().into()).await
    }

    /// The build ends, and Nomad collects it.
    async fn collected(&self) {
        let world = &self.story.world;
        world.nomad.run(&self.story.build);
        world.nomad.exit(&self.story.build, 3);
        world.all_done(1).await;
        world.nomad.purge(&self.story.build);
    }

    /// Consul forgets it too.
    fn forgotten(&self) {
        let world = &self.story.world;
        for (key, _) in world.consul.list("albatros-builds/").iter().filter(|(key, _)| key.contains(&self.claim)) {
            world.consul.remove(key);
        }
        assert!(world.done().is_empty());
    }

    /// By a server that remembers nothing.
    async fn ask(&self, path: &str, headers: &[(&str, &str)]) -> Reply {
        let mut request = client().get(format!("{}{path}", self.story.serve.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Reply::read(request.send().await.unwrap()).await
    }

    async fn log(&self, more: &str) -> Reply {
        self.ask(&format!("/build?job={}{more}", self.story.build), &[]).await
    }
}

const ENDING: &str = "albatros: failure: Failed with exit 3";

#[tokio::test]
async fn a_log_is_read_from_the_archive_when_nomad_has_collected_it() {
    let build = Archived::new(|_| {}).await;
    for (offset, text) in [(0, "one\ntw"), (6, "o\nthree\n"), (0, "one\ntw")] {
        assert_eq!(build.put(offset, text).await.status, 204, "any chunk, and the same again");
    }
    assert_eq!(build.whole(14).await.status, 204);
    build.collected().await;
    let text = "one\ntwo\nthree\n";
    let whole = build.log("").await;
    assert_eq!(whole.status, 200, "{}", whole.text);
    assert!(whole.text.starts_with(text) && whole.text.lines().last().unwrap().starts_with(ENDING), "{}", whole.text);
    assert_eq!(build.log("&raw=1").await.text, text);
    assert!(build.log("&follow=false").await.text.starts_with(text));
    let path = format!("/build?job={}", build.story.build);
    let part = build.ask(&path, &[("range", "bytes=4-6")]).await;
    assert_eq!((part.status, part.text.as_str()), (206, "two"));
    assert_eq!(part.headers["content-range"], "bytes 4-6/14");
    let stamped = build.log("&times=1&raw=1").await;
    let expected = "2025-12-17T19:33:20.000Z one\n2025-12-17T19:33:20.000Z two\n2025-12-17T19:33:20.006Z three\n";
    assert_eq!(stamped.text, expected);
    assert_eq!(build.log("&log=stderr").await.status, 410, "of this one there is nothing");
}

#[tokio::test]
async fn both_streams_are_one_in_order_of_time() {
    let build = Archived::new(|_| {}).await;
    let put = async |stream: &str, offset: u64, at: i64, text: &'static str| {
        let chunk = Chunk { offset, times: vec![(0, 1_766_000_000_000 + at)], text: Bytes::from(text) };
        let path = format!("{stream}/{offset}");
        assert_eq!(build.send("PUT", &path, &build.secret, chunk.to_wire().unwrap()).await.status, 204);
    };
    put("stdout", 0, 0, "begins\nhalf ").await;
    put("stderr", 0, 1, "a complaint\n").await;
    put("stdout", 12, 2, "a line\nends").await;
    put("stderr", 20, 3, "another\n").await;
    let early = build.log("&log=both").await;
    assert!(early.status == 409 && early.text.contains("once the build is over"), "{} {}", early.status, early.text);
    assert_eq!(build.whole(23).await.status, 204);
    let end = json!({"length": 28}).to_string();
    assert_eq!(build.send("POST", "stderr/end", &build.secret, end.into()).await.status, 204);
    build.collected().await;
    let both = build.log("&log=both").await;
    let lines: Vec<&str> = both.text.lines().collect();
    assert_eq!(lines[..3], ["out | begins", "out | half a line", "err | a complaint"], "{}", both.text);
    assert!(lines[3].starts_with("albatros: 8 bytes of the log are missing"), "{}", both.text);
    assert_eq!(lines[4], "out | ends", "{}", both.text);
    assert_eq!(lines[5], "err | another", "{}", both.text);
    assert!(lines[6].starts_with(ENDING) && lines.len() == 7, "{}", both.text);
    let dated = build.log("&log=both&times=1&raw=1").await.text;
    assert!(dated.starts_with("2025-12-17T19:33:20.000Z out | begins\n"), "{dated}");
    assert!(dated.contains("2025-12-17T19:33:20.001Z err | a complaint\n"), "{dated}");
    let path = format!("/builds/{}/log?log=both&times=1", build.story.build);
    let page = build.ask(&path, &[("accept", "text/html")]).await.text;
    let line = "<time>19:33:20.001</time><b class=\"err\">err</b><span>a complaint</span>";
    assert!(page.contains(line) && page.contains("failure: Failed with exit 3"), "{page}");
}

#[tokio::test]
async fn a_build_that_only_the_store_knows_is_built_again() {
    let build = Archived::new(|_| {}).await;
    build.collected().await;
    build.forgotten();
    for id in [build.story.build.clone(), format!("claim/{}", build.claim)] {
        let path = format!("/builds/{id}/retry");
        assert_eq!(person(&build.story.serve, "POST", &path, Some(READER)).await.status, 401);
        let again = person(&build.story.serve, "POST", &path, Some(ACTOR)).await;
        assert_eq!(again.status, 200, "{}", again.text);
        let job = build.story.world.nomad.job(again.text.lines().next().unwrap());
        assert_eq!((&job["Meta"]["COMMIT"], &job["Meta"]["REF"]), (&json!(commit(2)), &json!("refs/heads/main")));
    }
}

#[tokio::test]
async fn what_did_not_arrive_is_told() {
    let build = Archived::new(|_| {}).await;
    build.put(0, "one\n").await;
    build.put(10, "three\n").await;
    build.whole(20).await;
    build.collected().await;
    let text = build.log("&raw=1").await.text;
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((lines[0], lines[2]), ("one", "three"), "{text}");
    assert!(lines[1].starts_with("albatros: 6 bytes of the log are missing"), "{text}");
    assert!(lines[3].starts_with("albatros: 4 bytes of the log are missing"), "{text}");
}

#[tokio::test]
async fn a_change_that_nomad_and_consul_have_forgotten_is_known() {
    let build = Archived::new(|_| {}).await;
    build.put(0, "still here\n").await;
    build.whole(11).await;
    build.collected().await;
    build.forgotten();
    let log = build.log("").await;
    assert!(log.text.starts_with("still here\nalbatros: failure"), "{} {}", log.status, log.text);
    let json = [("accept", "application/json")];
    let one = build.ask(&format!("/builds/{}", build.story.build), &json).await.value();
    assert_eq!((&one["state"], &one["exit_code"], &one["ended"]), (&json!("failure"), &json!(3), &json!(true)));
    let by_claim = build.ask(&format!("/builds/claim/{}", build.claim), &json).await.value();
    assert_eq!(by_claim["build"], build.story.build.as_str());
    let list = build.ask("/builds", &json).await.value();
    assert_eq!(list[0]["claim"], build.claim.as_str(), "{list}");
    for (query, count) in [
        ("state=failure", 1),
        ("state=success", 0),
        ("branch=main", 1),
        ("branch=other", 0),
        ("before=2020-01-01T00:00:00Z", 0),
        ("before=2100-01-01T00:00:00Z", 1),
    ] {
        let list = build.ask(&format!("/builds?{query}&limit=5"), &json).await.value();
        assert_eq!(list.as_array().unwrap().len(), count, "{query}: {list}");
    }
    let again = person(&build.story.serve, "DELETE", &format!("/builds/{}", build.story.build), None).await;
    assert_eq!(again.status, 401, "to be known is not to be anybody's");
    let unknown = build.ask("/build?job=builder/dispatch-1-00000000", &[]).await;
    assert_eq!(unknown.status, 404);
}

#[tokio::test]
async fn what_is_private_stays_so_in_the_store() {
    let build = Archived::new(|config| config["private"] = json!(true)).await;
    build.put(0, "mine\n").await;
    build.whole(5).await;
    build.collected().await;
    build.forgotten();
    let bearer = format!("Bearer {READER}");
    for path in [
        format!("/build?job={}", build.story.build),
        format!("/builds/{}", build.story.build),
        format!("/builds/claim/{}", build.claim),
    ] {
        assert_eq!(build.ask(&path, &[]).await.status, 404, "{path}");
        assert_eq!(build.ask(&path, &[("authorization", &bearer)]).await.status, 200, "{path}");
    }
    assert_eq!(build.ask("/builds", &[("accept", "application/json")]).await.value(), json!([]));
    let headers = [("accept", "application/json"), ("authorization", bearer.as_str())];
    assert_eq!(build.ask("/builds", &headers).await.value()[0]["repo"], REPO);
}

#[tokio::test]
async fn a_log_is_taken_from_its_own_build_alone_and_for_a_while_after_its_end() {
    let build = Archived::new(|_| {}).await;
    let chunk = Chunk { offset: 0, times: Vec::new(), text: Bytes::from("x") }.to_wire().unwrap();
    refused(&build.send("PUT", "stdout/0", &secret(), chunk.clone()).await, 403);
    refused(&build.send("PUT", "stdout/1", &build.secret, chunk.clone()).await, 400);
    refused(&build.send("PUT", "both/0", &build.secret, chunk.clone()).await, 400);
    refused(&build.send("PUT", "stdout/0", &build.secret, Bytes::from("x")).await, 400);
    build.collected().await;
    assert_eq!(build.put(0, "late\n").await.status, 204);
    let (key, mut done) = build.story.world.consul.records(DONE).pop().unwrap();
    done["finished"] = json!("2026-01-01T00:00:00Z");
    build.story.world.consul.put(&format!("{DONE}{key}"), done.to_string());
    refused(&build.put(5, "too late\n").await, 410);
    let text = build.log("&raw=1").await.text;
    assert!(text.starts_with("late\nalbatros: the archive of the log breaks off here"), "{text}");
}

#[tokio::test]
async fn a_store_that_is_down_holds_up_no_status_and_is_written_later() {
    let mut build = Archived::new(|_| {}).await;
    let (there, gone) = (build.store.path().to_owned(), build.store.path().with_extension("gone"));
    std::fs::rename(&there, &gone).unwrap();
    build.collected().await;
    assert_eq!(build.story.world.final_status(&commit(2)).state, "failure");
    std::fs::rename(&gone, &there).unwrap();
    build.story.restart().await;
    build.story.serve.printed.wait("an ended change is in the store now").await;
    build.forgotten();
    let json = [("accept", "application/json")];
    let list = build.ask("/builds", &json).await.value();
    assert_eq!(list[0]["claim"], build.claim.as_str(), "{list}");
}

#[tokio::test]
async fn without_a_store_nothing_is_kept_and_that_is_said() {
    let (story, secret) = (Story::new().await, secret());
    assert_eq!(story.exchange(&secret).await.status, 200);
    let chunk = Chunk { offset: 0, times: Vec::new(), text: Bytes::from("x") }.to_wire().unwrap();
    let url = format!("{}/session/{}/log/stdout/0", story.serve.url, story.claim());
    let reply = Reply::read(client().put(url).bearer_auth(&secret).body(chunk).send().await.unwrap()).await;
    refused(&reply, 404);
    assert_eq!(reply.value()["type"], "urn:albatros:no-store");
    let both = person(&story.serve, "GET", &format!("/build?job={}&log=both", story.build), None).await;
    assert!(both.status == 410 && both.text.contains("ALBATROS_STORE"), "{} {}", both.status, both.text);
}
