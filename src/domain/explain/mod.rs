//! What would happen to a delivery and why, with nothing done: the steps of `serve`, in its order.

mod file;
mod given;
mod runner;

use std::collections::BTreeMap;
use std::error::Error;

use serde::Serialize;

use super::builder::{ALWAYS, BuilderError, BuilderShape};
use super::config::RepoConfig;
use super::delivery::{self, Incoming};
use super::event::{Change, Event, EventKind, PullOrigin};
use super::id::{BuilderName, ClaimId, Flavor};
use super::json::shown;
use super::plan::{self, Asked, Plan, Planned, Site};
use super::repo_url::RepoUrl;
use super::skip;
use super::trust::{self, Trust};
use super::verify::{self, Verified};

pub use file::{BuilderFile, DeliveryFile, FileError};

/// The answer's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// A build would be dispatched, or a runner for a job of a workflow.
    Build,
    /// It would wait for `approve`.
    Held,
    /// It would not be built, and the forge would be told so.
    Skipped,
    /// Nothing would be done.
    Ignored,
    /// It would be answered with an error.
    Refused,
}

impl Decision {
    /// What `albatros explain` exits with.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Build => 0,
            Self::Held => 9,
            Self::Ignored => 10,
            Self::Refused => 11,
            Self::Skipped => 12,
        }
    }
}

/// The answer. `builder`, `meta` and `claim` are there for [`Decision::Build`] and [`Decision::Held`] only; of a runner the
/// builder alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The word.
    pub decision: Decision,
    /// The sentence.
    pub reason: String,
    /// The kind of change, where it came to that.
    pub event: Option<EventKind>,
    /// Whether the build would see the repository's secrets.
    pub trusted: bool,
    /// Why, or why not.
    pub why_trusted: String,
    /// The builder.
    pub builder: Option<BuilderName>,
    /// What would be sent as meta.
    pub meta: Option<BTreeMap<String, String>>,
    /// The claim.
    pub claim: Option<ClaimId>,
    /// What the build would be given, a sentence a thing: names of parameters, never their values.
    pub given: Vec<String>,
    /// What the forge would be asked first, a sentence a thing: it may turn out that nothing is built. Often nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub asks: Vec<String>,
}

/// What `serve` takes unless told otherwise (`ALBATROS_BODY_LIMIT`).
pub const BODY_LIMIT: usize = 8 * 1024 * 1024;

impl Explanation {
    fn nothing(decision: Decision, event: Option<EventKind>, reason: impl Into<String>) -> Self {
        Self {
            decision,
            reason: reason.into(),
            event,
            trusted: false,
            why_trusted: "nothing is built".to_owned(),
            builder: None,
            meta: None,
            claim: None,
            given: Vec::new(),
            asks: Vec::new(),
        }
    }

    fn refused(event: Option<EventKind>, why: &dyn Error) -> Self {
        Self::nothing(Decision::Refused, event, sentence(why))
    }
}

/// An error with what lies beneath it, for people who may see all of it.
#[must_use]
pub fn sentence(why: &dyn Error) -> String {
    let mut sentence = why.to_string();
    let mut below = why.source();
    while let Some(one) = below {
        sentence.push_str(": ");
        sentence.push_str(&one.to_string());
        below = one.source();
    }
    sentence
}

/// Goes the way of a delivery up to where `serve` would write the first thing.
#[must_use]
pub fn explain(config: &[u8], file: &DeliveryFile, builder: Option<&BuilderFile>) -> Explanation {
    walk(config, file, builder).unwrap_or_else(|refused| *refused)
}

fn walk(config: &[u8], file: &DeliveryFile, builder: Option<&BuilderFile>) -> Result<Explanation, Box<Explanation>> {
    let refuse = |why: &dyn Error| Box::new(Explanation::refused(None, why));
    let refuse_text = |why: &str| Box::new(Explanation::nothing(Decision::Refused, None, why));
    if !file.is_post() {
        return Err(refuse_text("only POST is taken"));
    }
    if file.body().len() > BODY_LIMIT {
        return Err(refuse_text("the body is larger than 8 MiB"));
    }
    let incoming = file.incoming();
    let json = delivery::json_text(&incoming).map_err(|why| refuse(&why))?;
    let url = delivery::peek(&json).map_err(|why| refuse(&why))?;
    let config = RepoConfig::parse(config).map_err(|why| refuse(&why))?;
    let verified = verified(file, &incoming, &json, &config).map_err(|why| refuse(&why))?;
    let flavor = incoming.flavor().map_err(|why| refuse(&why))?;
    let event = delivery::parse(&incoming, &verified).map_err(|why| refuse(&why))?;
    match event {
        Event::Change(change) => Ok(planned(&change, &config, (&url, &flavor), builder)),
        Event::PullClosed { reason, .. } => {
            Ok(Explanation::nothing(Decision::Ignored, Some(EventKind::PullRequest), reason))
        }
        Event::Job(job) => Ok(runner::explained(&job, &config)),
        Event::Test => Ok(Explanation::nothing(Decision::Ignored, None, delivery::TEST)),
        Event::Ignored { kind, reason } => Ok(Explanation::nothing(Decision::Ignored, kind, reason)),
    }
}

fn verified<'a>(
    file: &DeliveryFile,
    incoming: &Incoming<'_>,
    json: &'a [u8],
    config: &RepoConfig,
) -> Result<Verified<'a>, verify::Refused> {
    match file {
        DeliveryFile::Bare(_) => Ok(Verified::unsigned_for_explain(json)),
        DeliveryFile::Request { .. } => verify::verify(incoming, json, config),
    }
}

fn planned(
    change: &Change,
    config: &RepoConfig,
    (url, flavor): (&RepoUrl, &Flavor),
    builder: Option<&BuilderFile>,
) -> Explanation {
    let site = builder.map_or_else(Site::default, |builder| builder.site.clone());
    let trust = trust::decide(change, config);
    let asked = Asked {
        change,
        trust: &trust,
        config,
        repo: url.sent(),
        canonical: url.canonical(),
        flavor,
        site: &site,
        salt: None,
    };
    let shape = builder.map(|builder| builder.shape.as_ref());
    match plan::plan(&asked) {
        Planned::Build(plan) => fitted(Decision::Build, plan, config, shape),
        Planned::Held(plan) => fitted(Decision::Held, plan, config, shape),
        Planned::Skipped(plan, why) => {
            let what = format!("{}: {why}", reason(&plan.change));
            Explanation::nothing(Decision::Skipped, Some(change.kind), what)
        }
        Planned::Ignored(reason) => Explanation::nothing(Decision::Ignored, Some(change.kind), reason),
        Planned::Refused(reason) => Explanation::nothing(Decision::Refused, Some(change.kind), reason),
    }
}

fn fitted(
    decision: Decision,
    plan: Plan,
    config: &RepoConfig,
    shape: Option<Result<&BuilderShape, &BuilderError>>,
) -> Explanation {
    let meta = match shape {
        None => Ok(four(&plan.meta)),
        Some(Err(why)) => Err(why.to_string()),
        Some(Ok(shape)) => plan::fit(&plan.meta, shape, plan.trust.trusted, config).map(|fitted| fitted.meta),
    };
    let mut reason = reason(&plan.change);
    if decision == Decision::Held {
        reason.push_str(", waits for approval");
    }
    let meta = match (meta, decision) {
        (Ok(meta), _) => meta,
        (Err(why), Decision::Held) => {
            reason.push_str(&format!("; then it would be refused: {why}"));
            four(&plan.meta)
        }
        (Err(why), _) => return Explanation::nothing(Decision::Refused, Some(plan.change.kind), why),
    };
    let given = given::given(&plan, config, shape.and_then(Result::ok));
    let asks = asks(&plan);
    let Trust { trusted, why } = plan.trust;
    Explanation {
        decision,
        reason,
        event: Some(plan.change.kind),
        trusted,
        why_trusted: why,
        builder: Some(plan.builder),
        meta: Some(meta),
        claim: Some(plan.claim),
        given,
        asks,
    }
}

/// Why it may be skipped all the same.
fn asks(plan: &Plan) -> Vec<String> {
    let Some(undecided) = plan.undecided else { return Vec::new() };
    let words = skip::WORDS.join(", ");
    let message = undecided.message.then(|| format!("the commit's message: not built if it holds {words}"));
    let files = undecided.files.then(|| "the files that it touches: `paths` and `paths_ignore` may say no".to_owned());
    message.into_iter().chain(files).collect()
}

/// What is planned for a builder that nobody has shown.
fn four(meta: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let has = |key: &str| ALWAYS.contains(&key);
    meta.iter().filter(|(key, _)| has(key)).map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn reason(change: &Change) -> String {
    let branch = shown(&change.branch);
    let commit = change.commit.short();
    let who = if change.sender.login.is_empty() { "nobody".to_owned() } else { shown(&change.sender.login) };
    match (change.kind, change.pull.as_ref()) {
        (EventKind::Push, _) => format!("branch {branch} was pushed at {commit} by {who}"),
        (EventKind::Tag, _) => format!("tag {branch} was pushed at {commit} by {who}"),
        (EventKind::WorkflowJob, _) => format!("a job of a workflow at {commit} by {who}"),
        (EventKind::PullRequest, None) => format!("a pull request at {commit} by {who}"),
        (EventKind::PullRequest, Some(pull)) => {
            let from = match pull.origin {
                PullOrigin::Fork => "from a fork",
                PullOrigin::Agit => "without a branch (AGit)",
                PullOrigin::Branch => "from a branch of the repository itself",
                PullOrigin::Gone => "from a repository that is gone",
            };
            format!("pull request {} {from}, at {commit} by {who}", pull.number)
        }
    }
}
