//! The fake's webhooks answer as those of the recorded Gitea do.

use serde_json::Value;

use crate::fake::fixture::exchange;
use crate::fake::forge::{Forge, Right};
use crate::fake::http::{Reply, client};

async fn send(forge: &Forge, name: &str, token: Option<&str>, id: u64) -> (Reply, Value, u16) {
    let recorded = exchange(&format!("gitea/api/{name}"));
    let path = recorded.path.replace("/hooks/9", &format!("/hooks/{id}")).replace("/hooks/13", &format!("/hooks/{id}"));
    let path = path
        .replace(&format!("/hooks/{id}99999"), "/hooks/999999")
        .replace("re-empty/hooks/14", &format!("re-empty/hooks/{id}"));
    let mut request = client().request(recorded.method.parse().unwrap(), format!("{}{path}", forge.url()));
    if let Some(token) = token {
        request = request.header("authorization", format!("token {token}"));
    }
    if let Some(body) = recorded.sent {
        request = request.body(body);
    }
    (Reply::read(request.send().await.unwrap()).await, recorded.answer, recorded.status)
}

#[tokio::test]
async fn webhooks_and_accounts_answer_as_recorded() {
    let forge = Forge::start().await;
    forge.token("owner", Right::Write);
    forge.token("reader", Right::Read);
    forge.account("lx", 2);
    forge.push("quentin/albatros", "main", &"1".repeat(40));
    forge.repository("quentin/re-empty");
    let (made, _, _) = send(&forge, "hook-create", Some("owner"), 0).await;
    let id = made.value()["id"].as_u64().unwrap();
    for (name, token) in [
        ("hook-create-no-right", Some("reader")),
        ("hook-list-no-right", Some("reader")),
        ("hook-list-no-token", None),
        ("hook-patch", Some("owner")),
        ("hook-test", Some("owner")),
        ("hook-test-unknown", Some("owner")),
        ("hook-patch-without-events", Some("owner")),
        ("hook-delete-unknown", Some("owner")),
        ("hook-delete", Some("owner")),
        ("user-anonymous", None),
        ("user-unknown", None),
        ("user-no-scope", Some("owner")),
        ("hook-create", Some("owner")),
    ] {
        let (reply, recorded, status) = send(&forge, name, token, id).await;
        assert_eq!(reply.status, status, "{name}: {}", reply.text);
        let ours = reply.value();
        for field in ["message", "active", "login", "id"] {
            let of_user = name.starts_with("user");
            let differs = (field == "id" && !of_user) || (field == "active" && of_user);
            let same = differs || ours[field] == recorded[field];
            assert!(same, "{name}: {field} {ours} instead of {recorded}");
        }
        if let (Some(ours), Some(theirs)) = (ours.as_object(), recorded.as_object()) {
            assert!(ours.keys().all(|field| theirs.contains_key(field)), "{name}: {ours:?}");
        }
    }
    let mut events = forge.hooks()[0].events.iter().cloned().collect::<Vec<_>>();
    events.sort();
    assert_eq!(events, ["pull_request", "pull_request_sync", "push"]);
    let (empty, recorded, status) = send(&forge, "hook-test-empty", Some("owner"), id).await;
    assert_eq!((empty.status, status), (404, 404), "{recorded}");
}
