//! The ways in which a delivery may come.

use crate::fake::delivery::{Delivery, commit, sign};
use crate::fake::http::{Reply, client};
use crate::fake::world::{FORGE, SECRET, World};

async fn post(url: String, headers: &[(&str, String)], body: Vec<u8>) -> Reply {
    let mut request = client().post(url).body(body);
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    Reply::read(request.send().await.unwrap()).await
}

#[tokio::test]
async fn a_form_is_signed_over_its_text() {
    let world = World::new().await;
    let serve = world.serve().await;
    world.forge.push("quentin/albatros", "main", &commit(2));
    let push = Delivery::push("main", &commit(1), &commit(2));
    let text = String::from_utf8(push.bytes()).unwrap();
    let body = url::form_urlencoded::Serializer::new(String::new()).append_pair("payload", &text).finish();
    let headers = [
        ("content-type", "application/x-www-form-urlencoded".to_owned()),
        ("x-gitea-event", "push".to_owned()),
        ("x-gitea-signature", sign(SECRET, text.as_bytes())),
    ];
    let reply = post(format!("{}/hook", serve.url), &headers, body.into_bytes()).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(world.nomad.job(reply.text.trim_end())["Meta"]["COMMIT"], commit(2));
}

/// As in the original: `curl -d @example/albatros.json …/hook?token=…&flavor=…`.
#[tokio::test]
async fn a_token_in_the_address_is_enough_where_there_is_no_secret() {
    let world = World::new().await;
    let mut config = world.config();
    config["hook"] = serde_json::json!({"token": "hook-t0ken"});
    world.put_config(&config);
    let serve = world.serve().await;
    world.forge.push("quentin/albatros", "main", &commit(2));
    let body = Delivery::push("main", &commit(1), &commit(2)).bytes();
    let form = [("content-type", "application/x-www-form-urlencoded".to_owned())];
    for (n, (query, headers)) in [
        ("?token=hook-t0ken&flavor=default", form.as_slice()),
        ("?token=hook-t0ken&flavor=other", &[]),
        ("", &[("authorization", "Bearer hook-t0ken".to_owned()), ("x-gitea-event", "push".to_owned())]),
    ]
    .into_iter()
    .enumerate()
    {
        let reply = post(format!("{}/hook{query}", serve.url), headers, body.clone()).await;
        assert_eq!(reply.status, 200, "{n}: {}", reply.text);
    }
    for query in ["", "?token=", "?token=wrong", "?token=hook-t0ke"] {
        let reply = post(format!("{}/hook{query}", serve.url), &form, body.clone()).await;
        assert_eq!(reply.status, 401, "{query}: {}", reply.text);
    }
    assert_eq!(world.nomad.dispatches(), 2, "the first and the third are the same change");
    assert!(!world.printed().contains("hook-t0ken"));
}

#[tokio::test]
async fn github_is_understood_too() {
    let world = World::new().await;
    let mut config = world.config();
    config.as_object_mut().unwrap().remove("gitea");
    config["github"] = serde_json::json!({"url": world.forge.url(), "token": FORGE});
    world.put_config(&config);
    let serve = world.serve().await;
    world.forge.push("quentin/albatros", "main", &commit(2));
    let body = Delivery::push("main", &commit(1), &commit(2)).bytes();
    let headers = [
        ("content-type", "application/json".to_owned()),
        ("x-github-event", "push".to_owned()),
        ("x-hub-signature-256", format!("sha256={}", sign(SECRET, &body))),
    ];
    let reply = post(format!("{}/hook", serve.url), &headers, body).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let build = reply.text.trim_end();
    world.nomad.run(build);
    world.nomad.exit(build, 0);
    world.all_done(1).await;
    assert_eq!(world.final_status(&commit(2)).state, "success");
}

#[tokio::test]
async fn json_is_answered_to_who_asks_for_it() {
    let world = World::new().await;
    let serve = world.serve().await;
    world.forge.push("quentin/albatros", "main", &commit(2));
    let push = Delivery::push("main", &commit(1), &commit(2));
    let mut headers = push.headers(SECRET);
    headers.push(("accept", "application/json".to_owned()));
    let reply = post(format!("{}/hook", serve.url), &headers, push.bytes()).await;
    let build = world.nomad.child("builder", 1).await;
    assert_eq!(reply.value()["build"], build);
    assert!(reply.value()["log"].as_str().unwrap().starts_with("https://ci.example/build?job="), "{}", reply.text);
}

#[tokio::test]
async fn what_is_nothing_to_build_is_ignored_and_says_why() {
    let world = World::new().await;
    let serve = world.serve().await;
    let writes = (world.consul.writes(), world.nomad.writes());
    let mut deleted = Delivery::push("main", &commit(1), &commit(2));
    deleted.body["after"] = "0".repeat(40).into();
    deleted.body["head_commit"] = serde_json::Value::Null;
    let reply = deleted.send(&serve.url, SECRET).await;
    assert_eq!(reply.status, 200);
    assert!(reply.text.starts_with("ignored: "), "{}", reply.text);
    assert_eq!((world.consul.writes(), world.nomad.writes()), writes);
}

#[tokio::test]
async fn a_changed_configuration_counts_at_once() {
    let world = World::new().await;
    let serve = world.serve().await;
    assert_eq!(world.push(&serve, "main", &commit(1), &commit(2)).await.status, 200);
    let mut config = world.config();
    config["hook"]["secret"] = "another-secret".into();
    world.put_config(&config);
    world.consul.wire().wait_seen("GET", "/v1/kv/albatros%2F?", 3).await;
    let old = Delivery::push("main", &commit(2), &commit(3)).send(&serve.url, SECRET).await;
    assert_eq!(old.status, 401, "{}", old.text);
    world.consul.put_repo("albatros", crate::fake::delivery::REPO, &serde_json::json!({"hook": {"sekret": "x"}}));
    let broken = Delivery::push("main", &commit(2), &commit(3)).send(&serve.url, "another-secret").await;
    assert!(matches!(broken.status, 401 | 503), "fails closed: {} {}", broken.status, broken.text);
    assert_eq!(world.nomad.dispatches(), 1);
}
