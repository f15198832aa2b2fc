//! A Nomad server and client of our own, on free ports of this machine. It needs to be root.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::fake::http::{Reply, client};
use crate::fake::uuid;
use crate::minded::{Minded, Room, free_ports, may_run, say};

/// How long a node takes to become ready, on a slow machine.
const START: Duration = Duration::from_secs(90);

/// A running agent, with everything ended that runs on it when this is dropped or this process ends.
#[derive(Debug)]
pub(crate) struct Nomad {
    server: Minded,
    port: u16,
    token: String,
}

/// Whether Nomad can be run; where not, says why.
pub(crate) fn can_run(story: &str) -> bool {
    if !may_run(story, &["nomad", "consul", "git"]) {
        return false;
    }
    let root = rustix::process::geteuid().is_root();
    if !root {
        say(&format!("SKIPPED {story}: Nomad runs builds only as root"));
    }
    root
}

/// What both kinds of server are configured with.
fn configuration(room: &Room, ports: [u16; 3], more: &str) -> String {
    let [http, rpc, serf] = ports;
    let room = room.path().display();
    format!(
        r#"
name = "live"
bind_addr = "127.0.0.1"
disable_update_check = true
ports {{
  http = {http}
  rpc  = {rpc}
  serf = {serf}
}}
advertise {{
  http = "127.0.0.1"
  rpc  = "127.0.0.1"
  serf = "127.0.0.1"
}}
client {{
  alloc_dir = "{room}/alloc"
  state_dir = "{room}/state"
  cgroup_parent = "albatros-live.slice"
  # Builds here do nothing: many fit on one core.
  cpu_total_compute = 40000
  options {{
    "fingerprint.denylist" = "env_aws,env_gce,env_azure,env_digitalocean"
    "driver.allowlist" = "raw_exec,exec,docker"
  }}
  # Small: the default one links every program of this machine, for each task anew.
  chroot_env {{
    "{room}/tree/bin"   = "/bin"
    "{room}/tree/usr"   = "/usr"
    "{room}/tree/etc"   = "/etc"
    "{room}/tree/lib"   = "/lib"
    "{room}/tree/lib64" = "/lib64"
  }}
}}
plugin "raw_exec" {{
  config {{
    enabled = true
  }}
}}
plugin "docker" {{
  config {{
    gc {{
      image = false
    }}
  }}
}}
consul {{
  auto_advertise   = false
  server_auto_join = false
  client_auto_join = false
}}
{more}
"#
    )
}

impl Nomad {
    /// Starts one that nobody may use without a token, with the namespace `ci`.
    pub(crate) async fn start() -> Self {
        let mut nomad = Self::launch(Room::new("nomad"), "acl {\n  enabled = true\n}\n");
        let token = uuid();
        let begun = Instant::now();
        let bootstrap = json!({"BootstrapSecret": token}).to_string();
        loop {
            let reply = nomad.try_call("PUT", "/v1/acl/bootstrap", Some(&bootstrap)).await;
            if reply.as_ref().is_ok_and(|reply| reply.status == 200) {
                break;
            }
            assert!(begun.elapsed() < START, "Nomad has no leader: {reply:?}: {}", nomad.server.last_words());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        nomad.token = token;
        while !nomad.is_ready().await {
            assert!(begun.elapsed() < START, "no node is ready: {}", nomad.server.last_words());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        nomad.call("PUT", "/v1/namespace/ci", Some(&json!({"Name": "ci"}))).await;
        nomad
    }

    /// Starts one with this piece of configuration, and does not wait.
    pub(crate) fn launch(room: Room, more: &str) -> Self {
        let ports = free_ports();
        let config = room.write("nomad.hcl", &configuration(&room, ports, more));
        let command = ["nomad", "agent", "-dev", "-config", &config].map(str::to_owned);
        Self { server: Minded::start(room, &command), port: ports[0], token: String::new() }
    }

    async fn is_ready(&self) -> bool {
        let nodes = self.get("/v1/nodes").await;
        nodes.as_array().into_iter().flatten().any(|node| node["Status"] == "ready") && self.has("raw_exec").await
    }

    /// Whether the node can run tasks with this driver.
    pub(crate) async fn has(&self, driver: &str) -> bool {
        let nodes = self.get("/v1/nodes").await;
        nodes.as_array().into_iter().flatten().any(|node| node["Drivers"][driver]["Healthy"] == true)
    }

    /// `127.0.0.1:<port>`.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Its address.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// The token that may do everything.
    pub(crate) fn management_token(&self) -> &str {
        &self.token
    }

    /// The process.
    pub(crate) fn server(&self) -> &Minded {
        &self.server
    }

    async fn try_call(&self, method: &str, path: &str, body: Option<&str>) -> Result<Reply, reqwest::Error> {
        let request = client().request(method.parse().unwrap(), format!("{}{path}", self.url()));
        let request = request.header("x-nomad-token", &self.token).body(body.unwrap_or_default().to_owned());
        Ok(Reply::read(request.send().await?).await)
    }

    /// A call that must succeed.
    pub(crate) async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let text = body.map(Value::to_string);
        let reply = self.try_call(method, path, text.as_deref()).await.unwrap();
        assert_eq!(reply.status, 200, "{method} {path}: {}", reply.text);
        reply.value()
    }

    /// What there is; null where there is nothing.
    pub(crate) async fn get(&self, path: &str) -> Value {
        let reply = self.try_call("GET", path, None).await.unwrap();
        if reply.status == 200 { reply.value() } else { Value::Null }
    }

    /// A token with this policy.
    pub(crate) async fn token(&self, name: &str, rules: &str) -> String {
        self.call("PUT", &format!("/v1/acl/policy/{name}"), Some(&json!({"Name": name, "Rules": rules}))).await;
        let wanted = json!({"Name": name, "Type": "client", "Policies": [name]});
        self.call("PUT", "/v1/acl/token", Some(&wanted)).await["SecretID"].as_str().unwrap().to_owned()
    }

    /// Registers a job file, with a file of values for its variables.
    pub(crate) async fn register(&self, hcl: &str, variables: &str) {
        let parse = json!({"JobHCL": hcl, "Variables": variables, "Canonicalize": true});
        let job = self.call("POST", "/v1/jobs/parse", Some(&parse)).await;
        self.call("POST", "/v1/jobs", Some(&json!({"Job": job}))).await;
    }

    /// The children of a builder in the namespace `ci`, whole.
    pub(crate) async fn children(&self, builder: &str) -> Vec<Value> {
        let list = self.get(&format!("/v1/jobs?namespace=ci&prefix={builder}/dispatch-")).await;
        let mut children = Vec::new();
        for stub in list.as_array().into_iter().flatten() {
            children.push(self.job(stub["ID"].as_str().unwrap()).await);
        }
        children
    }

    /// The newest allocation of a build.
    pub(crate) async fn allocation(&self, build: &str) -> Value {
        let path = format!("/v1/job/{}/allocations?namespace=ci", build.replace('/', "%2F"));
        let all = self.get(&path).await;
        all.as_array().into_iter().flatten().max_by_key(|one| one["CreateIndex"].as_u64()).cloned().unwrap_or_default()
    }

    /// The text at a path; empty where there is none.
    pub(crate) async fn text(&self, path: &str) -> String {
        let reply = self.try_call("GET", path, None).await.unwrap();
        if reply.status == 200 { reply.text } else { String::new() }
    }

    /// A job of the namespace `ci`; null where there is none.
    pub(crate) async fn job(&self, id: &str) -> Value {
        self.get(&format!("/v1/job/{}?namespace=ci", id.replace('/', "%2F"))).await
    }

    /// Stops a job of the namespace `ci` by hand.
    pub(crate) async fn stop(&self, id: &str, purge: bool) {
        self.call("DELETE", &format!("/v1/job/{}?namespace=ci&purge={purge}", id.replace('/', "%2F")), None).await;
    }

    /// Dispatches by hand, with an idempotency token; gives the child's id.
    pub(crate) async fn dispatch(&self, builder: &str, token: &str, meta: &Value, payload: &str) -> String {
        let path = format!("/v1/job/{builder}/dispatch?namespace=ci&idempotency_token={token}");
        let body = json!({"Meta": meta, "Payload": BASE64_STANDARD.encode(payload)});
        self.call("POST", &path, Some(&body)).await["DispatchedJobID"].as_str().unwrap().to_owned()
    }
}
