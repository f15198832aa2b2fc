//! The fake Consul answers as the recordings do.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::fake::consul::Consul;
use crate::fake::fault::{Fault, Times};
use crate::fake::fixture::{exchange, shape};
use crate::fake::http::{Reply, call, send};

async fn replay(consul: &Consul, name: &str) -> Reply {
    let recorded = exchange(&format!("consul/{name}"));
    let reply = send(&consul.url(), &recorded.method, &recorded.path, recorded.sent.as_deref()).await;
    assert_eq!(reply.status, recorded.status, "{name}: {}", reply.text);
    match &recorded.answer {
        Value::String(words) if !words.contains('-') => assert_eq!(reply.text.trim_end(), words.trim_end(), "{name}"),
        json => assert_eq!(shape(&reply.value()), shape(json), "{name}"),
    }
    reply
}

#[tokio::test]
async fn keys_are_read_as_recorded() {
    let consul = Consul::start().await;
    consul.put("fx/albatros/a", r#"{"hello":1}"#);
    consul.put("fx/albatros/empty", "");
    consul.put("fx/albatros/bin", [0xff, 0x00, 0xfe]);
    for name in [
        "get-json",
        "get-missing",
        "get-raw",
        "recurse",
        "recurse-missing",
        "keys",
        "keys-separator",
        "get-empty",
        "status-leader",
    ] {
        replay(&consul, &format!("kv/{name}")).await;
    }
    for name in ["get-no-key", "post-method", "wait-bad", "cas-bad", "put-524289-bytes", "key-get-double-slash"] {
        let recorded = exchange(&format!("consul/kv/{name}"));
        let big = "x".repeat(524_289);
        let sent = if name.starts_with("put-") { Some(big.as_str()) } else { recorded.sent.as_deref() };
        let reply = send(&consul.url(), &recorded.method, &recorded.path, sent).await;
        assert_eq!(reply.status, recorded.status, "{name}");
    }
}

#[tokio::test]
async fn a_cas_is_won_once_and_only_changes_are_counted() {
    let consul = Consul::start().await;
    replay(&consul, "kv/cas-0-first").await;
    assert_eq!(consul.writes(), 1);
    let lost = replay(&consul, "kv/cas-0-second").await;
    assert_eq!(lost.value(), json!(false));
    assert_eq!(replay(&consul, "kv/delete-cas-0").await.value(), json!(false));
    assert_eq!(replay(&consul, "kv/delete-missing").await.value(), json!(true));
    assert_eq!(consul.writes(), 1, "what was refused is no write");
}

#[tokio::test]
async fn of_many_claims_at_once_one_wins() {
    let consul = Consul::start().await;
    let url = consul.url();
    let tries = (0..32).map(|_| call(&url, "PUT", "/v1/kv/one?cas=0", "x"));
    let replies = futures_util::future::join_all(tries).await;
    assert_eq!(replies.iter().filter(|reply| reply.value() == json!(true)).count(), 1);
}

/// The recorded transactions, in the order in which they were made.
#[tokio::test]
async fn transactions_are_all_or_nothing() {
    let consul = Consul::start().await;
    let won = replay(&consul, "txn/claim-won").await;
    let lost = replay(&consul, "txn/claim-lost").await;
    assert_eq!(lost.value(), exchange("consul/txn/claim-lost").answer);
    let index = won.value()["Results"][0]["KV"]["ModifyIndex"].as_u64().unwrap();
    let session = hold(&consul, "fx-builds/lock").await;

    let finish = |index: u64, session: &str| {
        let mut body: Value = serde_json::from_str(&exchange("consul/txn/finish").sent.unwrap()).unwrap();
        body[0]["KV"]["Session"] = session.into();
        body[1]["KV"]["Index"] = index.into();
        body.to_string()
    };
    let before = consul.writes();
    let stale = call(&consul.url(), "PUT", "/v1/txn", &finish(index + 1, &session)).await;
    assert_eq!(stale.value(), exchange("consul/txn/finish-stale-index").answer);
    let stranger = call(&consul.url(), "PUT", "/v1/txn", &finish(index, "00000000-0000-0000-0000-000000000000")).await;
    assert_eq!(stranger.status, 409);
    assert!(stranger.text.contains("failed session check for key"), "{}", stranger.text);
    assert_eq!(consul.writes(), before);
    assert_eq!(consul.get("fx-builds/done/c1"), None);

    let done = call(&consul.url(), "PUT", "/v1/txn", &finish(index, &session)).await;
    assert_eq!(shape(&done.value()), shape(&exchange("consul/txn/finish").answer));
    assert_eq!(consul.get("fx-builds/open/c1"), None);
    assert_eq!(replay(&consul, "txn/claim-after-done").await.value(), exchange("consul/txn/claim-after-done").answer);
    replay(&consul, "txn/too-many-operations").await;
}

async fn hold(consul: &Consul, key: &str) -> String {
    let body = r#"{"TTL":"10s","Behavior":"release","LockDelay":"0s"}"#;
    let session =
        call(&consul.url(), "PUT", "/v1/session/create", body).await.value()["ID"].as_str().unwrap().to_owned();
    let got = call(&consul.url(), "PUT", &format!("/v1/kv/{key}?acquire={session}"), "me").await;
    assert_eq!(got.value(), json!(true));
    session
}

#[tokio::test]
async fn a_lock_is_held_by_one_session_until_it_ends() {
    let consul = Consul::start().await;
    replay(&consul, "session/session-create").await;
    replay(&consul, "session/session-ttl-too-short").await;
    replay(&consul, "session/session-renew-gone").await;
    replay(&consul, "session/lock-acquire-bad-session").await;
    let first = hold(&consul, "lock").await;
    let body = r#"{"TTL":"10s","LockDelay":"0s"}"#;
    let second =
        call(&consul.url(), "PUT", "/v1/session/create", body).await.value()["ID"].as_str().unwrap().to_owned();
    let take = format!("/v1/kv/lock?acquire={second}");
    assert_eq!(call(&consul.url(), "PUT", &take, "you").await.value(), json!(false));
    // Seen: a lock does not protect its key from a plain write.
    assert_eq!(call(&consul.url(), "PUT", "/v1/kv/lock", "anybody").await.value(), json!(true));
    let shown = call(&consul.url(), "GET", "/v1/kv/lock", "").await.value();
    assert_eq!(shape(&shown), shape(&exchange("consul/session/lock-get").answer));
    consul.end_sessions(std::slice::from_ref(&second));
    assert_eq!(consul.holder("lock"), None);
    assert_ne!(Some(first), consul.holder("lock"));
    assert_eq!(call(&consul.url(), "PUT", &take, "you").await.value(), json!(true));
    assert_eq!(consul.holder("lock"), Some(second));
}

#[tokio::test]
async fn a_blocking_query_is_woken_by_its_own_keys_only() {
    let consul = Consul::start().await;
    consul.put("p/a", "1");
    let (url, index) = (consul.url(), call(&consul.url(), "GET", "/v1/kv/p/?recurse", "").await.index());
    let waiting =
        tokio::spawn(async move { call(&url, "GET", &format!("/v1/kv/p/?recurse&index={index}&wait=60s"), "").await });
    consul.wire().wait_seen("GET", "wait=60s", 1).await;
    consul.put("q/other", "x");
    let unrelated = call(&consul.url(), "GET", &format!("/v1/kv/p/?recurse&index={index}&wait=10ms"), "").await;
    assert_eq!(unrelated.index(), index);
    assert!(!waiting.is_finished());
    consul.remove("p/a");
    let woken = waiting.await.unwrap();
    assert_eq!(woken.status, 404);
    assert!(woken.index() > index);
}

#[tokio::test]
async fn a_connection_can_be_cut_after_the_write() {
    let consul = Consul::start().await;
    let mut cut = consul.faults().arm("PUT", "/v1/kv/", Times::Next(1), Fault::CutAfter);
    let url = format!("{}/v1/kv/k", consul.url());
    let failed = crate::fake::http::client().put(&url).body("v").send().await;
    assert!(failed.is_err());
    cut.hit(1).await;
    assert_eq!(consul.get("k").as_deref(), Some(b"v".as_slice()));
    let mut before = consul.faults().arm("PUT", "/v1/kv/", Times::Next(1), Fault::CutBefore);
    assert!(crate::fake::http::client().put(&url).body("w").send().await.is_err());
    before.hit(1).await;
    assert_eq!(consul.get("k").as_deref(), Some(b"v".as_slice()));
    assert_eq!(STANDARD.encode("v"), call(&consul.url(), "GET", "/v1/kv/k", "").await.value()[0]["Value"]);
}

#[tokio::test]
async fn a_missing_token_is_refused_once_one_is_required() {
    let consul = Consul::start().await;
    consul.require_token("c0nsul");
    let url = format!("{}/v1/kv/k?keys", consul.url());
    assert_eq!(send(&consul.url(), "GET", "/v1/kv/k", None).await.status, 403);
    let with = crate::fake::http::client().get(&url).header("x-consul-token", "c0nsul").send().await.unwrap();
    assert_eq!(with.status(), 404);
}
