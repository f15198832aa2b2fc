//! A real Nomad and Consul, where their addresses are given.

use std::time::{Duration, Instant};

use albatros::api::http::{Answer, Endpoint};
use albatros::cli::settings;
use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use reqwest::Method;
use serde_json::{Value, json};

use crate::delivery::SECRET;
use crate::server::Server;
use crate::stage::REPO;

const CALL_WITHIN: Duration = Duration::from_secs(10);
const ANSWER_MOST: usize = 64 << 20;
/// A build that is not over by then is a failure of the benchmark.
const ENDED_WITHIN: Duration = Duration::from_secs(60);
/// What is asked of Nomad at once.
const AT_ONCE: usize = 8;
/// Consul's limit for one transaction.
const OPS_MOST: usize = 64;
const LOOK: Duration = Duration::from_millis(50);

/// A cluster, and what of the benchmark is in it until [`Cluster::clear`].
#[derive(Debug)]
pub(crate) struct Cluster {
    nomad: Endpoint,
    consul: Endpoint,
    namespace: String,
    prefix: String,
    jobs: Vec<String>,
}

impl Cluster {
    /// None where the environment names no servers.
    pub(crate) fn given() -> anyhow::Result<Option<Self>> {
        let told = |name: &str| settings::process(name).filter(|value| !value.is_empty());
        if told("NOMAD_ADDR").is_none() || told("CONSUL_HTTP_ADDR").is_none() {
            return Ok(None);
        }
        let prefix = format!("albatros-bench-{}", std::process::id());
        Ok(Some(Self {
            nomad: Endpoint::new(settings::nomad(&settings::process)?)?,
            consul: Endpoint::new(settings::consul(&settings::process)?)?,
            namespace: told("ALBATROS_NAMESPACE").unwrap_or_else(|| "ci".to_owned()),
            prefix,
            jobs: Vec::new(),
        }))
    }

    /// `albatros serve` on this cluster.
    pub(crate) async fn serve(&self) -> anyhow::Result<Server> {
        let ours = |name: &String| name.starts_with("NOMAD_") || name.starts_with("CONSUL_");
        let told =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let told = told.filter(|(name, _)| ours(name)).collect::<Vec<_>>();
        let mut variables: Vec<(&str, &str)> = told.iter().map(|(name, value)| (&**name, &**value)).collect();
        variables.extend([("ALBATROS_PREFIX", &*self.prefix), ("ALBATROS_NAMESPACE", &*self.namespace)]);
        Server::start(&["serve"], &variables).await
    }

    /// The whole name of one of the benchmark's jobs.
    pub(crate) fn name(&self, what: &str) -> String {
        format!("{}-{what}", self.prefix)
    }

    /// Where builds are.
    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Registers a builder whose executor runs `script`, and the repository that uses it.
    pub(crate) async fn builder(&mut self, what: &str, script: &str) -> anyhow::Result<String> {
        let name = self.name(what);
        self.job(&name, &[task("executor", script)]).await?;
        let config = json!({ "hook": { "secret": SECRET }, "builders": { "default": name }, "private": false });
        self.configure(REPO, &config).await?;
        Ok(name)
    }

    /// Registers a builder with these tasks.
    pub(crate) async fn job(&mut self, name: &str, tasks: &[Value]) -> anyhow::Result<()> {
        self.job_of(name, tasks, 1).await
    }

    /// The same, with so many allocations of each child.
    pub(crate) async fn job_of(&mut self, name: &str, tasks: &[Value], count: u32) -> anyhow::Result<()> {
        let group = json!({
            "Name": "runner", "Count": count, "Tasks": tasks, "EphemeralDisk": { "SizeMB": 1000 },
            "RestartPolicy": { "Attempts": 0, "Mode": "fail" },
            "ReschedulePolicy": { "Attempts": 0, "Unlimited": false },
        });
        let job = json!({ "Job": {
            "ID": name, "Name": name, "Namespace": self.namespace, "Type": "batch", "Datacenters": ["*"],
            "ParameterizedJob": { "Payload": "optional", "MetaRequired": ["REPO_URL", "COMMIT", "BRANCH", "FLAVOR"] },
            "TaskGroups": [group],
        }});
        self.nomad(Method::POST, &["v1", "jobs"], &[], Some(&job)).await?;
        self.jobs.push(name.to_owned());
        Ok(())
    }

    /// Registers a job file's `builder` under another name.
    pub(crate) async fn hcl(&mut self, name: &str, file: &str, variables: &str) -> anyhow::Result<()> {
        let file = file.replace("job \"builder\"", &format!("job {name:?}"));
        let parse = json!({ "JobHCL": file, "Variables": variables, "Canonicalize": true });
        let job = self.nomad(Method::POST, &["v1", "jobs", "parse"], &[], Some(&parse)).await?.json::<Value>()?;
        self.nomad(Method::POST, &["v1", "jobs"], &[], Some(&json!({ "Job": job }))).await?;
        self.jobs.push(name.to_owned());
        Ok(())
    }

    /// Configures a repository.
    pub(crate) async fn configure(&self, repo: &str, config: &Value) -> anyhow::Result<()> {
        let key = format!("{}/{}", self.prefix, STANDARD.encode(repo));
        let path: Vec<&str> = ["v1", "kv"].into_iter().chain(key.split('/')).collect();
        let request = self.consul.request(Method::PUT, &path, Some(CALL_WITHIN))?.body(config.to_string());
        self.consul.call("ask", request, ANSWER_MOST).await?.success()?;
        Ok(())
    }

    /// `POST /v1/job/<builder>/dispatch`, without Albatros.
    pub(crate) async fn dispatch(&self, builder: &str) -> anyhow::Result<String> {
        self.dispatch_for(builder, &[]).await
    }

    /// The same as the child of a claim.
    pub(crate) async fn dispatch_claimed(&self, builder: &str, claim: &str) -> anyhow::Result<String> {
        self.dispatch_for(builder, &[("idempotency_token", claim)]).await
    }

    async fn dispatch_for(&self, builder: &str, query: &[(&str, &str)]) -> anyhow::Result<String> {
        let meta = json!({ "REPO_URL": REPO, "COMMIT": "0".repeat(40), "BRANCH": "main", "FLAVOR": "default" });
        let order = json!({ "Meta": meta });
        let answer = self.nomad(Method::POST, &["v1", "job", builder, "dispatch"], query, Some(&order)).await?;
        let answer = answer.json::<Value>()?;
        let id = answer.get("DispatchedJobID").and_then(Value::as_str).map(ToOwned::to_owned);
        id.context("Nomad names no child")
    }

    /// Dispatches many children; gives their ids.
    pub(crate) async fn dispatch_many(&self, builder: &str, count: u64) -> anyhow::Result<Vec<String>> {
        stream::iter(0..count).map(|_| self.dispatch(builder)).buffered(AT_ONCE).try_collect().await
    }

    /// Puts records beneath `<prefix>-builds/`.
    pub(crate) async fn keep(&self, records: Vec<(String, Value)>) -> anyhow::Result<()> {
        for some in records.chunks(OPS_MOST) {
            let set = |(key, record): &(String, Value)| {
                let value = STANDARD.encode(record.to_string());
                json!({ "KV": { "Verb": "set", "Key": format!("{}-builds/{key}", self.prefix), "Value": value } })
            };
            let ops: Vec<Value> = some.iter().map(set).collect();
            let request = self.consul.request(Method::PUT, &["v1", "txn"], Some(CALL_WITHIN))?.json(&ops);
            self.consul.call("ask", request, ANSWER_MOST).await?.success()?;
        }
        Ok(())
    }

    /// `GET /v1/jobs`, read whole.
    pub(crate) async fn listed(&self, query: &[(&str, &str)]) -> anyhow::Result<()> {
        self.nomad(Method::GET, &["v1", "jobs"], query, None).await.map(drop)
    }

    /// `GET /v1/job/<id>`, read whole.
    pub(crate) async fn read(&self, id: &str) -> anyhow::Result<()> {
        self.nomad(Method::GET, &["v1", "job", id], &[], None).await.map(drop)
    }

    /// Waits for a build's end; gives its allocation.
    pub(crate) async fn ended(&self, build: &str) -> anyhow::Result<String> {
        let began = Instant::now();
        while began.elapsed() < ENDED_WITHIN {
            let answer = self.nomad(Method::GET, &["v1", "job", build, "allocations"], &[], None).await?;
            let all = answer.json::<Vec<Value>>()?;
            let ended = all.iter().find(|one| one["ClientStatus"] == "complete");
            if let Some(id) = ended.and_then(|one| one["ID"].as_str()) {
                return Ok(id.to_owned());
            }
            if let Some(failed) = all.iter().find(|one| one["ClientStatus"] == "failed") {
                bail!("{build} failed: {}", failed["TaskStates"]);
            }
            tokio::time::sleep(LOOK).await;
        }
        bail!("{build} does not end; can this node run raw_exec?")
    }

    /// What the executor of an ended build has printed.
    pub(crate) async fn log(&self, allocation: &str) -> anyhow::Result<String> {
        let query = [("task", "executor"), ("type", "stdout"), ("plain", "true")];
        let answer = self.nomad(Method::GET, &["v1", "client", "fs", "logs", allocation], &query, None).await?;
        Ok(String::from_utf8_lossy(&answer.body).into_owned())
    }

    /// The head of a request for a log at Nomad's own endpoint, where it speaks plain HTTP, and its address.
    pub(crate) fn log_request(&self, allocation: &str) -> anyhow::Result<Option<(std::net::SocketAddr, String)>> {
        let query = [("task", "executor"), ("type", "stdout"), ("plain", "true"), ("namespace", &*self.namespace)];
        let path = ["v1", "client", "fs", "logs", allocation];
        let request = self.nomad.request(Method::GET, &path, None)?.query(&query).build()?;
        let url = request.url();
        if url.scheme() != "http" {
            return Ok(None);
        }
        let address = url.socket_addrs(|| None)?.first().copied().context("no address")?;
        let target = &url[url::Position::BeforePath..];
        let mut head = format!("GET {target} HTTP/1.1\r\nHost: {address}\r\n");
        for (name, value) in request.headers() {
            head.push_str(&format!("{name}: {}\r\n", value.to_str()?));
        }
        Ok(Some((address, head)))
    }

    async fn nomad(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> anyhow::Result<Answer> {
        let mut request = self.nomad.request(method, path, Some(CALL_WITHIN))?;
        request = request.query(&[("namespace", &self.namespace)]).query(query);
        if let Some(body) = body {
            request = request.json(body);
        }
        Ok(self.nomad.call("ask", request, ANSWER_MOST).await?.success()?)
    }

    async fn purge(&self, id: &str) -> anyhow::Result<()> {
        self.nomad(Method::DELETE, &["v1", "job", id], &[("purge", "true")], None).await.map(drop)
    }

    /// Removes all of the benchmark's keys and jobs.
    pub(crate) async fn clear(&self) -> anyhow::Result<()> {
        for folder in [format!("{}/", self.prefix), format!("{}-builds/", self.prefix)] {
            let request =
                self.consul.request(Method::DELETE, &["v1", "kv", folder.trim_end_matches('/')], Some(CALL_WITHIN))?;
            let request = request.query(&[("recurse", "true")]);
            self.consul.call("ask", request, ANSWER_MOST).await?.success()?;
        }
        for job in &self.jobs {
            let query = [("prefix", format!("{job}/"))];
            let request = self.nomad.request(Method::GET, &["v1", "jobs"], Some(CALL_WITHIN))?;
            let request = request.query(&[("namespace", &self.namespace)]).query(&query);
            let children = self.nomad.call("ask", request, ANSWER_MOST).await?.success()?.json::<Vec<Value>>()?;
            let children = children.iter().filter_map(|child| child["ID"].as_str());
            let purged = stream::iter(children.chain([&**job])).map(|id| self.purge(id));
            purged.buffered(AT_ONCE).try_collect::<Vec<()>>().await?;
        }
        Ok(())
    }
}

/// A task that runs a line of shell.
pub(crate) fn task(name: &str, script: &str) -> Value {
    json!({
        "Name": name, "Driver": "raw_exec",
        "Config": { "command": "/bin/sh", "args": ["-c", script] },
        "Resources": { "CPU": 50, "MemoryMB": 64 },
        "LogConfig": { "MaxFiles": 2, "MaxFileSizeMB": 100 },
    })
}
