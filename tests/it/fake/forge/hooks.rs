//! Webhooks: made, changed, tested and removed, and what they then deliver; as recorded of Gitea 1.25.4, and as GitHub
//! documents.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::response::Response;
use serde_json::{Value, json};

use super::{Refusal, Store};
use crate::fake::delivery::sign;
use crate::fake::fixture;
use crate::fake::http::client;
use crate::fake::wire::{self, Call};

/// A webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hook {
    pub(crate) id: u64,
    pub(crate) repo: String,
    pub(crate) url: String,
    pub(crate) secret: String,
    pub(crate) active: bool,
    pub(crate) events: BTreeSet<String>,
}

/// A delivery that is to be sent.
#[derive(Debug)]
pub(super) struct Sending {
    hook: Hook,
    clone_url: String,
    of_github: bool,
}

impl Sending {
    /// Sends it; nobody waits for the answer.
    pub(super) async fn send(self) {
        let (headers, body) = if self.of_github { self.ping() } else { self.push() };
        let mut request = client().post(&self.hook.url).header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let signature = sign(&self.hook.secret, &body);
        request = request.header("x-hub-signature-256", format!("sha256={signature}"));
        if !self.of_github {
            request = request.header("x-gitea-signature", signature);
        }
        drop(request.body(body).send().await);
    }

    fn push(&self) -> (Vec<(&'static str, String)>, Vec<u8>) {
        let recorded = fixture::read("gitea/push-test-button");
        let mut body: Value = serde_json::from_str(recorded["body"].as_str().unwrap()).unwrap();
        body["repository"]["clone_url"] = self.clone_url.as_str().into();
        let id = crate::fake::uuid();
        let headers = [
            ("x-gitea-event", "push"),
            ("x-github-event", "push"),
            ("x-gitea-delivery", &id),
            ("x-github-delivery", &id),
        ];
        (headers.map(|(name, value)| (name, value.to_owned())).to_vec(), serde_json::to_vec_pretty(&body).unwrap())
    }

    fn ping(&self) -> (Vec<(&'static str, String)>, Vec<u8>) {
        let body = json!({"zen": "z", "hook_id": self.hook.id, "repository": {"clone_url": self.clone_url}});
        let headers = vec![("x-github-event", "ping".to_owned()), ("x-github-delivery", crate::fake::uuid())];
        (headers, serde_json::to_vec(&body).unwrap())
    }
}

fn empty() -> Response {
    Response::builder().status(204).body(Body::empty()).unwrap()
}

fn problem(code: u16, message: &str) -> Response {
    wire::json(code, &json!({"message": message}))
}

fn not_found(of_github: bool) -> Response {
    if of_github {
        problem(404, "Not Found")
    } else {
        wire::json(404, &json!({"errors": null, "message": "not found"}))
    }
}

/// Everything below `hooks` of a repository.
pub(super) fn answer(
    store: &mut Store,
    call: &Call,
    (repo, rest): (&str, &[&str]),
    of_github: bool,
) -> (Response, Option<Sending>) {
    let no_right = "user should be an owner or a collaborator with admin write of a repository";
    match store.may_administer(call) {
        Ok(()) => {}
        Err(Refusal::NoToken) => return (problem(401, "token is required"), None),
        Err(Refusal::BadToken) => return (problem(401, "invalid username, password or token"), None),
        Err(Refusal::NoRight) if of_github => return (not_found(true), None),
        Err(Refusal::NoRight) => return (problem(403, no_right), None),
    }
    if !store.repos.contains_key(repo) {
        return (not_found(of_github), None);
    }
    let at =
        |store: &Store, id: &str| store.hooks.iter().position(|hook| hook.repo == repo && hook.id.to_string() == id);
    match (call.method.as_str(), rest) {
        ("GET", []) => {
            let of_repo = store.hooks.iter().filter(|hook| hook.repo == repo);
            let first = call.param("page").is_none_or(|page| page == "1");
            let shown: Vec<Value> = of_repo.filter(|_| first).map(|hook| shown(hook, of_github)).collect();
            (wire::json(200, &shown.into()), None)
        }
        ("POST", []) => (create(store, call, repo, of_github), None),
        (method, [id, more @ ..]) => match (method, more, at(store, id)) {
            (_, _, None) => (not_found(of_github), None),
            ("PATCH", [], Some(at)) => (patch(store, call, at, of_github), None),
            ("DELETE", [], Some(at)) => {
                store.hooks.remove(at);
                (empty(), None)
            }
            ("POST", ["tests" | "pings"], Some(at)) => test(store, repo, at, of_github),
            ("GET", ["deliveries"], Some(_)) if of_github => {
                let last =
                    json!([{"id": 1, "event": "ping", "status": "failed to connect to host", "status_code": 502}]);
                (wire::json(200, &last), None)
            }
            _ => (not_found(of_github), None),
        },
        _ => (not_found(of_github), None),
    }
}

fn create(store: &mut Store, call: &Call, repo: &str, of_github: bool) -> Response {
    let body: Value = serde_json::from_slice(&call.body).unwrap_or_default();
    let Some(url) = body["config"]["url"].as_str() else {
        return problem(422, "Missing config option: url");
    };
    if of_github && store.hooks.iter().any(|hook| hook.repo == repo && hook.url == url) {
        return problem(422, "Validation Failed: Hook already exists on this repository");
    }
    store.hook_ids += 1;
    let hook = Hook {
        id: store.hook_ids,
        repo: repo.to_owned(),
        url: url.to_owned(),
        secret: body["config"]["secret"].as_str().unwrap_or_default().to_owned(),
        active: body["active"] == true,
        events: events(&body, of_github),
    };
    let shown = shown(&hook, of_github);
    store.hooks.push(hook);
    wire::json(201, &shown)
}

/// Gitea has a word for all that happens to a pull request, and one for the pull request itself.
fn events(body: &Value, of_github: bool) -> BTreeSet<String> {
    let asked: Vec<&str> = body["events"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if of_github {
        return asked.into_iter().map(str::to_owned).collect();
    }
    let group = asked.contains(&"pull_request");
    let mut events = BTreeSet::from(["push".to_owned()]);
    if group || asked.contains(&"pull_request_only") {
        events.insert("pull_request".to_owned());
    }
    for event in ["pull_request_sync", "pull_request_label", "pull_request_comment"] {
        if group || asked.contains(&event) {
            events.insert(event.to_owned());
        }
    }
    events
}

/// Gitea takes no new secret, and without events leaves the pushes (seen).
fn patch(store: &mut Store, call: &Call, at: usize, of_github: bool) -> Response {
    let body: Value = serde_json::from_slice(&call.body).unwrap_or_default();
    let hook = &mut store.hooks[at];
    if let Some(url) = body["config"]["url"].as_str() {
        hook.url = url.to_owned();
    }
    if let Some(active) = body["active"].as_bool() {
        hook.active = active;
    }
    if !of_github || body["events"].is_array() {
        hook.events = events(&body, of_github);
    }
    if of_github {
        hook.secret = body["config"]["secret"].as_str().unwrap_or_default().to_owned();
    }
    wire::json(200, &shown(hook, of_github))
}

fn test(store: &Store, repo: &str, at: usize, of_github: bool) -> (Response, Option<Sending>) {
    if !of_github && store.repos[repo].branches.is_empty() {
        return (wire::json(404, &json!({"errors": null, "message": "repository is empty"})), None);
    }
    let sending = Sending { hook: store.hooks[at].clone(), clone_url: super::clone_url(repo), of_github };
    (empty(), store.delivers.then_some(sending))
}

fn shown(hook: &Hook, of_github: bool) -> Value {
    let config = if of_github {
        json!({"content_type": "json", "url": hook.url, "secret": "********", "insecure_ssl": "0"})
    } else {
        json!({"content_type": "json", "url": hook.url})
    };
    let mut shown = json!({
        "id": hook.id, "config": config, "events": hook.events, "active": hook.active,
        "updated_at": "2026-11-22T05:15:31Z", "created_at": "2026-11-22T05:15:31Z",
    });
    if of_github {
        shown["name"] = "web".into();
    } else {
        shown["type"] = "gitea".into();
        shown["branch_filter"] = "".into();
        shown["authorization_header"] = "".into();
    }
    shown
}

/// An account, to whom asks without a token: one with a token needs the scope `read:user` (seen).
pub(super) fn account(store: &Store, call: &Call, login: &str, of_github: bool) -> Response {
    if !of_github && call.header("authorization").is_some() {
        let why =
            "token does not have at least one of required scope(s), required=[read:user], token scope=write:repository";
        return problem(403, why);
    }
    match store.accounts.iter().find(|(known, _)| known.eq_ignore_ascii_case(login)) {
        Some((known, id)) => wire::json(200, &json!({"id": id, "login": known})),
        None if of_github => not_found(true),
        None => problem(404, &format!("user redirect does not exist [name: {login}]")),
    }
}
