//! A server whose every answer is held against its description.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use reqwest::{Client, RequestBuilder};
use serde_json::Value;

use super::HOW;
use super::schema::Schemas;
use crate::fake::http::Reply;

/// The description of a server, and what was seen of it.
pub(crate) struct Checked {
    client: Client,
    base: String,
    pub(crate) document: Value,
    schemas: Arc<Schemas>,
    seen: Arc<Mutex<BTreeMap<String, BTreeSet<u16>>>>,
}

/// One operation, as it is described.
pub(crate) struct Operation<'a> {
    pub(crate) path: &'a str,
    pub(crate) method: &'a str,
    pub(crate) described: &'a Value,
}

/// All operations of a description, by their ids.
pub(crate) fn operations(document: &Value) -> BTreeMap<String, Operation<'_>> {
    let mut all = BTreeMap::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, described) in item.as_object().unwrap() {
            let id = described["operationId"].as_str().unwrap_or_else(|| panic!("{method} {path} has no name"));
            let before = all.insert(id.to_owned(), Operation { path, method, described });
            assert!(before.is_none(), "two operations are called {id}");
        }
    }
    all
}

/// A request of an operation.
pub(crate) struct Call<'a> {
    checked: &'a Checked,
    id: &'a str,
    path: &'a str,
    request: RequestBuilder,
}

impl Checked {
    pub(crate) async fn at(client: Client, base: &str, description: &str) -> Self {
        let reply = Reply::read(client.get(format!("{base}{description}")).send().await.unwrap()).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        let document = reply.value();
        let schemas = Arc::new(Schemas::of(&document));
        Self { client, base: base.to_owned(), document, schemas, seen: Arc::default() }
    }

    /// The same at another door; what is seen there counts as well.
    pub(crate) fn through(&self, client: Client) -> Self {
        let (base, document) = (self.base.clone(), self.document.clone());
        Self { client, base, document, schemas: Arc::clone(&self.schemas), seen: Arc::clone(&self.seen) }
    }

    /// Asks an operation, at a path with its query.
    pub(crate) fn call<'a>(&'a self, id: &'a str, path: &'a str) -> Call<'a> {
        let all = operations(&self.document);
        let operation = all.get(id).unwrap_or_else(|| panic!("there is no operation {id}: {HOW}"));
        let bare = path.split('?').next().unwrap();
        assert!(fits(operation.path, bare), "{bare} is no path of {id}, {}", operation.path);
        let method = operation.method.to_uppercase().parse().unwrap();
        let request = self.client.request(method, format!("{}{path}", self.base));
        Call { checked: self, id, path, request }
    }

    /// Holds an answer against the description.
    fn check(&self, id: &str, path: &str, reply: &Reply) {
        let what = format!("{id} {path}: {} {}", reply.status, reply.text.chars().take(2_000).collect::<String>());
        let all = operations(&self.document);
        let answer = &all[id].described["responses"][reply.status.to_string()];
        assert!(answer.is_object(), "this status is not described at its handler: {what}");
        self.seen.lock().unwrap().entry(id.to_owned()).or_default().insert(reply.status);
        let Some(content) = answer["content"].as_object() else {
            return assert!(reply.text.is_empty(), "a body is not described: {what}");
        };
        if all[id].method == "head" {
            return;
        }
        let kind = reply.headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap().trim();
        let described = content.get(kind).unwrap_or_else(|| panic!("the type {kind:?} is not described: {what}"));
        if kind == "application/json" || kind == "application/problem+json" {
            let value: Value = serde_json::from_str(&reply.text).unwrap_or_else(|error| panic!("{error}: {what}"));
            let faults = self.schemas.faults(&described["schema"], &value);
            assert!(faults.is_empty(), "it is not what its schema says: {faults:#?}\n{what}");
            if kind == "application/problem+json" {
                assert_eq!(value["status"], reply.status, "{what}");
            }
        }
    }

    /// That each operation was asked and has answered, and has refused where it may; but for those that are `excepted`
    /// from either.
    pub(crate) fn all_asked(&self, excepted: &[&str]) {
        let seen = self.seen.lock().unwrap();
        let mut missing = Vec::new();
        for (id, operation) in operations(&self.document) {
            let statuses = seen.get(&id).cloned().unwrap_or_default();
            let may_refuse = operation.described["responses"].as_object().unwrap().keys().any(|it| it.starts_with('4'));
            let (answered, refused) = (statuses.iter().any(|it| *it < 400), statuses.iter().any(|it| *it >= 400));
            if statuses.is_empty() || !(excepted.contains(&id.as_str()) || (answered && (refused || !may_refuse))) {
                missing.push(format!("{id} ({} {}): seen {statuses:?}", operation.method, operation.path));
            }
        }
        assert!(missing.is_empty(), "not asked, or not both ways: {missing:#?}\n{HOW}");
    }
}

/// Whether a path is one of a template's; its last part may hold slashes where that is called `path`.
fn fits(template: &str, path: &str) -> bool {
    let (mut parts, mut segments) = (template.split('/'), path.split('/'));
    loop {
        match (parts.next(), segments.next()) {
            (None, None) => return true,
            (Some("{path}"), Some(_)) => return true,
            (Some(part), Some(segment)) if part == segment || (part.starts_with('{') && !segment.is_empty()) => {}
            _ => return false,
        }
    }
}

impl Call<'_> {
    pub(crate) fn with(self, change: impl FnOnce(RequestBuilder) -> RequestBuilder) -> Self {
        Self { request: change(self.request), ..self }
    }

    pub(crate) fn bearer(self, token: &str) -> Self {
        self.with(|request| request.bearer_auth(token))
    }

    pub(crate) fn header(self, name: &str, value: &str) -> Self {
        self.with(|request| request.header(name, value))
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.with(|request| request.json(body))
    }

    pub(crate) fn bytes(self, body: impl Into<reqwest::Body>) -> Self {
        self.with(|request| request.body(body))
    }

    /// Wants an object, not a line.
    pub(crate) fn object(self) -> Self {
        self.header("accept", "application/json")
    }

    pub(crate) async fn send(self) -> Reply {
        self.send_and(async {}).await
    }

    /// Sends it, and does something while its answer has begun and goes on.
    pub(crate) async fn send_and(self, meanwhile: impl Future<Output = ()>) -> Reply {
        let begun = self.request.send().await.unwrap();
        meanwhile.await;
        let reply = Reply::read(begun).await;
        self.checked.check(self.id, self.path, &reply);
        reply
    }

    /// Sends it, to be answered.
    pub(crate) async fn given(self) -> Reply {
        let what = format!("{} {}", self.id, self.path);
        let reply = self.send().await;
        assert!(reply.status < 400, "{what}: {} {}", reply.status, reply.text);
        reply
    }

    /// Sends it, to be refused with this status.
    pub(crate) async fn refused(self, status: u16) -> Reply {
        let what = format!("{} {}", self.id, self.path);
        let reply = self.send().await;
        assert_eq!(reply.status, status, "{what}: {}", reply.text);
        reply
    }
}
