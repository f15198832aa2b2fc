//! How a build comes by its session: its controller asks serve until there is an answer, or until it is too late.

use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::session::Session;
use super::{SharedApp, Source};
use crate::api::session::{SessionError, SessionServer};
use crate::domain::id::ClaimId;
use crate::domain::problem;
use crate::domain::secret::Secret;

/// The first pause between two tries, and the longest.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// However long serve asks to be left alone, it is asked again by then.
const LONGEST_ASKED: Duration = Duration::from_secs(30);
/// serve is not reached, or says "not yet", for so long: the build is given up.
const PATIENCE: Duration = Duration::from_secs(10 * 60);
/// The forge cannot be asked for so long.
const FORGE_PATIENCE: Duration = Duration::from_secs(60 * 60);
/// Nomad renews the identity's file while it is read, and serve the keys it is checked with: this often 401 is no answer.
const DOUBTS: u32 = 3;
/// A reason is logged again after so long, though it is still the same.
const SAID_EVERY: Duration = Duration::from_secs(60);
/// An identity is a few hundred bytes.
const IDENTITY_MOST: u64 = 64 * 1024;

/// Decides the build's session, once.
pub(super) async fn decide(app: SharedApp, source: Source, secret: Secret) {
    let session = match source {
        Source::Given { grant, .. } => Session::granted(*grant),
        Source::Nowhere(reason) => Session::without(reason),
        Source::Server { server, claim, identity } => {
            Exchange { server, claim, secret, begun: Instant::now() }.run(&identity).await
        }
    };
    match &session {
        Session::Granted(granted) => {
            tracing::info!(trusted = granted.grant.facts.trusted, "the build has its session");
        }
        Session::Without(reason) => tracing::warn!(%reason, "the build runs without a session"),
        Session::Refused(dead) => tracing::error!(reason = %dead.sentence, "the build cannot go on"),
        Session::Waiting => {}
    }
    app.session.send_replace(session);
}

struct Exchange {
    server: SessionServer,
    claim: ClaimId,
    secret: Secret,
    begun: Instant,
}

/// What one try came to.
enum Tried {
    Decided(Session),
    /// Try again; `forge`: serve is there, and only the forge cannot be asked.
    Again {
        why: String,
        forge: bool,
        asked: Option<Duration>,
    },
    /// 401: try again, but not for long.
    Doubted(String),
}

impl Exchange {
    async fn run(&self, identity: &Path) -> Session {
        let (mut pause, mut said, mut doubts) = (Pause::default(), Said::default(), 0);
        // Since when serve gives no answer of any worth.
        let mut silent = self.begun;
        loop {
            let (why, asked) = match self.once(identity).await {
                Tried::Decided(session) => return session,
                Tried::Doubted(why) => {
                    doubts += 1;
                    if doubts >= DOUBTS {
                        return Session::without(format!("serve does not take the controller's identity: {why}"));
                    }
                    (why, None)
                }
                Tried::Again { why, forge, asked } => {
                    let now = Instant::now();
                    if forge {
                        silent = now;
                    }
                    if now - silent >= PATIENCE || now - self.begun >= FORGE_PATIENCE {
                        return Session::no_answer(format!("serve gave no session in time: {why}"));
                    }
                    (why, asked)
                }
            };
            said.say(&why);
            sleep(pause.next(asked)).await;
        }
    }

    async fn once(&self, identity: &Path) -> Tried {
        let jwt = match read_identity(identity) {
            Ok(jwt) => jwt,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Tried::Decided(Session::without(
                    "the task has no identity: its builder needs a block `identity` with the name albatros, and file = true",
                ));
            }
            Err(error) => return Tried::Doubted(format!("the identity's file cannot be read ({error})")),
        };
        match self.server.exchange(&jwt, &self.claim, &self.secret).await {
            Ok(grant) => Tried::Decided(Session::granted(grant)),
            Err(error) => refused(&error),
        }
    }
}

/// What a refusal means for the build.
fn refused(error: &SessionError) -> Tried {
    let (problem, asked) = match error {
        SessionError::NoAnswer(cause) => {
            return Tried::Again { why: format!("{error}: {cause}"), forge: false, asked: None };
        }
        SessionError::Refused { problem, retry_after } => (problem, *retry_after),
    };
    let said = &problem.detail;
    match problem.status {
        401 => Tried::Doubted(said.clone()),
        403 => Tried::Decided(Session::without(format!("serve refuses a session: {said}"))),
        404 => Tried::Decided(Session::without("serve knows no sessions: it is older than this build's tools")),
        409 => Tried::Decided(Session::without(format!("the build's session is somebody else's: {said}"))),
        410 => Tried::Decided(Session::without(format!("the build has ended: {said}"))),
        422 if problem.kind == problem::COMMIT_GONE => Tried::Decided(Session::commit_gone(said)),
        422 if problem.kind == problem::NO_ANSWER => Tried::Decided(Session::no_answer(said.clone())),
        408 | 429 => Tried::Again { why: said.clone(), forge: false, asked },
        400..=499 => Tried::Decided(Session::without(format!("serve refuses a session: {said}"))),
        _ => Tried::Again { why: said.clone(), forge: problem.kind == problem::FORGE, asked },
    }
}

fn read_identity(path: &Path) -> std::io::Result<Secret> {
    use std::io::Read as _;
    let mut text = String::new();
    std::fs::File::open(path)?.take(IDENTITY_MOST).read_to_string(&mut text)?;
    Ok(Secret::new(text.trim()))
}

/// Pauses that grow from [`PAUSE`] to [`LONGEST_PAUSE`].
#[derive(Debug)]
pub(super) struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Self(PAUSE)
    }
}

impl Pause {
    /// The next one; at least what the other side asked for, within bounds.
    pub(super) fn next(&mut self, asked: Option<Duration>) -> Duration {
        let now = self.0;
        self.0 = (now * 2).min(LONGEST_PAUSE);
        now.max(asked.unwrap_or_default().min(LONGEST_ASKED))
    }
}

/// The log's memory: a reason is told when it changes, and now and then.
#[derive(Debug, Default)]
struct Said(Option<(String, Instant)>);

impl Said {
    fn say(&mut self, why: &str) {
        let fresh = self.0.as_ref().is_none_or(|(last, at)| last != why || at.elapsed() >= SAID_EVERY);
        if fresh {
            tracing::warn!(reason = why, "no session yet");
            self.0 = Some((why.to_owned(), Instant::now()));
        }
    }
}
