use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::domain::event::{Change, PullOrigin};

fn headers(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn text(content_type: Option<&str>, body: &[u8]) -> Result<Vec<u8>, Class> {
    let headers = content_type.map(|media| headers(&[("content-type", media)])).unwrap_or_default();
    let incoming = Incoming { headers: &headers, query: "", body };
    json_text(&incoming).map(Cow::into_owned).map_err(|why| why.class())
}

fn read(event: &[(&str, &str)], body: &Value) -> Result<Event, DeliveryError> {
    let body = body.to_string().into_bytes();
    let headers = headers(event);
    let incoming = Incoming { headers: &headers, query: "", body: &body };
    parse(&incoming, &Verified::unsigned_for_explain(&body))
}

fn change(event: &[(&str, &str)], body: &Value) -> Change {
    match read(event, body).unwrap() {
        Event::Change(change) => change,
        other => panic!("{other:?}"),
    }
}

fn ignored_for(event: &[(&str, &str)], body: &Value) -> (Option<EventKind>, String) {
    match read(event, body).unwrap() {
        Event::Ignored { kind, reason } => (kind, reason),
        other => panic!("{other:?}"),
    }
}

fn push() -> Value {
    json!({"ref": "refs/heads/main", "before": "a".repeat(40), "after": "b".repeat(40),
        "repository": {"id": 1, "private": false}, "sender": {"login": "quentin", "id": 2}})
}

fn with(mut body: Value, field: &str, value: Value) -> Value {
    body[field] = value;
    body
}

#[test]
fn json_comes_as_a_body_or_as_a_form() {
    assert_eq!(text(None, b"{}").unwrap(), b"{}");
    assert_eq!(text(Some("application/json; charset=utf-8"), b"{}").unwrap(), b"{}");
    assert_eq!(text(Some("application/vnd.github+json"), b"{}").unwrap(), b"{}");
    let form = Some("application/x-www-form-urlencoded");
    assert_eq!(text(form, b"payload=%7B%22a%22%3A+1%7D&x=y").unwrap(), br#"{"a": 1}"#);
    assert_eq!(text(form, b"\n {\"a\":\"b&c=%20\"}").unwrap(), b"\n {\"a\":\"b&c=%20\"}");
    assert_eq!(text(form, b"payload=%ff").unwrap_err(), Class::BadRequest);
    assert_eq!(text(form, b"x=y").unwrap_err(), Class::BadRequest);
    assert_eq!(text(form, b"payload=1&payload=2").unwrap_err(), Class::BadRequest);
    for other in ["multipart/form-data; boundary=x", "text/plain", "text/html", "", "application/octet-stream"] {
        assert_eq!(text(Some(other), b"{}").unwrap_err(), Class::Unsupported, "{other}");
    }
}

#[test]
fn a_branch_s_after_and_a_tag_s_head_commit_are_built() {
    let head = json!({"id": "c".repeat(40)});
    let branch = change(&[], &with(push(), "head_commit", head.clone()));
    assert_eq!((branch.kind, branch.commit.as_str()), (EventKind::Push, "b".repeat(40).as_str()));
    let tag = change(&[], &with(with(push(), "ref", json!("refs/tags/v1")), "head_commit", head));
    assert_eq!((tag.kind, tag.commit.as_str(), tag.branch.as_str()), (EventKind::Tag, "c".repeat(40).as_str(), "v1"));
    let long = change(&[], &with(push(), "after", json!("D".repeat(64))));
    assert_eq!(long.commit.as_str(), "d".repeat(64));
}

#[test]
fn nothing_is_built_for_what_is_gone_or_holds_no_commit() {
    let zero = with(push(), "after", json!("0".repeat(40)));
    assert_eq!(ignored_for(&[], &zero), (Some(EventKind::Push), "branch main was deleted".to_owned()));
    let long_zero = with(push(), "after", json!("0".repeat(64)));
    assert_eq!(ignored_for(&[], &long_zero).0, Some(EventKind::Push));
    let deleted = with(push(), "deleted", json!(true));
    assert_eq!(ignored_for(&[("X-GitHub-Event", "push")], &deleted).0, Some(EventKind::Push));
    let tag = with(with(push(), "ref", json!("refs/tags/v1")), "head_commit", json!(null));
    assert_eq!(ignored_for(&[], &tag), (Some(EventKind::Tag), "tag v1 holds no commit".to_owned()));
    for other in ["refs/pull/1/head", "refs/notes/x", "main", "", "refs/heads"] {
        assert_eq!(ignored_for(&[], &with(push(), "ref", json!(other))).0, None, "{other}");
    }
}

#[test]
fn a_push_without_what_matters_is_refused() {
    for (field, value, class) in [
        ("ref", json!(null), Class::BadRequest),
        ("ref", json!(["refs/heads/main"]), Class::BadRequest),
        ("after", json!(null), Class::Unprocessable),
        ("after", json!("main"), Class::Unprocessable),
        ("after", json!("--upload-pack=id"), Class::Unprocessable),
        ("before", json!("x".repeat(40)), Class::Unprocessable),
        ("sender", json!("quentin"), Class::BadRequest),
    ] {
        let why = read(&[], &with(push(), field, value.clone())).unwrap_err();
        assert_eq!(why.class(), class, "{field} {value}");
    }
    assert_eq!(change(&[], &with(push(), "sender", json!(null))).sender.login, "");
}

#[test]
fn the_forge_s_own_accounts_have_no_number() {
    for (id, expected) in [(json!(-2), None), (json!(-1), None), (json!(null), None), (json!(7), Some(7))] {
        let sender = change(&[], &with(push(), "sender", json!({"login": "gitea-actions", "id": id}))).sender;
        assert_eq!((sender.login.as_str(), sender.id), ("gitea-actions", expected));
    }
    let ghost = json!({"label": "x", "ref": "x", "sha": "c".repeat(40), "repo": {"id": 2}});
    let mut by_ghost = pull(ghost);
    by_ghost["pull_request"]["user"] = json!({"login": "Ghost", "id": -1});
    assert_eq!(change(PULL, &by_ghost).pull.unwrap().author, "Ghost");
}

#[test]
fn a_delivery_that_does_not_say_is_one_of_a_private_repository() {
    let private = |repository: Value| change(&[], &with(push(), "repository", repository)).private;
    assert!(!private(json!({"private": false})));
    assert!(private(json!({"private": true})));
    assert!(private(json!({"private": false, "internal": true})));
    assert!(private(json!({})));
}

#[test]
fn gitea_s_header_goes_before_forgejo_s_and_that_before_github_s() {
    let wins = |pairs: &[(&str, &str)]| matches!(read(pairs, &push()).unwrap(), Event::Change(_));
    assert!(wins(&[("X-GitHub-Event", "issues"), ("x-gitea-event", "push")]));
    assert!(wins(&[("X-GitHub-Event", "issues"), ("X-Forgejo-Event", "push")]));
    assert!(!wins(&[("X-GitHub-Event", "push"), ("X-Gitea-Event", "issues")]));
    assert!(!wins(&[("X-Gitea-Event", "")]));
    assert!(read(&[("X-Gitea-Event", "push"), ("X-GITEA-EVENT", "push")], &push()).is_err());
}

#[test]
fn an_unknown_event_is_ignored_by_its_name_without_control_characters() {
    let (kind, reason) = ignored_for(&[("X-Gitea-Event", "a\u{1b}[31m\nb")], &json!({}));
    assert_eq!((kind, reason.as_str()), (None, "a[31mb: this event is not built"));
    assert!(ignored_for(&[("X-GitHub-Event", &"x".repeat(10_000))], &json!({})).1.len() < 200);
}

fn pull(head: Value) -> Value {
    json!({"action": "opened", "number": 3, "repository": {"id": 1, "private": false}, "sender": {"login": "quentin"},
        "pull_request": {"number": 3, "state": "open", "user": {"login": "mallory"}, "head": head,
            "base": {"ref": "main", "repo": {"id": 1}}}})
}

const PULL: &[(&str, &str)] = &[("X-Gitea-Event", "pull_request")];

#[test]
fn where_a_pull_request_comes_from_decides() {
    let sha = "c".repeat(40);
    let origin = |head: Value| change(PULL, &pull(head)).pull.unwrap().origin;
    assert_eq!(origin(json!({"label": "x", "ref": "main", "sha": sha, "repo": {"id": 2}})), PullOrigin::Fork);
    assert_eq!(origin(json!({"label": "x", "ref": "main", "sha": sha, "repo": {}})), PullOrigin::Fork);
    assert_eq!(origin(json!({"label": "x", "ref": "x", "sha": sha, "repo": null})), PullOrigin::Gone);
    assert_eq!(origin(json!({"label": "", "ref": "topic", "sha": sha, "repo": {"id": 1}})), PullOrigin::Agit);
    assert_eq!(
        origin(json!({"label": "x", "ref": "refs/pull/3/head", "sha": sha, "repo": {"id": 1}})),
        PullOrigin::Agit
    );
    let (kind, reason) = ignored_for(PULL, &pull(json!({"label": "x", "ref": "x", "sha": sha, "repo": {"id": 1}})));
    assert_eq!(kind, Some(EventKind::PullRequest));
    assert!(reason.ends_with("its push is built already"), "{reason}");
}

#[test]
fn a_fork_s_main_is_not_taken_for_main() {
    let fork = json!({"label": "main", "ref": "main", "sha": "c".repeat(40), "repo": {"id": 2}});
    let change = change(PULL, &pull(fork));
    assert_eq!(
        (change.git_ref.as_str(), change.branch.as_str(), change.before.as_str()),
        ("refs/pull/3/head", "pull/3/head", "")
    );
    assert_eq!(change.pull.unwrap().author, "mallory");
}

#[test]
fn each_forge_s_word_for_a_new_commit_is_its_own() {
    let fork = json!({"label": "x", "ref": "x", "sha": "c".repeat(40), "repo": {"id": 2}});
    let github: &[(&str, &str)] = &[("X-GitHub-Event", "pull_request")];
    let does = |event, action: &str| {
        matches!(read(event, &with(pull(fork.clone()), "action", json!(action))), Ok(Event::Change(_)))
    };
    assert!(does(PULL, "synchronized") && !does(PULL, "synchronize"));
    assert!(does(github, "synchronize") && !does(github, "synchronized"));
    for action in ["opened", "reopened"] {
        assert!(does(PULL, action) && does(github, action));
    }
    for action in ["edited", "labeled", "label_updated", "assigned", "ready_for_review", "", "Opened"] {
        assert!(!does(PULL, action) && !does(github, action), "{action}");
    }
}

#[test]
fn a_closed_pull_request_tells_its_number() {
    let fork = json!({"label": "x", "ref": "x", "sha": "c".repeat(40), "repo": null});
    let closed = with(pull(fork), "action", json!("closed"));
    let Event::PullClosed { number, reason } = read(PULL, &closed).unwrap() else { panic!() };
    assert_eq!((number, reason.as_str()), (3, "pull request 3 was closed"));
}

fn flavor(query: &str) -> Result<String, Class> {
    let incoming = Incoming { headers: &[], query, body: b"" };
    incoming.flavor().map(|flavor| flavor.to_string()).map_err(|why| why.class())
}

#[test]
fn a_flavor_is_one_word() {
    assert_eq!(flavor("").unwrap(), "default");
    assert_eq!(flavor("token=a&flavor=big-1.x_").unwrap(), "big-1.x_");
    assert_eq!(flavor("flavor=a&flavor=a"), Err(Class::BadRequest));
    for wrong in ["flavor=", "flavor=a+b", "flavor=a%2Fb", "flavor=%ff", "flavor=%C3%A9"] {
        assert_eq!(flavor(wrong), Err(Class::Unprocessable), "{wrong}");
    }
    assert_eq!(flavor(&format!("flavor={}", "x".repeat(65))), Err(Class::Unprocessable));
}

proptest! {
    #[test]
    fn any_body_is_refused_or_read(bytes in proptest::collection::vec(any::<u8>(), 0..128), media in any::<Option<String>>()) {
        let headers = media.map(|media| headers(&[("Content-Type", &media)])).unwrap_or_default();
        let incoming = Incoming { headers: &headers, query: "", body: &bytes };
        if let Ok(json) = json_text(&incoming) {
            prop_assert!(peek(&json).is_err());
        }
    }

    #[test]
    fn a_payload_survives_its_form(payload in any::<String>()) {
        let encoded: String = payload.bytes().map(|b| format!("%{b:02X}")).collect();
        let form = format!("a=b&payload={encoded}");
        prop_assert_eq!(text(Some("application/x-www-form-urlencoded"), form.as_bytes()).unwrap(), payload.into_bytes());
    }

    #[test]
    fn a_branch_arrives_unchanged_or_not_at_all(name in any::<String>()) {
        let body = with(push(), "ref", json!(format!("refs/heads/{name}")));
        prop_assert_eq!(change(&[], &body).branch, name);
    }
}
