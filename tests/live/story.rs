//! What one story has of its own: keys in Consul, a builder in Nomad, a forge, and servers.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use albatros::api::consul::Consistency;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::agent::ROOT;
use crate::cluster::{self, Cluster};
use crate::fake::delivery::{Delivery, REPO};
use crate::fake::forge::{Forge, Right, Status};
use crate::fake::http::{Reply, client};
use crate::fake::serve::{Printed, Serve};
use crate::minded::say;

/// The longest that anything takes: a dead follower's lock lives 20 s, its successor waits 10 s, and the machine is slow.
const PATIENCE: Duration = Duration::from_secs(150);

/// The hook's secret of every story's repository.
pub(crate) const SECRET: &str = "hook-s3cr3t-of-quentin";
/// A bearer that may act.
pub(crate) const ACTOR: &str = "actor-t0ken-of-quentin";
const FORGE: &str = "forge-t0ken-of-quentin";
/// What trusted builds are given.
pub(crate) const INJECT: &str = "DEPLOY_KEY=injected-s3cr3t-of-quentin";
/// Nothing of these may ever be printed.
const HIDDEN: [&str; 4] = [SECRET, ACTOR, FORGE, "injected-s3cr3t-of-quentin"];
/// The owner and name of the repository.
const NAME: &str = "quentin/albatros";

/// A builder whose script does what the branch's name says.
const BUILDER: &str = r#"
job "BUILDER" {
  namespace   = "ci"
  datacenters = ["*"]
  type        = "batch"
  parameterized {
    payload       = "optional"
    meta_required = ["REPO_URL", "COMMIT", "BRANCH", "FLAVOR"MORE]
    meta_optional = ["REF", "EVENT", "SENDER", "TRUSTED"]
  }
  group "runner" {
    restart {
      attempts = 0
      mode     = "fail"
    }
    reschedule {
      attempts  = 0
      unlimited = false
    }
    ephemeral_disk {
      size = 30
    }
    task "executor" {
      driver       = "raw_exec"
      kill_timeout = "2s"
      dispatch_payload {
        file = "payload"
      }
      config {
        command = "/bin/sh"
        args    = ["-c", <<EOT
cat $NOMAD_TASK_DIR/payload 2>/dev/null | wc -c
case $NOMAD_META_BRANCH in
  fail*) echo "it goes wrong"; echo "on both" >&2; exit 3;;
  long*) echo "begun"; sleep 300;;
  gate*) echo "begun"; while [ ! -e GATE/$NOMAD_META_BRANCH ]; do sleep 0.1; done; echo "let through";;
  flood*) LINES;;
  *) echo "built $NOMAD_META_COMMIT";;
esac
EOT
        ]
      }
      resources {
        cpu    = CPU
        memory = 10
      }
      logs {
        max_files     = 2
        max_file_size = 1
      }
    }
  }
}
"#;

/// One story.
#[derive(Debug)]
pub(crate) struct Story {
    pub(crate) cluster: &'static Cluster,
    pub(crate) name: String,
    pub(crate) forge: Forge,
    consul_token: String,
    spool: tempfile::TempDir,
    printed: Mutex<Vec<Arc<Printed>>>,
}

impl Story {
    /// A repository, its builder and its forge; none, and a line that is always seen, without servers.
    pub(crate) async fn begin(name: &str) -> Option<Self> {
        Some(Self::on(cluster::shared(name).await?, name).await)
    }

    /// The same on a cluster of its own.
    pub(crate) async fn begin_alone(name: &str) -> Option<Self> {
        Some(Self::on(cluster::own(name).await?, name).await)
    }

    async fn on(cluster: &'static Cluster, name: &str) -> Self {
        let story = Self {
            cluster,
            name: name.to_owned(),
            forge: Forge::start().await,
            consul_token: cluster.consul_token(name).await,
            spool: tempfile::tempdir().unwrap(),
            printed: Mutex::default(),
        };
        story.forge.token(FORGE, Right::Write);
        story.register(name, &[]).await;
        story.configure(&story.config()).await;
        story
    }

    /// Registers a builder; `changes` to its text, each (what, by what).
    pub(crate) async fn register(&self, builder: &str, changes: &[(&str, &str)]) {
        let gate = self.spool.path().to_str().unwrap();
        self.cluster.nomad.register(&self::builder(builder, gate, changes), "").await;
    }

    /// The repository's usual configuration.
    pub(crate) fn config(&self) -> Value {
        json!({
            "hook": {"secret": SECRET},
            "gitea": {"url": self.forge.url(), "token": FORGE},
            "trusted": {"senders": ["quentin"]},
            "inject": INJECT,
            "builders": {"default": self.name},
            "tokens": {"read": [], "act": [ACTOR]},
        })
    }

    /// Configures the repository.
    pub(crate) async fn configure(&self, config: &Value) {
        self.configure_at(REPO, config).await;
    }

    /// Configures another one.
    pub(crate) async fn configure_at(&self, url: &str, config: &Value) {
        let key = format!("{}/{}", self.name, BASE64_STANDARD.encode(url));
        let consul = self.cluster.consul.consul(Some(ROOT));
        assert!(consul.put(&key, config.to_string().into(), None, 0).await.unwrap());
    }

    /// Starts a server with the shipped rights.
    pub(crate) async fn serve(&self) -> Serve {
        self.serve_with(&[]).await
    }

    /// The same with other settings.
    pub(crate) async fn serve_with(&self, settings: &[(&str, &str)]) -> Serve {
        let store = format!("file://{}/store", self.spool.path().display());
        let usual = [
            ("ALBATROS_STORE", store.as_str()),
            ("ALBATROS_LISTEN", "127.0.0.1:0"),
            ("ALBATROS_URL", "https://ci.example"),
            ("ALBATROS_LOG", "info,albatros=debug"),
            ("ALBATROS_PREFIX", &self.name),
            ("NOMAD_ADDR", &self.cluster.nomad.url()),
            ("NOMAD_TOKEN", &self.cluster.nomad_token),
            ("CONSUL_HTTP_ADDR", &self.cluster.consul.url()),
            ("CONSUL_HTTP_TOKEN", &self.consul_token),
            ("TMPDIR", self.spool.path().to_str().unwrap()),
        ];
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let environment: Vec<_> = usual.iter().chain(settings).map(pair).collect();
        let serve = Serve::start(&environment, None).await;
        self.printed.lock().unwrap().push(Arc::clone(&serve.printed));
        serve
    }

    /// A push as the forge tells of it; the forge knows the commit.
    pub(crate) fn pushed(&self, branch: &str, before: &str, after: &str) -> Delivery {
        self.forge.push(NAME, branch, after);
        Delivery::push(branch, before, after)
    }

    /// The same, delivered; gives the build's id. Where Nomad is slow the answer is the claim's address instead.
    pub(crate) async fn push(&self, serve: &Serve, branch: &str, before: &str, after: &str) -> String {
        let reply = self.pushed(branch, before, after).send(&serve.url, SECRET).await;
        assert!([200, 202].contains(&reply.status), "{}: {}", reply.status, reply.text);
        let first = reply.text.lines().next().unwrap().to_owned();
        if reply.status == 200 {
            return first;
        }
        let claim = reply.text.split_once("/builds/claim/").unwrap().1.split_whitespace().next().unwrap().to_owned();
        until(&format!("{}: the build of {claim}", self.name), || async {
            let all = [self.records("open").await, self.records("done").await].concat();
            let found = all.into_iter().find(|(known, _)| *known == claim);
            found.and_then(|(_, record)| record["build"].as_str().map(str::to_owned))
        })
        .await
    }

    /// Lets builds of this branch end.
    pub(crate) fn open_gate(&self, branch: &str) {
        std::fs::write(self.spool.path().join(branch), "").unwrap();
    }

    /// Waits until the commit has a final status, and gives it.
    pub(crate) async fn final_of(&self, commit: &str) -> Status {
        let last = || self.finals(commit).last().cloned();
        until(&format!("{}: a final status of {commit}", self.name), || async { last() }).await
    }

    /// The final statuses of a commit, in order.
    pub(crate) fn finals(&self, commit: &str) -> Vec<Status> {
        self.forge.of(commit).into_iter().filter(|status| status.state != "pending").collect()
    }

    /// That the statuses of a commit end with one final status, and which.
    pub(crate) fn one_final(&self, commit: &str) -> Status {
        let all = self.forge.of(commit);
        let finals = self.finals(commit);
        assert_eq!(finals.len(), 1, "{}: exactly one final status of {commit}: {all:#?}", self.name);
        assert_eq!(all.last(), Some(&finals[0]), "{}: nothing after the final status: {all:#?}", self.name);
        finals[0].clone()
    }

    /// The records under `open/` or `done/`, by claim.
    pub(crate) async fn records(&self, kind: &str) -> Vec<(String, Value)> {
        let prefix = format!("{}-builds/{kind}/", self.name);
        let consul = self.cluster.consul.consul(Some(ROOT));
        let (_, pairs) = consul.list(&prefix, None, Consistency::Consistent).await.unwrap();
        let record = |value: &[u8]| serde_json::from_slice(value).unwrap();
        pairs.iter().map(|pair| (pair.key[prefix.len()..].to_owned(), record(&pair.value))).collect()
    }

    /// Waits until nothing is open, and gives what is done.
    pub(crate) async fn all_done(&self) -> Vec<(String, Value)> {
        let closed = || async { self.records("open").await.is_empty().then_some(()) };
        until(&format!("{}: no open record", self.name), closed).await;
        self.records("done").await
    }

    /// The session that holds the follower's lock.
    pub(crate) async fn follower(&self) -> Option<String> {
        let url = format!("{}/v1/kv/{}-builds/lock", self.cluster.consul.url(), self.name);
        let answer = client().get(url).header("x-consul-token", ROOT).send().await.unwrap();
        let found: Value = Reply::read(answer).await.value();
        found[0]["Session"].as_str().map(str::to_owned)
    }

    /// Waits until a server is the follower, another one than `not`.
    pub(crate) async fn followed(&self, not: Option<&str>) -> String {
        let other = || async { self.follower().await.filter(|session| Some(session.as_str()) != not) };
        until(&format!("{}: a follower", self.name), other).await
    }

    /// The children of the story's builder.
    pub(crate) async fn children(&self) -> Vec<Value> {
        self.cluster.nomad.children(&self.name).await
    }

    /// Everything that the servers have printed.
    pub(crate) fn printed(&self) -> String {
        self.printed.lock().unwrap().iter().map(|printed| printed.all()).collect::<Vec<_>>().join("\n--- \n")
    }

    /// What was done and seen, for people.
    pub(crate) fn tell(&self, what: &str) {
        say(&format!("{}: {what}", self.name));
    }
}

impl Drop for Story {
    fn drop(&mut self) {
        let printed = self.printed();
        if std::thread::panicking() {
            let lines: Vec<&str> = printed.lines().collect();
            say(&format!("{} printed at last:\n{}", self.name, lines[lines.len().saturating_sub(60)..].join("\n")));
            return;
        }
        let hidden = HIDDEN.into_iter().chain([self.cluster.nomad_token.as_str(), self.consul_token.as_str()]);
        for secret in hidden {
            let line = printed.lines().find(|line| line.contains(secret));
            assert!(line.is_none(), "a secret was printed: {}", line.unwrap_or_default());
        }
    }
}

/// A builder's job file; `gate` is where its builds look for leave to end.
pub(crate) fn builder(name: &str, gate: &str, changes: &[(&str, &str)]) -> String {
    let usual = [("BUILDER", name), ("MORE", ""), ("GATE", gate), ("CPU", "10"), ("LINES", "true")];
    changes.iter().chain(&usual).fold(BUILDER.to_owned(), |hcl, (what, by)| hcl.replace(what, by))
}

/// Waits until something is there.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "waited for {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A request of a person with a bearer.
pub(crate) async fn person(serve: &Serve, method: &str, path: &str, bearer: Option<&str>) -> Reply {
    let mut request = client().request(method.parse().unwrap(), format!("{}{path}", serve.url));
    if let Some(bearer) = bearer {
        request = request.header("authorization", format!("Bearer {bearer}"));
    }
    Reply::read(request.send().await.unwrap()).await
}

/// The address of a build, below `/builds`.
pub(crate) fn page(build: &str) -> String {
    let (builder, child) = build.rsplit_once('/').unwrap();
    format!("/builds/{}/{child}", builder.replace('/', "%2F"))
}
