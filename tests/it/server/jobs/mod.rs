//! Jobs that a build starts: once, as told, and never longer than their parent.

mod given;
mod held;
mod parent;
mod refused;
mod shown;
mod started;

use serde_json::{Value, json};

use super::session::{Story, exchange, secret};
use crate::fake::delivery::Delivery;
use crate::fake::http::{Reply, client};
use crate::fake::nomad::Builder;
use crate::fake::serve::Serve;
use crate::fake::world::World;

/// A running build whose controller has its session, and a builder of jobs.
pub(super) struct Parent {
    pub(super) story: Story,
    pub(super) secret: String,
    pub(super) claim: String,
}

impl Parent {
    pub(super) async fn new() -> Self {
        Self::begun(Story::new().await).await
    }

    pub(super) async fn of(delivery: &Delivery, change: impl FnOnce(&mut Value)) -> Self {
        Self::begun(Story::of(delivery, change).await).await
    }

    async fn begun(story: Story) -> Self {
        story.world.nomad.register(&Builder::full("container"));
        let secret = secret();
        let granted = story.exchange(&secret).await;
        assert_eq!(granted.status, 200, "{}", granted.text);
        story.world.nomad.run(&story.build);
        let claim = story.claim();
        Self { story, secret, claim }
    }

    pub(super) fn world(&self) -> &World {
        &self.story.world
    }

    /// A request of its controller, with its secret.
    pub(super) async fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Reply {
        ask(&self.story.serve, &self.secret, method, &format!("/session/{}{path}", self.claim), body).await
    }

    pub(super) async fn put(&self, spec: &Value) -> Reply {
        self.ask("PUT", &format!("/jobs/{}", spec["name"].as_str().unwrap()), Some(spec)).await
    }

    /// Starts a job; its build once there is one.
    pub(super) async fn start(&self, spec: &Value) -> String {
        let before = self.world().nomad.children("container").len();
        let reply = self.put(spec).await;
        assert_eq!(reply.status, 201, "{}", reply.text);
        self.world().nomad.child("container", before + 1).await
    }

    /// All its jobs, now.
    pub(super) async fn jobs(&self) -> Value {
        let reply = self.ask("GET", "/jobs", None).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        reply.value()
    }

    /// Waits as its controller does until its one job fits.
    pub(super) async fn wait(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let mut list = self.jobs().await;
        for _ in 0..100 {
            if fits(&list["jobs"][0]) {
                return list["jobs"][0].clone();
            }
            let path = format!("/jobs?wait=20s&since={}", list["version"]);
            list = self.ask("GET", &path, None).await.value();
        }
        panic!("{what}: {list}");
    }

    /// The record or what is left of it, of its job.
    pub(super) fn done_job(&self) -> Option<Value> {
        self.world().done().into_iter().map(|(_, done)| done).find(|done| !done["parent"].is_null())
    }
}

pub(super) async fn ask(serve: &Serve, bearer: &str, method: &str, path: &str, body: Option<&Value>) -> Reply {
    let request = client().request(method.parse().unwrap(), format!("{}{path}", serve.url)).bearer_auth(bearer);
    let request = match body {
        Some(body) => request.json(body),
        None => request,
    };
    Reply::read(request.send().await.unwrap()).await
}

/// A job's own controller asks for its grant.
pub(super) async fn grant(parent: &Parent, job: &str) -> (Reply, String) {
    let nomad = &parent.world().nomad;
    nomad.place(job);
    super::session::named(parent.world(), job).await;
    let claim = nomad.job(job)["Meta"]["ALBATROS_CLAIM"].as_str().unwrap().to_owned();
    let (token, secret) = (nomad.sign(&nomad.claims(job)), secret());
    (exchange(&parent.story.serve, &token, &claim, &secret).await, secret)
}

/// A job as simple as can be.
pub(super) fn job(name: &str) -> Value {
    json!({"name": name, "command": ["true"]})
}
