//! One working copy: each new commit is delivered, and its build shown.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::copy::{Head, WorkingCopy};
use super::home::{Home, Push};
use super::server::{DevError, client};
use super::{TASKS_THAT_SAY_WHY, Terminal, address_of, delivery, quoted};
use crate::api::albatros::{Albatros, AlbatrosError};
use crate::domain::id::BuildId;
use crate::domain::outcome::EXECUTOR;
use crate::engine::{Keep, LogStream};

/// Between two looks for a new commit.
const LOOK: Duration = Duration::from_millis(500);
/// A look may take this part of the time at most: a large directory is looked at less often.
const SHARE: u32 = 5;
/// Between two looks for a verdict, once the log has ended.
const VERDICT_LOOK: Duration = Duration::from_millis(30);
/// A log's end precedes the verdict by moments; longer means that something is wrong.
const VERDICT_WITHIN: Duration = Duration::from_secs(60);
/// The engine's verdict precedes the record, with its times and its report, by moments; without them it is told as well.
const RECORD_WITHIN: Duration = Duration::from_secs(2);
/// How long a claim may wait for its build.
const BUILD_WITHIN: Duration = Duration::from_secs(60);
/// What is said and returned when a build could not be started or followed.
const INFRASTRUCTURE: u8 = 3;
/// The outcome that is nobody's doing who wrote the script.
const INFRA: &str = "infra";
/// Outcomes whose workspace the engine keeps.
const FAILED: &[&str] = &["failure", "oom", "timeout"];
/// Outcomes that say something about the commit; any other one is worth another try.
const OF_THE_COMMIT: &[&str] = &["success", "failure", "oom", "timeout"];

/// One working copy and the server it is delivered to.
#[derive(Debug)]
pub(super) struct Watch {
    name: String,
    copy: WorkingCopy,
    home: Arc<Mutex<Home>>,
    base: String,
    terminal: Terminal,
    prefixed: bool,
    kept: Keep,
    forge: Albatros,
    person: Albatros,
}

/// Why a commit was not built.
#[derive(Debug, thiserror::Error)]
enum WatchError {
    #[error(transparent)]
    Server(#[from] AlbatrosError),
    #[error("what was delivered could not be written down")]
    Home(#[from] std::io::Error),
    #[error("the server named no build")]
    NoBuild,
    #[error("the build's log has ended and no verdict has come")]
    NoVerdict,
}

impl Watch {
    pub(super) fn new(
        name: String,
        copy: WorkingCopy,
        home: &Arc<Mutex<Home>>,
        base: &str,
        terminal: Terminal,
    ) -> Result<Self, DevError> {
        let (token, kept) = {
            let home = home.lock().unwrap_or_else(PoisonError::into_inner);
            (home.token(), home.kept())
        };
        let (home, base) = (home.clone(), base.to_owned());
        let (forge, person) = (client(&base, None)?, client(&base, Some(token))?);
        Ok(Self { name, copy, home, base, terminal, prefixed: false, kept, forge, person })
    }

    /// With the name before each line, where there are several.
    pub(super) fn prefixed(self, prefixed: bool) -> Self {
        Self { prefixed, ..self }
    }

    /// Builds each new commit; with `exit` the first one only. Gives its exit code.
    pub(super) async fn run(mut self, exit: bool) -> u8 {
        let mut built = None;
        loop {
            let began = Instant::now();
            match self.copy.head().await {
                Ok(Some(head)) if built.as_ref() != Some(&head.commit) => {
                    let code = self.build(&head).await;
                    if exit {
                        return code;
                    }
                    built = Some(head.commit);
                }
                Ok(Some(_)) => {}
                Ok(None) if exit => {
                    self.say("there is no commit to build");
                    return INFRASTRUCTURE;
                }
                Ok(None) => {}
                Err(error) => {
                    self.complain(&error);
                    if exit {
                        return INFRASTRUCTURE;
                    }
                }
            }
            sleep(LOOK.max(began.elapsed() * SHARE)).await;
        }
    }

    async fn build(&self, head: &Head) -> u8 {
        match self.deliver_and_show(head).await {
            Ok(code) => code,
            Err(error) => {
                self.complain(&error);
                INFRASTRUCTURE
            }
        }
    }

    async fn deliver_and_show(&self, head: &Head) -> Result<u8, WatchError> {
        let push = self.home().push(&self.name, head)?;
        let sent = Timestamp::now();
        let mut build = self.deliver(&push).await?;
        let known = self.status(&build).await?;
        if is_older(&known, sent) && !OF_THE_COMMIT.contains(&word(&known)) && ended(&known) {
            self.say(&format!("{build} ended as {}; building {} again", word(&known), head.commit.short()));
            build = self.trigger(head).await?;
        } else if is_older(&known, sent) {
            self.say(&format!("{} is built already: {build}", head.commit.short()));
        } else {
            self.say(&format!("{} {} is {build}", head.branch(), head.commit.short()));
        }
        self.say(&format!("log:  curl '{}/build?job={build}&log=stdout'", self.base));
        self.show(&build).await
    }

    /// Sends the push as a forge would, and says how to send it again.
    async fn deliver(&self, push: &Push) -> Result<BuildId, WatchError> {
        let delivery = {
            let home = self.home();
            let delivery = delivery::of(&self.name, push, &home.secret(&self.name));
            let headers = home.private(&format!("{}.headers", self.name), delivery.header_lines().as_bytes())?;
            let body = home.private(&format!("{}.json", self.name), &delivery.body)?;
            let (headers, body) = (quoted(&headers), quoted(&body));
            self.say(&format!("hook: curl -H @{headers} --data-binary @{body} {}/hook", self.base));
            delivery
        };
        let answer = self.forge.deliver(&delivery.headers, delivery.body).await?;
        self.build_of(&answer).await
    }

    async fn trigger(&self, head: &Head) -> Result<BuildId, WatchError> {
        let wanted = json!({ "repo": address_of(&self.name), "ref": head.git_ref, "commit": head.commit });
        let answer = self.person.trigger(&wanted, None).await?;
        self.build_of(&answer).await
    }

    /// The build that an answer names, or that its claim comes to.
    async fn build_of(&self, answer: &Value) -> Result<BuildId, WatchError> {
        let claim = text(answer, "claim").to_owned();
        let mut known = answer.clone();
        let deadline = Instant::now() + BUILD_WITHIN;
        loop {
            if let Ok(build) = text(&known, "build").parse() {
                return Ok(build);
            }
            if claim.is_empty() || Instant::now() > deadline {
                return Err(WatchError::NoBuild);
            }
            sleep(VERDICT_LOOK).await;
            known = self.person.status(&["builds", "claim", &claim]).await?;
        }
    }

    async fn status(&self, build: &BuildId) -> Result<Value, AlbatrosError> {
        self.person.status(&["builds", build.builder(), build.child()]).await
    }

    /// Prints both streams as they come, then the verdict, then where to look.
    async fn show(&self, build: &BuildId) -> Result<u8, WatchError> {
        let script = |stream| self.stream(build, EXECUTOR, stream);
        let (out, err) = tokio::join!(script(LogStream::Stdout), script(LogStream::Stderr));
        out.and(err)?;
        let known = self.verdict(build).await?;
        if word(&known) == INFRA {
            for task in TASKS_THAT_SAY_WHY {
                self.stream(build, task, LogStream::Stderr).await?;
            }
        }
        self.say(&format!("{}: {} ({build})", word(&known), text(&known, "reason")));
        self.show_artifacts(build).await;
        let workspace = self.kept.workspace(&address_of(&self.name));
        if FAILED.contains(&word(&known)) && workspace.exists() {
            self.say(&format!("the workspace is kept in {} until the next one is", quoted(&workspace)));
        }
        Ok(code(word(&known)))
    }

    /// How what the build has left is downloaded.
    async fn show_artifacts(&self, build: &BuildId) {
        // The verdict stands without them.
        let listed = self.person.artifacts(&["builds", build.builder(), build.child()]).await.unwrap_or_default();
        for id in listed.iter().map(|artifact| text(artifact, "id")).filter(|id| !id.is_empty()) {
            let (builder, child) = (build.builder(), build.child());
            self.say(&format!("artifact {id}: curl -OJ '{}/builds/{builder}/{child}/artifacts/{id}'", self.base));
        }
    }

    async fn verdict(&self, build: &BuildId) -> Result<Value, WatchError> {
        let mut deadline = Instant::now() + VERDICT_WITHIN;
        let mut seen = false;
        loop {
            let known = self.status(build).await?;
            if ended(&known) && !seen {
                (seen, deadline) = (true, Instant::now() + RECORD_WITHIN);
            }
            let late = Instant::now() > deadline;
            if ended(&known) && (late || known.get("finished").is_some_and(Value::is_string)) {
                return Ok(known);
            }
            if late {
                return Err(WatchError::NoVerdict);
            }
            sleep(VERDICT_LOOK).await;
        }
    }

    async fn stream(&self, build: &BuildId, task: &str, stream: LogStream) -> Result<(), AlbatrosError> {
        let name = match stream {
            LogStream::Stdout => "stdout",
            LogStream::Stderr => "stderr",
        };
        let mut log = self.person.log(&[("job", build.as_str()), ("task", task), ("log", name), ("raw", "1")]).await?;
        let mut printer = self.terminal.printer(stream, self.prefixed.then(|| self.name.clone()));
        // A log that is cut off is followed by the verdict all the same.
        while let Ok(Some(bytes)) = log.chunk().await {
            printer.print(&bytes);
        }
        printer.finish();
        Ok(())
    }

    fn home(&self) -> std::sync::MutexGuard<'_, Home> {
        self.home.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn say(&self, line: &str) {
        match self.prefixed {
            true => self.terminal.say(&format!("{}: {line}", self.name)),
            false => self.terminal.say(line),
        }
    }

    fn complain(&self, error: &dyn std::error::Error) {
        let mut line = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            line.push_str(&format!(": {error}"));
            cause = error.source();
        }
        self.say(&line);
    }
}

fn text<'a>(known: &'a Value, name: &str) -> &'a str {
    known.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn ended(known: &Value) -> bool {
    known.get("ended") == Some(&Value::Bool(true))
}

fn word(known: &Value) -> &str {
    text(known, "state")
}

/// Claimed before this delivery was sent.
fn is_older(known: &Value, sent: Timestamp) -> bool {
    text(known, "created").parse::<Timestamp>().is_ok_and(|created| created < sent)
}

/// As in `--help`.
fn code(word: &str) -> u8 {
    match word {
        "success" => 0,
        "failure" | "oom" => 1,
        "cancelled" => 4,
        "timeout" => 5,
        _ => INFRASTRUCTURE,
    }
}
