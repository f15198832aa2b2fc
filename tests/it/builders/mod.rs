//! `albatros builder …`, as a person types it, against Nomad: what is printed, what Nomad is left with, how it exits.

mod check;
mod file;
mod register;
mod show;

use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tokio::process::Command;

use crate::fake::wire::PATIENCE;

const TOKEN: &str = "11111111-2222-3333-4444-555555555555";
const HIDDEN: &str = "hunter2-of-a-variable";

struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Said {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {} {}", self.out, self.err))
    }

    fn ends(&self, code: i32) -> &Self {
        assert_eq!(self.code, code, "{}\n{}", self.out, self.err);
        self
    }

    fn says(&self, words: &str) -> &Self {
        assert!(self.out.contains(words), "{words}: {}", self.out);
        self
    }

    fn complains(&self, words: &str) -> &Self {
        assert!(self.err.contains(words), "{words}: {}", self.err);
        self
    }
}

/// Runs `albatros builder …` with this environment and nothing else. Nothing secret is ever printed.
async fn typed(environment: &[(&str, &str)], verb: &[&str]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_albatros"));
    command.arg("builder").args(verb).env_clear().stdin(Stdio::null()).kill_on_drop(true);
    command.envs(environment.iter().copied());
    let output = tokio::time::timeout(PATIENCE, command.output()).await.expect("it ends").unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let said = Said { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) };
    for hidden in [TOKEN, HIDDEN, "\x1b"] {
        assert!(!said.out.contains(hidden) && !said.err.contains(hidden), "{verb:?}: {} {}", said.out, said.err);
    }
    said
}

/// An address where nothing listens: a port that was free a moment ago.
fn nowhere() -> String {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    format!("http://127.0.0.1:{port}")
}

fn ours(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("hcl").join(name).display().to_string()
}

/// The shipped builders.
fn all_of_ours() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("hcl");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|it| it == "hcl"));
    let builders = files.filter(|path| std::fs::read_to_string(path).unwrap().contains("\n  parameterized {"));
    builders.map(|path| path.display().to_string()).collect()
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }
}
