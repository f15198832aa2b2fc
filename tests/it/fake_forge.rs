//! The fake forge answers as the recordings of Gitea do, and as GitHub documents.

use serde_json::Value;

use crate::fake::fixture::exchange;
use crate::fake::forge::{Forge, Right};
use crate::fake::http::{Reply, client};

const SHA: &str = "7691025934dc9eb34d87eebe83f1784590c4e8ff";
const HEAD: &str = "009b9394dcf852ed4af73cd1e859a318d446531e";

async fn forge() -> Forge {
    let forge = Forge::start().await;
    forge.token("may-write", Right::Write);
    forge.token("may-read", Right::Read);
    for sha in [SHA, "1111111111111111111111111111111111111111", "2222222222222222222222222222222222222222", HEAD] {
        forge.push("quentin/albatros", "main", sha);
    }
    forge
}

async fn send(forge: &Forge, method: &str, path: &str, token: Option<&str>, body: Option<&str>) -> Reply {
    let mut request = client().request(method.parse().unwrap(), format!("{}{path}", forge.url()));
    if let Some(token) = token {
        request = request.header("authorization", format!("token {token}"));
    }
    if let Some(body) = body {
        request = request.body(body.to_owned());
    }
    Reply::read(request.send().await.unwrap()).await
}

#[tokio::test]
async fn gitea_answers_as_recorded() {
    let forge = forge().await;
    for (name, token) in [
        ("status-post-pending", Some("may-write")),
        ("status-post-unknown-sha", Some("may-write")),
        ("status-post-bad-token", Some("nobody")),
        ("status-post-no-token", None),
        ("status-post-no-right", Some("may-read")),
        ("status-post-repo-missing", Some("may-write")),
        ("status-post-broken-json", Some("may-write")),
        ("status-post-branch-name", Some("may-write")),
        ("status-combined", Some("may-write")),
        ("status-combined-unknown-sha", Some("may-write")),
        ("status-list", Some("may-write")),
        ("branch-main", Some("may-read")),
        ("branch-unknown", Some("may-read")),
        ("commit", Some("may-read")),
        ("commit-unknown", Some("may-read")),
        ("compare", Some("may-read")),
        ("compare-two-dots", Some("may-read")),
        ("compare-unknown", Some("may-read")),
        ("compare-zero-base", Some("may-read")),
        ("repo-missing", Some("may-read")),
    ] {
        let recorded = exchange(&format!("gitea/api/{name}"));
        let reply = send(&forge, &recorded.method, &recorded.path, token, recorded.sent.as_deref()).await;
        assert_eq!(reply.status, recorded.status, "{name}: {}", reply.text);
        let value = reply.value();
        for field in ["message", "name", "sha", "total_commits", "state"] {
            let (ours, theirs) = (&value[field], &recorded.answer[field]);
            let differs = matches!(
                (name, field),
                ("status-combined", "state") | ("status-post-broken-json" | "commit-unknown", _)
            );
            assert!(theirs.is_null() || differs || ours == theirs, "{name}: {field} {ours} instead of {theirs}");
        }
        if let Value::Object(fields) = &value {
            let known = recorded.answer.as_object().unwrap();
            assert!(fields.keys().all(|field| known.contains_key(field)), "{name}: {fields:?}");
        }
    }
    let kept: Vec<_> = forge.statuses().into_iter().map(|status| (status.sha, status.state)).collect();
    assert_eq!(kept[0], (SHA.to_owned(), "pending".to_owned()));
    assert_eq!(kept[1].0, HEAD, "a branch's name is resolved");
    assert_eq!(kept.len(), 2);
}

#[tokio::test]
async fn github_tells_whether_a_commit_is_on_a_branch() {
    let forge = forge().await;
    forge.commit("quentin/albatros", "3333333333333333333333333333333333333333");
    for (ends, says) in [
        (format!("{HEAD}...{SHA}"), "behind"),
        (format!("{HEAD}...{HEAD}"), "identical"),
        (format!("{SHA}...{HEAD}"), "ahead"),
        (format!("{HEAD}...3333333333333333333333333333333333333333"), "diverged"),
    ] {
        let reply = send(&forge, "GET", &format!("/repos/quentin/albatros/compare/{ends}"), None, None).await;
        assert_eq!(reply.value()["status"], says, "{ends}");
    }
    let unknown = "/repos/quentin/albatros/statuses/4444444444444444444444444444444444444444";
    let body = r#"{"state":"success"}"#;
    assert_eq!(send(&forge, "POST", unknown, Some("may-write"), Some(body)).await.status, 422);
    let known = format!("/repos/quentin/albatros/statuses/{SHA}");
    assert_eq!(send(&forge, "POST", &known, Some("may-write"), Some(body)).await.status, 201);
    assert_eq!(send(&forge, "POST", &known, Some("may-write"), Some(r#"{"state":"warning"}"#)).await.status, 422);
    assert_eq!(forge.statuses().len(), 1);
}
