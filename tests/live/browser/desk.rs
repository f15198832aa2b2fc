//! `albatros dev` on a free port, with a repository whose branches are what a story needs.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::commands::shell;
use crate::fake::delivery::sign;
use crate::fake::http::{Reply, client};
use crate::minded::{Minded, Room};
use crate::story::until;

/// Who pushes, where nobody else is named.
const SENDER: &str = "quentin";
const ZEROS: &str = "0000000000000000000000000000000000000000";

/// A server, its repository `hello`, and the gates that its builds wait at.
#[derive(Debug)]
pub(crate) struct Desk {
    /// `http://127.0.0.1:<port>`.
    pub(crate) url: String,
    room: PathBuf,
    repo: String,
    minded: Minded,
}

/// What is pushed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Push<'a> {
    pub(crate) branch: &'a str,
    pub(crate) script: &'a str,
    pub(crate) sender: &'a str,
    pub(crate) flavor: &'a str,
}

impl<'a> Push<'a> {
    pub(crate) const fn new(branch: &'a str, script: &'a str) -> Self {
        Self { branch, script, sender: SENDER, flavor: "default" }
    }
}

impl Desk {
    /// Starts a server for a repository without a commit on its checked out branch: what is built is pushed here.
    pub(crate) async fn start() -> Self {
        Self::named("hello").await
    }

    /// The same with another name.
    pub(crate) async fn named(repository: &str) -> Self {
        let room = Room::new("dev");
        let path = room.path().to_owned();
        let repo = path.join(repository);
        std::fs::create_dir(&repo).unwrap();
        let repo = repo.to_str().unwrap().to_owned();
        shell(r#"git init -q -b nothing-yet "$WHERE""#, &[("WHERE".to_owned(), repo.clone())]).await;
        let data = path.join("data").to_str().unwrap().to_owned();
        let program = env!("CARGO_BIN_EXE_albatros");
        let line =
            ["env", "ALBATROS_LOCAL_BUILDS=3", program, "dev", &repo, "--listen", "127.0.0.1:0", "--data", &data];
        let minded = Minded::start(room, &line.map(str::to_owned));
        let url = until("dev to listen", || async {
            let said = minded.last_words();
            said.lines().find_map(|line| line.split("listening on ").nth(1).map(|url| url.trim().to_owned()))
        })
        .await;
        Self { url, room: path, repo, minded }
    }

    /// The bearer that may act.
    pub(crate) fn token(&self) -> String {
        std::fs::read_to_string(self.room.join("data/token")).unwrap()
    }

    /// Where a gate is: a build may wait for this file.
    pub(crate) fn gate(&self, name: &str) -> String {
        self.room.join(name).to_str().unwrap().to_owned()
    }

    /// Lets whoever waits there go on.
    pub(crate) fn open_gate(&self, name: &str) {
        std::fs::write(self.room.join(name), "").unwrap();
    }

    /// The program, for scripts.
    pub(crate) fn program() -> &'static str {
        env!("CARGO_BIN_EXE_albatros")
    }

    /// Commits a script to a branch and delivers the push; the path of the build's page.
    pub(crate) async fn push(&self, push: Push<'_>) -> String {
        let commit = self.commit(push.branch, push.script).await;
        self.deliver(push, &commit).await
    }

    /// Delivers a push of a commit, which need not be there.
    pub(crate) async fn deliver(&self, push: Push<'_>, commit: &str) -> String {
        let reply = self.send(push, commit).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        crate::story::page(reply.text.lines().next().unwrap())
    }

    async fn send(&self, push: Push<'_>, commit: &str) -> Reply {
        let kept: Value = serde_json::from_slice(&std::fs::read(self.room.join("data/dev.json")).unwrap()).unwrap();
        let (name, known) = kept["repositories"].as_object().unwrap().iter().next().unwrap();
        let account = json!({"id": 1, "login": push.sender, "username": push.sender});
        let body = json!({
            "ref": format!("refs/heads/{}", push.branch), "before": ZEROS, "after": commit,
            "head_commit": {"id": commit}, "pusher": account, "sender": account,
            "repository": {
                "id": 1, "name": name, "full_name": format!("{SENDER}/{name}"), "private": false,
                "clone_url": format!("http://localhost/{name}"),
            },
        });
        let body = body.to_string();
        let request = client()
            .post(format!("{}/hook?flavor={}", self.url, push.flavor))
            .header("content-type", "application/json")
            .header("x-gitea-event", "push")
            .header("x-gitea-signature", sign(known["secret"].as_str().unwrap(), body.as_bytes()));
        Reply::read(request.body(body).send().await.unwrap()).await
    }

    /// A commit with this script, and nothing else, at the end of a branch of its own.
    async fn commit(&self, branch: &str, script: &str) -> String {
        let who = ["AUTHOR", "COMMITTER"].into_iter().flat_map(|who| {
            [(format!("GIT_{who}_NAME"), "q".to_owned()), (format!("GIT_{who}_EMAIL"), "q@example.invalid".to_owned())]
        });
        let told = [("WHERE", self.repo.as_str()), ("BRANCH", branch), ("SCRIPT", script)];
        let told = told.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let lines = r#"
            set -e; cd "$WHERE"
            blob=$(printf '%s' "$SCRIPT" | git hash-object -w --stdin)
            tree=$(printf '100755 blob %s\t.albatros\n' "$blob" | git mktree)
            commit=$(git commit-tree -m "$BRANCH" "$tree")
            git update-ref "refs/heads/$BRANCH" "$commit"; echo "$commit"
        "#;
        let environment: Vec<_> = who.chain(told).collect();
        shell(lines, &environment).await.trim().to_owned()
    }

    /// What is known of a build.
    pub(crate) async fn build(&self, page: &str) -> Value {
        let request = client().get(format!("{}{page}", self.url)).header("accept", "application/json");
        Reply::read(request.send().await.unwrap()).await.value()
    }

    /// Waits until a build is over, and gives its outcome.
    pub(crate) async fn outcome(&self, page: &str) -> String {
        until(&format!("{page} to end"), || async {
            let build = self.build(page).await;
            (build["ended"] == true).then(|| build["state"].as_str().unwrap_or_default().to_owned())
        })
        .await
    }

    /// The last lines that the server printed.
    pub(crate) fn last_words(&self) -> String {
        self.minded.last_words()
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        if std::thread::panicking() {
            crate::minded::say(&format!("dev printed at last:\n{}", self.last_words()));
        }
    }
}
