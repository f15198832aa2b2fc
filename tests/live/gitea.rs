//! A Gitea of our own, with two people in it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::commands::shell;
use crate::fake::http::{Reply, client};
use crate::fake::{hex, uuid};
use crate::minded::{Minded, Room, free_ports, may_run, say};

/// How long it takes to make its database and come up, on a slow machine.
const START: Duration = Duration::from_secs(60);

/// A running Gitea; ended when this is dropped or this process ends.
#[derive(Debug)]
pub(crate) struct Gitea {
    server: Minded,
    host: &'static str,
    port: u16,
    /// The owner's token.
    pub(crate) quentin: String,
    /// The token of somebody without rights.
    pub(crate) mallory: String,
    /// What the owner types to sign in.
    password: String,
}

fn configuration(room: &Path, host: &str, port: u16, static_root: Option<String>) -> String {
    let (room, key, token) = (room.display(), hex(32), hex(32));
    let static_root = static_root.map(|path| format!("STATIC_ROOT_PATH = {path}")).unwrap_or_default();
    format!(
        "RUN_USER = root
I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true
RUN_MODE = prod
WORK_PATH = {room}
[server]
HTTP_ADDR = {host}
HTTP_PORT = {port}
ROOT_URL = http://{host}:{port}/
{static_root}
APP_DATA_PATH = {room}/data
OFFLINE_MODE = true
DISABLE_SSH = true
[database]
DB_TYPE = sqlite3
PATH = {room}/gitea.db
[repository]
ROOT = {room}/repos
DEFAULT_BRANCH = main
[security]
INSTALL_LOCK = true
SECRET_KEY = {key}
INTERNAL_TOKEN = {token}
[service]
DISABLE_REGISTRATION = true
[webhook]
ALLOWED_HOST_LIST = loopback
[actions]
ENABLED = true
[cron.update_checker]
ENABLED = false
[log]
MODE = console
LEVEL = Info
"
    )
}

impl Gitea {
    /// Starts one; none, and a line that is always seen, where there is no `gitea` or it does not come up. A Gitea that
    /// was built without its templates needs `ALBATROS_LIVE_GITEA_ROOT`, the folder of its source.
    pub(crate) async fn start(story: &str) -> Option<Self> {
        Self::start_at(story, "127.0.0.1").await
    }

    /// The same at another address of this machine.
    pub(crate) async fn start_at(story: &str, host: &'static str) -> Option<Self> {
        if !may_run(story, &["gitea"]) {
            return None;
        }
        let [port] = free_ports();
        let room = Room::new("gitea");
        let root = std::env::var_os("ALBATROS_LIVE_GITEA_ROOT").map(|path| path.to_str().unwrap().to_owned());
        let config = room.write("app.ini", &configuration(room.path(), host, port, root));
        let password = hex(16);
        let environment = [
            ("CONFIG".to_owned(), config.clone()),
            ("HOME".to_owned(), room.path().to_str().unwrap().to_owned()),
            ("SIGN_IN".to_owned(), password.clone()),
        ];
        let lines = r#"
            {
            if ! gitea migrate --config "$CONFIG"; then echo "gitea has no templates or no database"; exit 0; fi
            gitea admin user create --config "$CONFIG" --username quentin --password "$SIGN_IN" \
                --email q@example.invalid --admin --must-change-password=false
            gitea admin user create --config "$CONFIG" --username mallory --password "$(date +%N)-mallory" \
                --email m@example.invalid --must-change-password=false
            } >"$HOME/log" 2>&1
            for user in quentin mallory; do
                gitea admin user generate-access-token --config "$CONFIG" --username $user --scopes all --raw | tail -n 1
            done
        "#;
        let tokens = shell(lines, &environment).await;
        let mut tokens = tokens.split_whitespace().map(str::to_owned);
        let (Some(quentin), Some(mallory)) = (tokens.next(), tokens.next()) else {
            let why = std::fs::read_to_string(room.path().join("log")).unwrap_or_default();
            let why = why.lines().last().unwrap_or_default().to_owned();
            say(&format!(
                "SKIPPED {story}: this `gitea` does not start (ALBATROS_LIVE_GITEA_ROOT names its source): {why}"
            ));
            let _ = std::fs::remove_dir_all(room.path());
            return None;
        };
        let command = ["gitea", "web", "--config", &config].map(str::to_owned);
        let gitea = Self { server: Minded::start(room, &command), host, port, quentin, mallory, password };
        let begun = Instant::now();
        while gitea.try_call(&gitea.quentin, "GET", "/user", &Value::Null).await.is_none() {
            if begun.elapsed() > START {
                let why = gitea.server.last_words();
                say(&format!(
                    "SKIPPED {story}: this `gitea` does not come up (ALBATROS_LIVE_GITEA_ROOT names its source): {why}"
                ));
                return None;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Some(gitea)
    }

    /// Its address.
    pub(crate) fn url(&self) -> String {
        format!("http://{}:{}", self.host, self.port)
    }

    async fn try_call(&self, token: &str, method: &str, path: &str, body: &Value) -> Option<Reply> {
        let mut request = client().request(method.parse().unwrap(), format!("{}/api/v1{path}", self.url()));
        request = request.header("authorization", format!("token {token}"));
        if !body.is_null() {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let reply = Reply::read(request.send().await.ok()?).await;
        (reply.status < 300).then_some(reply)
    }

    /// A call that must succeed.
    pub(crate) async fn call(&self, token: &str, method: &str, path: &str, body: &Value) -> Value {
        let reply = self.try_call(token, method, path, body).await;
        reply.unwrap_or_else(|| panic!("{method} {path} was refused: {}", self.server.last_words())).value()
    }

    /// Commits a new file to a branch by the API, as its editor does; gives the commit.
    pub(crate) async fn commit(&self, token: &str, repo: &str, file: &str, text: &str) -> String {
        let body = json!({"content": BASE64_STANDARD.encode(text), "message": uuid(), "branch": "main"});
        let made = self.call(token, "POST", &format!("/repos/{repo}/contents/{file}"), &body).await;
        made["commit"]["sha"].as_str().unwrap().to_owned()
    }

    /// The jobs of a repository's workflows, the oldest first.
    pub(crate) async fn jobs(&self, repo: &str) -> Vec<Value> {
        let all = self.call(&self.quentin, "GET", &format!("/repos/{repo}/actions/jobs"), &Value::Null).await;
        all["jobs"].as_array().cloned().unwrap_or_default()
    }

    /// The runners of a repository, by name.
    pub(crate) async fn runners(&self, repo: &str) -> Vec<String> {
        let all = self.call(&self.quentin, "GET", &format!("/repos/{repo}/actions/runners"), &Value::Null).await;
        let name = |one: &Value| one["name"].as_str().unwrap_or_default().to_owned();
        all["runners"].as_array().into_iter().flatten().map(name).collect()
    }

    /// Cancels a run of a workflow as a person does in a browser: its API has nothing for that.
    pub(crate) async fn cancel(&self, repo: &str, run: u64) {
        let mut cookies = BTreeMap::new();
        self.web(&mut cookies, "GET", "/user/login", &[]).await;
        let sign_in = [("user_name", "quentin"), ("password", self.password.as_str())];
        assert_eq!(self.web(&mut cookies, "POST", "/user/login", &sign_in).await, 303);
        self.web(&mut cookies, "GET", "/", &[]).await;
        assert_eq!(self.web(&mut cookies, "POST", &format!("/{repo}/actions/runs/{run}/cancel"), &[]).await, 200);
    }

    async fn web(
        &self,
        cookies: &mut BTreeMap<String, String>,
        method: &str,
        path: &str,
        form: &[(&str, &str)],
    ) -> u16 {
        let csrf = cookies.get("_csrf").cloned().unwrap_or_default();
        let held: Vec<String> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut body = url::form_urlencoded::Serializer::new(String::new());
        body.append_pair("_csrf", &csrf).extend_pairs(form);
        let mut request = client().request(method.parse().unwrap(), format!("{}{path}", self.url()));
        if method == "POST" {
            request = request.header("content-type", "application/x-www-form-urlencoded").body(body.finish());
        }
        let answer = request.header("cookie", held.join("; ")).header("x-csrf-token", &csrf).send().await.unwrap();
        for set in answer.headers().get_all("set-cookie") {
            let (name, rest) = set.to_str().unwrap().split_once('=').unwrap();
            cookies.insert(name.to_owned(), rest.split(';').next().unwrap().to_owned());
        }
        answer.status().as_u16()
    }

    /// The statuses of a commit as (context, state, sentence), the newest first.
    pub(crate) async fn statuses(&self, sha: &str) -> Vec<(String, String, String)> {
        let path = format!("/repos/quentin/hello/commits/{sha}/statuses");
        let all = self.call(&self.quentin, "GET", &path, &Value::Null).await;
        let word = |one: &Value, name: &str| one[name].as_str().unwrap_or_default().to_owned();
        let mut all = all.as_array().cloned().unwrap_or_default();
        // Its own orders go by times in whole seconds.
        all.sort_by_key(|one| std::cmp::Reverse(one["id"].as_u64()));
        all.iter().map(|one| (word(one, "context"), word(one, "status"), word(one, "description"))).collect()
    }
}
