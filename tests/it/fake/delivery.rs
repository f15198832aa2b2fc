//! Deliveries as Gitea sends them: recorded ones with other values filled in, and signed.

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;

use super::fixture;
use super::forge::Job;
use super::http::{Reply, client};

/// A delivery, ready to be signed and sent.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    event: String,
    event_type: String,
    pub(crate) body: Value,
    flavor: Option<String>,
}

/// The address of the repository in all recorded deliveries.
pub(crate) const REPO: &str = "http://127.0.0.1:3300/quentin/albatros.git";

/// A commit id that says which one it is.
pub(crate) fn commit(n: u64) -> String {
    format!("{n:040x}")
}

/// HMAC-SHA256 in hexadecimal digits.
pub(crate) fn sign(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body);
    hex::encode(mac.finalize().into_bytes())
}

impl Delivery {
    /// A recorded delivery, `tests/fixture/gitea/<name>.json`.
    pub(crate) fn recorded(name: &str) -> Self {
        let file = fixture::read(&format!("gitea/{name}"));
        let headers = file["headers"].as_array().unwrap();
        let header = |name: &str| {
            let found = headers.iter().find(|one| one[0] == name).unwrap();
            found[1].as_str().unwrap().to_owned()
        };
        Self {
            event: header("X-Gitea-Event"),
            event_type: header("X-Gitea-Event-Type"),
            body: serde_json::from_str(file["body"].as_str().unwrap()).unwrap(),
            flavor: None,
        }
    }

    /// quentin pushes `after` to a branch that held `before`.
    pub(crate) fn push(branch: &str, before: &str, after: &str) -> Self {
        let mut push = Self::recorded("push-main");
        push.body["ref"] = format!("refs/heads/{branch}").into();
        push.body["before"] = before.into();
        push.body["after"] = after.into();
        push.body["head_commit"]["id"] = after.into();
        push.body["commits"][0]["id"] = after.into();
        push
    }

    /// Gitea tells of a job of a workflow, as it is now.
    pub(crate) fn job(job: &Job) -> Self {
        let mut delivery = Self::recorded("actions/job-queued");
        delivery.body["action"] = job.status.as_str().into();
        delivery.body["workflow_job"] = job.json();
        delivery.body["repository"]["clone_url"] = format!("http://127.0.0.1:3300/{}.git", job.repo).into();
        delivery
    }

    /// mallory opens a pull request from her fork, with this head.
    pub(crate) fn pull(number: u64, head: &str) -> Self {
        let mut pull = Self::recorded("pr-fork-opened");
        pull.of_pull(number, head);
        pull
    }

    /// mallory pushes to her pull request.
    pub(crate) fn pull_pushed(number: u64, head: &str) -> Self {
        let mut pull = Self::recorded("pr-fork-synchronized");
        pull.of_pull(number, head);
        pull
    }

    /// The pull request is closed.
    pub(crate) fn pull_closed(number: u64, head: &str) -> Self {
        let mut pull = Self::recorded("pr-fork-closed");
        pull.of_pull(number, head);
        pull
    }

    fn of_pull(&mut self, number: u64, head: &str) {
        self.body["number"] = number.into();
        self.body["pull_request"]["number"] = number.into();
        self.body["pull_request"]["head"]["sha"] = head.into();
    }

    /// Somebody else acts.
    pub(crate) fn sender(mut self, login: &str) -> Self {
        self.body["sender"]["login"] = login.into();
        self
    }

    /// The pull request is this account's, and it acts itself.
    pub(crate) fn by(mut self, login: &str, id: u64) -> Self {
        for account in ["/sender", "/pull_request/user"] {
            let account = self.body.pointer_mut(account).unwrap();
            account["login"] = login.into();
            account["id"] = id.into();
        }
        self
    }

    /// Of another repository.
    pub(crate) fn repo(mut self, url: &str) -> Self {
        self.body["repository"]["clone_url"] = url.into();
        self
    }

    /// The forge says that the repository is private.
    pub(crate) fn private(mut self) -> Self {
        self.body["repository"]["private"] = true.into();
        self
    }

    /// For another flavor.
    pub(crate) fn flavor(mut self, flavor: &str) -> Self {
        self.flavor = Some(flavor.to_owned());
        self
    }

    /// The bytes that are signed and sent.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(&self.body).unwrap()
    }

    /// The path and query it is sent to.
    pub(crate) fn path(&self) -> String {
        self.flavor.as_ref().map_or_else(|| "/hook".to_owned(), |flavor| format!("/hook?flavor={flavor}"))
    }

    /// The headers Gitea sends with it.
    pub(crate) fn headers(&self, secret: &str) -> Vec<(&'static str, String)> {
        let signature = sign(secret, &self.bytes());
        vec![
            ("content-type", "application/json".to_owned()),
            ("x-gitea-event", self.event.clone()),
            ("x-gitea-event-type", self.event_type.clone()),
            ("x-github-event", self.event.clone()),
            ("x-gitea-delivery", "a81cc80b-7873-499a-b53a-ca9a5d67f37b".to_owned()),
            ("x-gitea-signature", signature.clone()),
            ("x-hub-signature-256", format!("sha256={signature}")),
        ]
    }

    /// Signs and sends it.
    pub(crate) async fn send(&self, base: &str, secret: &str) -> Reply {
        self.try_send(base, secret).await.unwrap()
    }

    /// The same where the connection may break.
    pub(crate) async fn try_send(&self, base: &str, secret: &str) -> Result<Reply, reqwest::Error> {
        let mut request = client().post(format!("{base}{}", self.path())).body(self.bytes());
        for (name, value) in self.headers(secret) {
            request = request.header(name, value);
        }
        Ok(Reply::read(request.send().await?).await)
    }
}
