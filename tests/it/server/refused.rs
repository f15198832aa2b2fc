//! Bad input: 4xx and a sentence, nothing started, nothing written.

use std::time::Duration;

use serde_json::json;

use crate::fake::delivery::{Delivery, REPO, commit, sign};
use crate::fake::http::{Reply, client};
use crate::fake::raw;
use crate::fake::serve::Serve;
use crate::fake::world::{SECRET, World};

/// What is wrong with a delivery.
type Change = fn(&mut serde_json::Value);

/// A world that must not change, and what was written in it before.
struct Untouched {
    world: World,
    serve: Serve,
    writes: (u64, u64),
}

impl Untouched {
    async fn new() -> Self {
        let world = World::new().await;
        let serve = world.serve().await;
        world.followed().await;
        let writes = (world.consul.writes(), world.nomad.writes());
        Self { world, serve, writes }
    }

    fn refused(&self, what: &str, reply: &Reply) {
        assert!((400..500).contains(&reply.status), "{what}: {} {}", reply.status, reply.text);
        assert!(reply.text.trim().contains(' '), "{what}: no sentence: {:?}", reply.text);
        assert!(self.world.open().is_empty(), "{what}: a record");
        assert_eq!((self.world.consul.writes(), self.world.nomad.writes()), self.writes, "{what}: a write");
        assert!(self.world.forge.statuses().is_empty(), "{what}: a status");
    }

    async fn send(&self, headers: &[(&str, String)], body: Vec<u8>) -> Reply {
        let mut request = client().post(format!("{}/hook", self.serve.url)).body(body);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        Reply::read(request.send().await.unwrap()).await
    }

    /// Rightly signed, whatever it is.
    async fn signed(&self, body: Vec<u8>) -> Reply {
        let headers = [
            ("content-type", "application/json".to_owned()),
            ("x-gitea-event", "push".to_owned()),
            ("x-gitea-signature", sign(SECRET, &body)),
        ];
        self.send(&headers, body).await
    }
}

#[tokio::test]
async fn wrong_signatures() {
    let it = Untouched::new().await;
    let push = Delivery::push("main", &commit(1), &commit(2));
    let (body, right) = (push.bytes(), sign(SECRET, &push.bytes()));
    let event = ("x-gitea-event", "push".to_owned());
    let cases: Vec<(&str, Vec<(&str, String)>)> = vec![
        ("none", vec![]),
        ("empty", vec![("x-gitea-signature", String::new())]),
        ("empty sha256", vec![("x-hub-signature-256", "sha256=".to_owned())]),
        ("another algorithm", vec![("x-hub-signature-256", format!("sha1={right}"))]),
        ("sha1 only", vec![("x-hub-signature", format!("sha1={}", &right[..40]))]),
        ("not hexadecimal", vec![("x-gitea-signature", "z".repeat(64))]),
        ("cut", vec![("x-gitea-signature", right[..63].to_owned())]),
        ("of another secret", vec![("x-gitea-signature", sign("another", &body))]),
        ("of an empty secret", vec![("x-gitea-signature", sign("", &body))]),
        ("of another body", vec![("x-gitea-signature", sign(SECRET, b"{}"))]),
        ("two, one wrong", vec![("x-gitea-signature", sign("another", &body)), ("x-gitea-signature", right.clone())]),
        ("a bearer instead", vec![("authorization", format!("Bearer {SECRET}"))]),
    ];
    for (what, mut headers) in cases {
        headers.push(event.clone());
        let reply = it.send(&headers, body.clone()).await;
        it.refused(what, &reply);
        assert_eq!(reply.status, 401, "{what}: {}", reply.text);
    }
}

/// An unknown repository and a wrong credential are told in the same words.
#[tokio::test]
async fn an_unknown_repository_is_told_as_a_wrong_credential() {
    let it = Untouched::new().await;
    let push = Delivery::push("main", &commit(1), &commit(2));
    let wrong = push.send(&it.serve.url, "another").await;
    let unknown = push.clone().repo("https://git.example/nobody/nothing.git").send(&it.serve.url, SECRET).await;
    it.refused("wrong", &wrong);
    it.refused("unknown", &unknown);
    assert_eq!((wrong.status, &wrong.text), (401, &unknown.text));
    assert_eq!(unknown.status, 401);
}

#[tokio::test]
async fn the_secret_of_one_repository_for_another() {
    let it = Untouched::new().await;
    let other = "http://127.0.0.1:3300/quentin/other.git";
    it.world.consul.put_repo("albatros", other, &json!({"hook": {"secret": "secret-of-the-other"}}));
    it.world.consul.put_repo("albatros", "http://127.0.0.1:3300/quentin/open.git", &json!({"hook": {"secret": ""}}));
    it.world.consul.put_repo("albatros", "http://127.0.0.1:3300/quentin/none.git", &json!({"hook": {}}));
    it.world.consul.wire().wait_seen("GET", "/v1/kv/albatros%2F?", 3).await;
    let push = Delivery::push("main", &commit(1), &commit(2));
    let crossed = push.clone().repo(other).send(&it.serve.url, SECRET).await;
    assert_eq!(crossed.status, 401);
    it.refused("crossed", &crossed);
    for name in ["open", "none"] {
        let repo = format!("http://127.0.0.1:3300/quentin/{name}.git");
        let reply = push.clone().repo(&repo).send(&it.serve.url, "").await;
        assert!(matches!(reply.status, 401 | 503), "an empty secret is none: {} {}", reply.status, reply.text);
        assert_eq!((it.world.consul.writes(), it.world.nomad.writes()), it.writes);
    }
}

#[tokio::test]
async fn json_that_is_read_in_two_ways_or_in_none() {
    let it = Untouched::new().await;
    let text = String::from_utf8(Delivery::push("main", &commit(1), &commit(2)).bytes()).unwrap();
    let clone_url = format!("\"clone_url\": \"{REPO}\"");
    assert!(text.contains(&clone_url));
    let evil = "\"clone_url\": \"https://git.example/evil.git\"";
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", Vec::new()),
        ("no JSON", b"hello there".to_vec()),
        ("cut", text.as_bytes()[..text.len() - 2].to_vec()),
        ("something behind", format!("{text} {{}}").into_bytes()),
        ("an array", b"[]".to_vec()),
        ("no repository", b"{}".to_vec()),
        ("clone_url twice", text.replace(&clone_url, &format!("{clone_url}, {evil}")).into_bytes()),
        ("clone_url twice, the other first", text.replace(&clone_url, &format!("{evil}, {clone_url}")).into_bytes()),
        ("a key twice", text.replacen('{', "{\"ref\": \"refs/heads/other\",", 1).into_bytes()),
        ("10,000 deep", format!("{{\"a\":{}{},{}", "[".repeat(10_000), "]".repeat(10_000), &text[1..]).into_bytes()),
        ("NUL", text.replace("refs/heads/main", "refs/heads/ma\\u0000in").into_bytes()),
        ("a lone surrogate", text.replace("refs/heads/main", "refs/heads/ma\\ud800in").into_bytes()),
        ("no UTF-8", [text.as_bytes(), b"\xff"].concat()),
    ];
    for (what, body) in cases {
        let reply = it.signed(body).await;
        it.refused(what, &reply);
    }
}

#[tokio::test]
async fn addresses_that_are_none() {
    let it = Untouched::new().await;
    for url in [
        "file:///etc/passwd",
        "ext::sh -c id",
        "--upload-pack=touch /tmp/x",
        "ssh://git@git.example/a.git",
        "git@git.example:a/b.git",
        "https://user:pass@git.example/a.git",
        "http://127.0.0.1:3300/quentin/../quentin/albatros.git",
        "http://127.0.0.1:3300/quentin/%2e%2e/albatros.git",
        "http://127.0.0.1:3300/quentin/albatros.git\n",
        "http://",
        "",
    ] {
        let reply = Delivery::push("main", &commit(1), &commit(2)).repo(url).send(&it.serve.url, SECRET).await;
        it.refused(url, &reply);
    }
}

#[tokio::test]
async fn refs_and_values_that_no_build_is_given() {
    let it = Untouched::new().await;
    let cases: Vec<(&str, Change)> = vec![
        ("interpolation", |body| body["ref"] = "refs/heads/x${NOMAD_TOKEN}".into()),
        ("a newline", |body| body["ref"] = "refs/heads/x\ny".into()),
        ("a control character", |body| body["ref"] = "refs/heads/x\u{1b}[31m".into()),
        ("too long", |body| body["ref"] = format!("refs/heads/{}", "x".repeat(5_000)).into()),
        ("dots", |body| body["ref"] = "refs/heads/a..b".into()),
        ("no commit", |body| body["after"] = "HEAD".into()),
        ("a short commit", |body| body["after"] = "123456".into()),
        ("a number for a commit", |body| body["after"] = 7.into()),
        ("no ref", |body| body["ref"] = serde_json::Value::Null),
        ("no sender", |body| body["sender"] = "quentin".into()),
    ];
    for (what, change) in cases {
        let mut push = Delivery::push("main", &commit(1), &commit(2));
        change(&mut push.body);
        if push.body["after"] != commit(2) {
            push.body["head_commit"]["id"] = push.body["after"].clone();
        }
        let reply = push.send(&it.serve.url, SECRET).await;
        it.refused(what, &reply);
    }
    for flavor in ["a%20b", "..%2f", "a".repeat(65).as_str(), "%00", "${x}"] {
        let push = Delivery::push("main", &commit(1), &commit(2)).flavor(flavor);
        it.refused(flavor, &push.send(&it.serve.url, SECRET).await);
    }
}

#[tokio::test]
async fn a_valid_but_odd_branch_arrives_unchanged() {
    let world = World::new().await;
    let serve = world.serve().await;
    for (n, branch) in
        (10..).zip(["-dash", "refs/tags/v9", "feat/émoji-🦤", "x`id`|&<b>", "a;b'c\"d$(id)", "{{x}}%{y}"])
    {
        let reply = world.push(&serve, branch, &commit(1), &commit(n)).await;
        assert_eq!(reply.status, 200, "{branch}: {}", reply.text);
        assert_eq!(world.nomad.job(reply.text.trim_end())["Meta"]["BRANCH"], branch);
    }
}

#[tokio::test]
async fn bodies_that_are_too_large_or_lie() {
    let it = Untouched::new().await;
    let limit = 8 * 1024 * 1024;
    let large = it.signed(vec![b' '; limit + 1]).await;
    assert_eq!(large.status, 413);
    it.refused("8 MiB and one byte", &large);

    let head = |length: usize| {
        format!(
            "POST /hook HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    let announced = raw::send(&it.serve.url, head(limit + 1).as_bytes(), false).await;
    assert_eq!(announced.status, 413, "refused before it is read: {}", announced.text);
    it.refused("announced", &announced);
    let chunked = format!(
        "POST /hook HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{}\r\n0\r\n\r\n",
        limit + 1,
        " ".repeat(limit + 1)
    );
    let chunked = raw::send(&it.serve.url, chunked.as_bytes(), false).await;
    assert_eq!(chunked.status, 413, "{}", chunked.text);

    let push = Delivery::push("main", &commit(1), &commit(2));
    let signature = sign(SECRET, &push.bytes());
    let lying = |length: usize| {
        let text = String::from_utf8(push.bytes()).unwrap();
        format!(
            "POST /hook HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Gitea-Event: push\r\nX-Gitea-Signature: {signature}\r\nContent-Length: {length}\r\n\r\n{text}"
        )
    };
    let short = raw::send(&it.serve.url, lying(100).as_bytes(), false).await;
    it.refused("a shorter length than the body has", &short);
    // The connection ends before the body does; whoever has hung up may get no answer.
    let long = raw::send(&it.serve.url, lying(push.bytes().len() + 100).as_bytes(), true).await;
    assert!(long.status == 0 || (400..500).contains(&long.status), "{} {}", long.status, long.text);
    assert_eq!((it.world.consul.writes(), it.world.nomad.writes()), it.writes);
}

#[tokio::test]
async fn a_slow_body_is_cut_off() {
    let it = Untouched::new().await;
    let head = b"POST /hook HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\nConnection: close\r\n\r\n";
    let reply = raw::dribble(&it.serve.url, head, Duration::from_millis(100)).await;
    assert_eq!(reply.status, 408, "{}", reply.text);
    it.refused("slow", &reply);
}

#[tokio::test]
async fn other_methods_and_paths() {
    let it = Untouched::new().await;
    for (method, path, status) in [
        ("GET", "/hook", 405),
        ("PUT", "/hook", 405),
        ("GET", "/build", 400),
        ("GET", "/nothing", 404),
        ("GET", "/builds/claim/guessed", 404),
        ("POST", "/builds/claim/guessed/approve", 404),
        ("DELETE", "/builds/builder/dispatch-1-00000000", 404),
        ("GET", "/builds/builder/..", 404),
    ] {
        let reply = crate::fake::http::send(&it.serve.url, method, path, None).await;
        assert_eq!(reply.status, status, "{method} {path}: {}", reply.text);
    }
    assert_eq!((it.world.consul.writes(), it.world.nomad.writes()), it.writes);
}
