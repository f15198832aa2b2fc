//! Whose pull requests are built without asking: said by a person, taken back by one, and never more than that.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::fake::delivery::{Delivery, REPO, commit};
use crate::fake::fault::{Fault, Times};
use crate::fake::http::{Reply, client};
use crate::fake::serve::Serve;
use crate::fake::world::{ACTOR, READER, SECRET, World, person};

/// Where the lists are.
const APPROVED: &str = "albatros-builds/approved/";

/// A pull request of mallory's arrives with this head.
async fn arrives(world: &World, serve: &Serve, pull: &Delivery) -> Reply {
    let head = pull.body["pull_request"]["head"]["sha"].as_str().unwrap();
    world.forge.commit("quentin/albatros", head);
    pull.send(&serve.url, SECRET).await
}

fn pull(n: u64) -> Delivery {
    Delivery::pull_pushed(3, &commit(n))
}

fn is_held(reply: &Reply) -> bool {
    reply.status == 202 && reply.text.contains("held: waiting for approval")
}

/// That it is let through; its build, the `nth`.
async fn is_built(world: &World, reply: &Reply, nth: usize) -> String {
    assert!([200, 202].contains(&reply.status) && !is_held(reply), "{} {}", reply.status, reply.text);
    let build = world.nomad.child("builder", nth).await;
    assert_eq!(world.nomad.children("builder").len(), nth);
    build
}

async fn approve(serve: &Serve, body: &Value, bearer: &str) -> Reply {
    let request = client().put(format!("{}/approved", serve.url)).bearer_auth(bearer).json(body);
    Reply::read(request.send().await.unwrap()).await
}

async fn mallory_is_approved(serve: &Serve) {
    let reply = approve(serve, &json!({"repo": REPO, "login": "mallory", "id": 4}), ACTOR).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
}

async fn revoke(serve: &Serve, login: &str) -> Reply {
    person(serve, "DELETE", &format!("/approved?repo={REPO}&login={login}"), Some(ACTOR)).await
}

async fn json_of(serve: &Serve, path: &str, bearer: Option<&str>) -> Value {
    let mut request = client().get(format!("{}{path}", serve.url)).header("accept", "application/json");
    if let Some(bearer) = bearer {
        request = request.bearer_auth(bearer);
    }
    let reply = Reply::read(request.send().await.unwrap()).await;
    assert_eq!(reply.status, 200, "{path}: {}", reply.text);
    serde_json::from_str(&reply.text).unwrap()
}

/// The one change that is held, and its record.
fn one_held(world: &World) -> (String, Value) {
    let mut held: Vec<_> = world.open().into_iter().filter(|(_, record)| record["phase"]["is"] == "held").collect();
    assert_eq!(held.len(), 1, "{held:?}");
    held.remove(0)
}

#[tokio::test]
async fn a_sender_who_is_approved_always_is_built_at_once_and_never_with_secrets() {
    let world = World::new().await;
    let (serve, other) = (world.serve().await, world.serve().await);
    assert!(is_held(&arrives(&world, &serve, &pull(2)).await));
    let (claim, _) = one_held(&world);
    let path = format!("/builds/claim/{claim}/approve?always=true");
    for bearer in [None, Some("guessed"), Some(READER)] {
        assert_eq!(person(&serve, "POST", &path, bearer).await.status, 401, "{bearer:?}");
    }
    assert!(world.consul.list(APPROVED).is_empty());
    let approved = person(&serve, "POST", &path, Some(ACTOR)).await;
    is_built(&world, &approved, 1).await;
    assert!(approved.text.contains("what mallory sends is built without approval"), "{}", approved.text);

    // The other replica knows it too.
    let build = is_built(&world, &arrives(&world, &other, &pull(3)).await, 2).await;
    let job = world.nomad.job(&build);
    assert!(job["Payload"].is_null(), "no secrets: {}", job["Payload"]);
    assert_eq!((&job["Meta"]["TRUSTED"], &job["Meta"]["SENDER"]), (&"false".into(), &"mallory".into()));
    let record = world.open().into_iter().find(|(_, record)| record["commit"] == commit(3)).unwrap().1;
    assert_eq!((&record["approved_by"], &record["trusted"]), (&"always".into(), &false.into()), "{record}");
    assert!(world.printed().contains("approve always"));
}

#[tokio::test]
async fn nobody_else_s_pull_request_is_built_for_it() {
    let world = World::new().await;
    let serve = world.serve().await;
    mallory_is_approved(&serve).await;
    let reopened = Delivery::recorded("pr-fork-reopened");
    let eve = |n: u64| pull(n).by("eve", 9);
    let mut maintainer = eve(2);
    maintainer.body["sender"] = json!({"login": "mallory", "id": 4});
    let mut reopens = reopened.clone();
    reopens.body["sender"] = json!({"login": "quentin", "id": 1});
    let unknown = {
        let mut unknown = pull(3);
        unknown.body["pull_request"]["user"].as_object_mut().unwrap().remove("id");
        unknown
    };
    for (what, delivery) in [
        ("another account", eve(4)),
        ("who is approved acts on a stranger's", maintainer),
        ("a maintainer reopens", reopens),
        ("the login is somebody else's now", pull(5).by("mallory", 40)),
        ("the account has another name", pull(6).by("mallory2", 4)),
        ("the delivery does not say whose", unknown),
    ] {
        let reply = arrives(&world, &serve, &delivery).await;
        assert!(is_held(&reply), "{what}: {} {}", reply.status, reply.text);
    }
    assert_eq!(world.nomad.dispatches(), 0);
    is_built(&world, &arrives(&world, &serve, &pull(7)).await, 1).await;
}

#[tokio::test]
async fn an_approval_is_for_one_repository() {
    let world = World::new().await;
    let serve = world.serve().await;
    let other = "http://127.0.0.1:3300/quentin/other.git";
    let mut config = world.config();
    config["tokens"]["act"] = json!(["actor-of-the-other"]);
    world.consul.put_repo("albatros", other, &config);
    mallory_is_approved(&serve).await;
    let pull = pull(2).repo(other);
    world.forge.commit("quentin/other", &commit(2));
    let reply = pull.send(&serve.url, SECRET).await;
    assert!(is_held(&reply), "{} {}", reply.status, reply.text);
    let body = json!({"repo": other, "login": "mallory", "id": 4});
    assert_eq!(approve(&serve, &body, ACTOR).await.status, 401, "the token is another repository's");
    assert_eq!(approve(&serve, &body, "actor-of-the-other").await.status, 200);
    let both = |list: Value| list.as_array().unwrap().iter().map(|one| one["repo"].clone()).collect::<Vec<_>>();
    assert_eq!(both(json_of(&serve, "/approved", Some(ACTOR)).await), [Value::from(REPO)]);
    let wrong = person(&serve, "GET", &format!("/approved?repo={other}"), Some(ACTOR)).await;
    assert_eq!(wrong.status, 401);
}

#[tokio::test]
async fn who_is_revoked_is_held_again() {
    let world = World::new().await;
    let serve = world.serve().await;
    mallory_is_approved(&serve).await;
    let listed = json_of(&serve, &format!("/approved?repo={REPO}"), Some(READER)).await;
    assert_eq!((&listed[0]["login"], &listed[0]["id"]), (&"mallory".into(), &4.into()), "{listed}");
    assert!(listed[0]["since"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
    for bearer in [None, Some("guessed"), Some(READER)] {
        let path = format!("/approved?repo={REPO}&login=mallory");
        assert_eq!(person(&serve, "DELETE", &path, bearer).await.status, 401, "{bearer:?}");
        let body = json!({"repo": REPO, "login": "eve", "id": 9});
        assert_eq!(approve(&serve, &body, bearer.unwrap_or_default()).await.status, 401, "{bearer:?}");
    }
    for bearer in [None, Some("guessed")] {
        assert_eq!(person(&serve, "GET", "/approved", bearer).await.status, 401, "{bearer:?}");
    }
    is_built(&world, &arrives(&world, &serve, &pull(2)).await, 1).await;
    let revoked = revoke(&serve, "Mallory").await;
    assert_eq!(revoked.status, 200);
    assert!(revoked.text.starts_with("Mallory: not approved any more\nunder way: "), "{}", revoked.text);
    assert!(is_held(&arrives(&world, &serve, &pull(3)).await));
    let again = revoke(&serve, "mallory").await;
    assert!(again.status == 200 && again.text.starts_with("mallory: was not approved"), "{}", again.text);
    assert_eq!(json_of(&serve, "/approved", Some(READER)).await, json!([]));
    assert_eq!(world.nomad.dispatches(), 1);
}

/// What was let through for its sender's sake, and has not got its turn, waits for a person again.
#[tokio::test]
async fn what_waits_is_held_again_when_its_sender_is_revoked() {
    let world = World::new().await;
    // Nobody becomes the follower, so what waits stays as it is.
    let _armed = world.consul.faults().arm("GET", "albatros-builds/lock", Times::All, Fault::Text(500, "No leader"));
    let serve = world.serve().await;
    mallory_is_approved(&serve).await;
    assert_eq!(arrives(&world, &serve, &pull(2)).await.status, 202);
    let (key, value) = world.consul.list("albatros-builds/open/").remove(0);
    let record: Value = serde_json::from_slice(&value).unwrap();
    // The forge is to say first what its commit says.
    assert_eq!(record["phase"]["is"], "waiting");
    let other = revoke(&serve, "eve").await;
    assert!(other.status == 200 && !other.text.contains("held"), "{}", other.text);
    let revoked = revoke(&serve, "mallory").await;
    assert!(revoked.text.contains("held again: "), "{}", revoked.text);
    let (_, held) = one_held(&world);
    assert!(held.get("approved_by").is_none() && held.get("approved").is_none(), "{held}");

    // A server that was killed between the list and the change is asked again.
    world.consul.put(&key, record.to_string());
    let again = revoke(&serve, "mallory").await;
    assert!(again.text.starts_with("mallory: was not approved\nheld again: "), "{}", again.text);
    one_held(&world);
}

/// The same where it stands in a line: it stands there anew once a person has approved it.
#[tokio::test]
async fn what_waits_for_its_turn_leaves_the_line_when_its_sender_is_revoked() {
    let world = World::new().await;
    let mut config = world.config();
    config["concurrency"] = json!({"max": 1});
    world.put_config(&config);
    let serve = world.serve().await;
    let first = world.build(&serve, "main", &commit(1), &commit(2)).await;
    mallory_is_approved(&serve).await;
    let waits = arrives(&world, &serve, &pull(3)).await;
    assert!(waits.status == 202 && waits.text.contains("waiting for its turn"), "{} {}", waits.status, waits.text);
    let revoked = revoke(&serve, "mallory").await;
    assert!(revoked.text.contains("held again: "), "{}", revoked.text);
    let said = || world.forge.of(&commit(3)).last().is_some_and(|last| last.description == "Waiting for approval");
    world.forge.wait("it waits for approval", said).await;
    world.nomad.run(&first);
    world.nomad.exit(&first, 0);
    world.consul.wait("albatros-builds/done/", "the first to be over", |done| done.len() == 1).await;
    let (claim, _) = one_held(&world);
    assert_eq!(world.nomad.dispatches(), 1);
    let approved = person(&serve, "POST", &format!("/builds/claim/{claim}/approve"), Some(ACTOR)).await;
    let second = is_built(&world, &approved, 2).await;
    world.nomad.run(&second);
    world.nomad.exit(&second, 0);
    world.all_done(2).await;
}

#[tokio::test]
async fn a_server_that_dies_in_the_middle_is_asked_again() {
    let world = World::new().await;
    let serve = world.serve().await;
    assert!(is_held(&arrives(&world, &serve, &pull(2)).await));
    let (claim, _) = one_held(&world);
    let path = format!("/builds/claim/{claim}/approve?always=true");
    // The list is written; the answer to that, and the change itself, are not to be.
    let mut moment = world.consul.faults().arm("PUT", "/v1/txn", Times::All, Fault::HangAfter);
    let request = client().post(format!("{}{path}", serve.url)).bearer_auth(ACTOR).send();
    let asked = tokio::spawn(request);
    let written = || !world.consul.list(APPROVED).is_empty();
    world.consul.wait(APPROVED, "the list", |_| written()).await;
    moment.hit(1).await;
    serve.kill().await;
    assert!(asked.await.unwrap().is_err());
    world.all_work();
    world.let_locks_go();
    assert_eq!(world.nomad.dispatches(), 0);
    let next = world.serve().await;
    is_built(&world, &person(&next, "POST", &path, Some(ACTOR)).await, 1).await;
    let list = json_of(&next, "/approved", Some(READER)).await;
    assert_eq!(list.as_array().unwrap().len(), 1, "{list}");
}

#[tokio::test]
async fn two_replicas_write_one_list() {
    let world = World::new().await;
    let (one, two) = (world.serve().await, world.serve().await);
    let each = (0..8_u64).map(|id| {
        let serve = if id % 2 == 0 { &one } else { &two };
        async move { approve(serve, &json!({"repo": REPO, "login": format!("u{id}"), "id": id}), ACTOR).await }
    });
    for reply in join_all(each).await {
        assert_eq!(reply.status, 200, "{}", reply.text);
    }
    assert_eq!(json_of(&one, "/approved", Some(READER)).await.as_array().unwrap().len(), 8);
}

#[tokio::test]
async fn a_thousand_senders_are_enough() {
    let world = World::new().await;
    let serve = world.serve().await;
    mallory_is_approved(&serve).await;
    let (key, value) = world.consul.list(APPROVED).remove(0);
    let mut list: Value = serde_json::from_slice(&value).unwrap();
    let since = list["senders"][0]["since"].clone();
    let many = (1_000..1_999).map(|id| json!({"login": format!("{id:0>100}"), "id": id, "since": since}));
    list["senders"].as_array_mut().unwrap().extend(many);
    world.consul.put(&key, list.to_string());
    let full = approve(&serve, &json!({"repo": REPO, "login": "eve", "id": 9}), ACTOR).await;
    assert_eq!(full.status, 422);
    assert!(full.text.contains("1000 senders") && full.text.contains("revoke"), "{}", full.text);
    is_built(&world, &arrives(&world, &serve, &pull(2)).await, 1).await;
    assert_eq!(revoke(&serve, &format!("{:0>100}", 1_500)).await.status, 200);
    assert_eq!(approve(&serve, &json!({"repo": REPO, "login": "eve", "id": 9}), ACTOR).await.status, 200);
    assert_eq!(json_of(&serve, "/approved", Some(READER)).await.as_array().unwrap().len(), 1_000);
}

#[tokio::test]
async fn a_list_that_cannot_be_read_lets_nobody_through() {
    let world = World::new().await;
    let serve = world.serve().await;
    mallory_is_approved(&serve).await;
    let armed = world.consul.faults().arm("GET", "builds/approved", Times::All, Fault::Hang);
    assert!(is_held(&arrives(&world, &serve, &pull(2)).await));
    assert!(armed.hits() > 0);
    world.consul.faults().clear();
    let (key, _) = world.consul.list(APPROVED).remove(0);
    world.consul.put(&key, r#"{"version": 2, "senders": "all"}"#);
    assert!(is_held(&arrives(&world, &serve, &pull(3)).await));
    let refused = approve(&serve, &json!({"repo": REPO, "login": "mallory", "id": 4}), ACTOR).await;
    assert_eq!(refused.status, 503, "what another version wrote is left alone: {}", refused.text);
    assert_eq!(world.consul.get(&key).unwrap(), br#"{"version": 2, "senders": "all"}"#);
}

#[tokio::test]
async fn an_account_is_asked_for_by_its_login() {
    let world = World::new().await;
    let serve = world.serve().await;
    let named = json!({"repo": REPO, "login": "MALLORY"});
    let path = "/api/v1/users/MALLORY";
    let asked =
        world.forge.faults().arm("GET", path, Times::Next(1), Fault::Text(200, r#"{"id":4,"login":"mallory"}"#));
    let reply = approve(&serve, &named, ACTOR).await;
    assert_eq!((reply.status, reply.text.as_str()), (200, "mallory (4): approved always\n"));
    assert_eq!(asked.hits(), 1);
    world.forge.faults().arm("GET", path, Times::Next(1), Fault::Text(404, r#"{"message":"user does not exist"}"#));
    assert_eq!(approve(&serve, &named, ACTOR).await.status, 422);
    world.forge.faults().arm("GET", path, Times::Next(1), Fault::CutBefore);
    let cut = approve(&serve, &named, ACTOR).await;
    assert!(cut.status == 502 && cut.text.contains("give its id"), "{} {}", cut.status, cut.text);
}

#[tokio::test]
async fn whose_pull_request_it_is_decides_who_is_approved() {
    let world = World::new().await;
    let serve = world.serve().await;
    let mut reopened = pull(2);
    reopened.body["sender"] = json!({"login": "quentin", "id": 1});
    assert!(is_held(&arrives(&world, &serve, &reopened).await));
    let (claim, _) = one_held(&world);
    let path = format!("/builds/claim/{claim}/approve");
    let refused = person(&serve, "POST", &format!("{path}?always=true"), Some(ACTOR)).await;
    assert_eq!(refused.status, 422);
    assert!(refused.text.contains("quentin acted, and mallory opened the pull request"), "{}", refused.text);
    assert!(world.consul.list(APPROVED).is_empty() && world.nomad.dispatches() == 0);
    is_built(&world, &person(&serve, "POST", &path, Some(ACTOR)).await, 1).await;
}

#[tokio::test]
async fn what_is_held_is_listed_with_why_and_since_when() {
    let world = World::new().await;
    let serve = world.serve().await;
    assert_eq!(json_of(&serve, "/held", None).await, json!({"held": [], "left_off": 0}));
    assert!(is_held(&arrives(&world, &serve, &pull(2)).await));
    let mut other = Delivery::pull(4, &commit(3)).by("eve", 9);
    other.body["pull_request"]["head"]["repo"] = Value::Null;
    assert!(is_held(&arrives(&world, &serve, &other).await));
    world.build(&serve, "main", &commit(1), &commit(8)).await;

    let listed = json_of(&serve, "/held", None).await;
    let of = |n: usize, field: &str| listed["held"][n][field].clone();
    assert_eq!(listed["held"].as_array().unwrap().len(), 2, "{listed}");
    assert_eq!((of(0, "commit"), of(1, "commit")), (commit(2).into(), commit(3).into()), "oldest first: {listed}");
    assert_eq!((of(0, "why"), of(0, "pull_request")), ("a pull request from a fork".into(), 3.into()));
    assert_eq!(of(1, "why"), "a pull request whose repository is gone");
    assert_eq!(of(0, "sender"), json!({"login": "mallory", "id": 4}));
    assert_eq!((of(0, "repo"), of(0, "author")), (REPO.into(), "mallory".into()));
    assert!(of(0, "since").as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
    let claim = of(0, "claim").as_str().unwrap().to_owned();
    assert_eq!(of(0, "page"), format!("https://ci.example/builds/claim/{claim}"));
    let lines = person(&serve, "GET", "/held", None).await.text;
    assert!(lines.starts_with(&format!("{claim}\t{REPO}\t")) && lines.lines().count() == 2, "{lines}");
    let spelled = REPO.replace("http://127", "HTTP://127");
    for (query, count) in [
        (format!("repo={REPO}"), 2),
        (format!("repo={spelled}"), 2),
        ("repo=http://127.0.0.1:3300/quentin/other.git".to_owned(), 0),
        ("sender=EVE".to_owned(), 1),
        (format!("claim={claim}"), 1),
    ] {
        let found = json_of(&serve, &format!("/held?{query}"), None).await;
        assert_eq!(found["held"].as_array().unwrap().len(), count, "{query}: {found}");
    }
    assert_eq!(person(&serve, "GET", "/held?claim=short", None).await.status, 400);
}

#[tokio::test]
async fn what_is_held_of_a_private_repository_is_shown_to_its_readers_and_by_its_status_s_link() {
    let world = World::new().await;
    let serve = world.serve().await;
    for n in [2, 3] {
        assert!(is_held(&arrives(&world, &serve, &Delivery::pull(n, &commit(n)).private()).await));
    }
    for bearer in [None, Some("guessed")] {
        let reply = person(&serve, "GET", "/held", bearer).await;
        assert_eq!((reply.status, reply.text.trim()), (200, ""), "{bearer:?}");
    }
    let listed = json_of(&serve, "/held", Some(READER)).await;
    assert_eq!(listed["held"].as_array().unwrap().len(), 2);
    let claim = |n: usize| listed["held"][n]["claim"].as_str().unwrap().to_owned();
    let approve = format!("/builds/claim/{}/approve", claim(0));
    assert_eq!(person(&serve, "POST", &approve, None).await.status, 404);
    assert_eq!(person(&serve, "POST", &approve, Some("guessed")).await.status, 404);

    let link = world.forge.wait_state(&commit(2), "pending").await.target_url;
    let path = link.strip_prefix("https://ci.example").unwrap();
    let page = format!("/builds/claim/{}", claim(0));
    let key = path.strip_prefix(&format!("{page}?key=")).unwrap_or_else(|| panic!("{path}"));
    assert_eq!(person(&serve, "GET", &page, None).await.status, 404);
    assert_eq!(person(&serve, "GET", path, None).await.status, 200);
    for (method, other) in [
        ("GET", format!("/builds/claim/{}?key={key}", claim(1))),
        ("GET", format!("{page}?key={}", &key[1..])),
        ("POST", format!("{approve}?key={key}")),
        ("DELETE", path.to_owned()),
    ] {
        assert_eq!(person(&serve, method, &other, None).await.status, 404, "{method} {other}");
    }
    assert_eq!(world.nomad.dispatches(), 0);
}
