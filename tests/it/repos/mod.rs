//! `albatros repo …`, as an operator runs it: entries, webhooks, tests of them, and what is said of what is wrong.

use std::process::Stdio;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tokio::process::{Child, Command};

use crate::fake::delivery::REPO;
use crate::fake::forge::Right;
use crate::fake::serve::Serve;
use crate::fake::wire::PATIENCE;
use crate::fake::world::{CONSUL, FORGE, NOMAD, World};

mod add;
mod check;
mod entries;
mod hooks;
mod killed;

/// The owner and name of the repository.
const NAME: &str = "quentin/albatros";
/// What trusted builds are given here.
const INJECTED: &str = "DEPLOY=injected-s3cr3t-of-an-operator";

/// What a verb printed, and its exit code.
#[derive(Debug)]
struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Said {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// That it ended with this code, and said this somewhere.
    fn ends(&self, code: i32, words: &str) {
        assert_eq!(self.code, code, "{self:?}");
        assert!(self.out.contains(words) || self.err.contains(words), "{words}: {self:?}");
    }

    /// The names of what `--json` found.
    fn found(&self) -> Vec<String> {
        let json = self.json();
        let all = json.as_array().cloned().unwrap_or_else(|| vec![json.clone()]);
        let names = all.iter().flat_map(|report| report["findings"].as_array().cloned().unwrap_or_default());
        names.filter(|one| one["severity"] != "note").map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    }
}

/// A world without a registered repository, and an operator in it.
#[derive(Debug)]
struct Place {
    world: World,
    room: tempfile::TempDir,
    url: String,
}

impl Place {
    /// Consul, Nomad and a forge, with a repository that has a commit; and a server.
    async fn with_server() -> (Self, Serve) {
        let mut place = Self::new().await;
        let serve = place.world.serve().await;
        place.url.clone_from(&serve.url);
        (place, serve)
    }

    async fn new() -> Self {
        let world = World::new().await;
        world.consul.remove(&key(REPO));
        world.forge.push(NAME, "main", &"a".repeat(40));
        world.forge.account("quentin", 1);
        world.forge.account("lx", 2);
        let room = tempfile::tempdir().unwrap();
        std::fs::write(room.path().join("token"), format!("{FORGE}\n")).unwrap();
        std::fs::write(room.path().join("inject"), INJECTED).unwrap();
        Self { world, room, url: "https://ci.example".to_owned() }
    }

    fn file(&self, name: &str) -> String {
        self.room.path().join(name).to_str().unwrap().to_owned()
    }

    /// A file with another token of the forge, which may do this.
    fn token(&self, name: &str, right: Right) -> String {
        self.world.forge.token(name, right);
        std::fs::write(self.room.path().join(name), name).unwrap();
        self.file(name)
    }

    /// `repo add` of the repository, for this kind of forge, and with this beside it.
    fn add(&self, more: &[&str]) -> Vec<String> {
        self.add_at("gitea", more)
    }

    fn add_at(&self, forge: &str, more: &[&str]) -> Vec<String> {
        let (url, token) = (self.world.forge.url(), self.file("token"));
        let usual = ["add", REPO, "--forge", forge, "--forge-url", &url, "--token-file", &token];
        usual.iter().chain(more).map(ToString::to_string).collect()
    }

    fn command(&self, verb: &[String]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_albatros"));
        command.arg("repo").args(verb).env_clear().stdin(Stdio::null()).kill_on_drop(true);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        for (name, value) in [
            ("ALBATROS_URL", self.url.as_str()),
            ("CONSUL_HTTP_ADDR", &self.world.consul.url()),
            ("CONSUL_HTTP_TOKEN", CONSUL),
            ("NOMAD_ADDR", &self.world.nomad.url()),
            ("NOMAD_TOKEN", NOMAD),
        ] {
            command.env(name, value);
        }
        command
    }

    /// Starts a verb beside the test.
    fn starts(&self, verb: &[String]) -> Child {
        self.command(verb).spawn().unwrap()
    }

    /// Runs a verb to its end. No secret of any entry is printed by any of them, but for those that `add` makes up.
    async fn runs(&self, verb: &[&str]) -> Said {
        self.run(&verb.iter().map(ToString::to_string).collect::<Vec<_>>()).await
    }

    async fn run(&self, verb: &[String]) -> Said {
        let mut hidden = self.secrets();
        let ended = tokio::time::timeout(PATIENCE, self.command(verb).output()).await;
        let output = ended.expect("it ends").unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let said = Said { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) };
        if verb[0] != "add" {
            hidden.extend(self.secrets());
        }
        hidden.extend([FORGE, CONSUL, NOMAD, INJECTED, "\x1b"].map(str::to_owned));
        for hidden in hidden {
            let leaked = said.out.contains(&hidden) || said.err.contains(&hidden);
            assert!(!leaked, "{hidden} was printed by {verb:?}: {said:?}");
        }
        said
    }

    /// Every secret of every entry.
    fn secrets(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (_, value) in self.world.consul.list("albatros/") {
            let Ok(entry) = serde_json::from_slice::<Value>(&value) else { continue };
            for pointer in ["/hook", "/tokens", "/inject", "/gitea/token", "/github/token"] {
                gather(entry.pointer(pointer).unwrap_or(&Value::Null), &mut found);
            }
        }
        found
    }

    /// The one entry, by its key.
    fn entry(&self) -> (String, Value) {
        let [(key, value)] = self.world.consul.list("albatros/").try_into().unwrap();
        (key, serde_json::from_slice(&value).unwrap())
    }

    /// The entry of one of several.
    fn entry_of(&self, repo: &str) -> (String, Value) {
        (key(repo), serde_json::from_slice(&self.world.consul.get(&key(repo)).unwrap()).unwrap())
    }

    fn secret(&self) -> String {
        self.entry().1["hook"]["secret"].as_str().unwrap().to_owned()
    }
}

fn gather(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Array(all) => all.iter().for_each(|one| gather(one, found)),
        Value::Object(fields) => fields.values().for_each(|one| gather(one, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Where the entry of a repository usually is.
fn key(repo: &str) -> String {
    format!("albatros/{}", STANDARD.encode(repo))
}
