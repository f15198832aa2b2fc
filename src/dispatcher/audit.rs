//! One line a decision: who asked for what, what was decided, and why; never a token, and nothing of a stranger that is
//! not bounded. Those of callers without a credential that holds are the business of [`super::refusals`].
//!
//! The target is [`TARGET`], the message one word for what was decided on, and the fields have the same names
//! everywhere. Text is always a value of a field: there it is written in quotes and escaped, so that nobody can make up
//! a line by what he calls a branch.

use super::answer::Problem;
use super::metrics::{HookForge, HookResult};
use crate::api::meter::label_words;
use crate::domain::event::{Change, EventKind};
use crate::domain::plan::Plan;
use crate::domain::record::Record;

/// What these lines are filtered by.
pub(crate) const TARGET: &str = "albatros::audit";
/// So many characters of a text stand in a line: real ones are shorter.
const TEXT: usize = 256;

/// Whose credential let somebody act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    /// One of the repository's `tokens.act`.
    Repository,
    /// `hook.token`, where the repository has no `tokens`.
    Hook,
    /// The instance's own.
    Instance,
}

label_words!(Whose {
    Repository => "a token of the repository",
    Hook => "the hook's token",
    Instance => "a token of the instance",
});

/// Who acts, as far as his credential says so: a bearer has no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Actor {
    pub(crate) whose: Whose,
    /// By a form of a page, with the cookie of who has signed in.
    pub(crate) by_form: bool,
}

impl Actor {
    fn way(self) -> &'static str {
        if self.by_form { "form" } else { "bearer" }
    }
}

/// Who asks for a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// A forge's delivery.
    Delivery(HookForge),
    /// A person or a schedule.
    Trigger(Actor),
    /// A person, for a change that is over.
    Retry(Actor),
}

impl Asked {
    fn what(self) -> &'static str {
        match self {
            Self::Delivery(_) => "delivery",
            Self::Trigger(_) => "trigger",
            Self::Retry(_) => "retry",
        }
    }
}

/// The fields of a line; what is none is left out.
#[derive(Debug, Default)]
pub(crate) struct Line<'a> {
    pub(crate) verdict: &'a str,
    /// Why it was decided so.
    pub(crate) reason: Option<&'a str>,
    pub(crate) forge: Option<HookForge>,
    pub(crate) by: Option<Actor>,
    pub(crate) repo: Option<&'a str>,
    pub(crate) event: Option<EventKind>,
    pub(crate) git_ref: Option<&'a str>,
    pub(crate) commit: Option<&'a str>,
    pub(crate) flavor: Option<&'a str>,
    pub(crate) sender: Option<&'a str>,
    pub(crate) trusted: Option<bool>,
    /// Why it is trusted, or not.
    pub(crate) why: Option<&'a str>,
    /// Secrets were handed over.
    pub(crate) secrets: Option<bool>,
    pub(crate) claim: Option<&'a str>,
    /// The change that it builds again, or belongs to.
    pub(crate) of: Option<&'a str>,
}

impl<'a> Line<'a> {
    /// Of a change that has a record.
    pub(crate) fn of_record(record: &'a Record) -> Self {
        Self {
            repo: Some(&record.canonical),
            event: Some(record.event),
            git_ref: Some(&record.git_ref),
            commit: Some(record.commit.as_str()),
            flavor: Some(record.flavor.as_str()),
            sender: Some(&record.sender.login),
            trusted: Some(record.trusted),
            ..Self::default()
        }
    }

    /// Writes it.
    pub(crate) fn write(self, what: &'static str) {
        let text = |text: Option<&str>| text.map(bounded);
        tracing::info!(
            target: TARGET,
            verdict = self.verdict,
            reason = text(self.reason),
            forge = self.forge.map(HookForge::word),
            by = self.by.map(|by| by.whose.word()),
            way = self.by.map(Actor::way),
            repo = text(self.repo),
            event = self.event.map(|event| event.as_str()),
            r#ref = text(self.git_ref),
            commit = text(self.commit),
            flavor = text(self.flavor),
            sender = text(self.sender),
            trusted = self.trusted,
            why = text(self.why),
            secrets = self.secrets,
            claim = text(self.claim),
            of = text(self.of),
            "{what}"
        );
    }
}

/// What somebody else has written, as far as it goes into a line.
pub(crate) fn bounded(text: &str) -> String {
    text.chars().take(TEXT).collect()
}

/// What is decided on a change that is claimed or was claimed before.
#[derive(Debug)]
pub(crate) struct Claiming {
    asked: Asked,
    plan: Plan,
}

impl Claiming {
    pub(crate) fn of(asked: Asked, plan: &Plan) -> Self {
        Self { asked, plan: plan.clone() }
    }

    /// Writes the one line. `reason` is why it is not built, where that was decided.
    pub(crate) fn decided<T>(&self, came: &Result<(HookResult, T), Problem>, reason: Option<&str>) {
        let (asked, plan) = (self.asked, &self.plan);
        let (forge, by) = match asked {
            Asked::Delivery(forge) => (Some(forge), None),
            Asked::Trigger(by) | Asked::Retry(by) => (None, Some(by)),
        };
        let (verdict, reason) = match came {
            Ok((result, _)) => (*result, reason),
            Err(problem) => (HookResult::of_status(problem.status), Some(problem.sentence.as_str())),
        };
        Line {
            verdict: verdict.word(),
            reason,
            forge,
            by,
            repo: Some(&plan.canonical),
            flavor: Some(plan.flavor.as_str()),
            trusted: Some(plan.trust.trusted),
            why: Some(&plan.trust.why),
            claim: Some(plan.claim.as_str()),
            of: plan.retry_of.as_ref().map(|of| of.as_str()),
            ..of_change(&plan.change)
        }
        .write(asked.what());
    }
}

fn of_change(change: &Change) -> Line<'_> {
    Line {
        event: Some(change.kind),
        git_ref: Some(&change.git_ref),
        commit: Some(change.commit.as_str()),
        sender: Some(&change.sender.login),
        ..Line::default()
    }
}

/// A delivery, as far as it was heard before anything was claimed.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) forge: HookForge,
    pub(crate) repo: Option<String>,
    /// Its signature or token holds.
    pub(crate) verified: bool,
    pub(crate) event: Option<EventKind>,
    pub(crate) change: Option<Box<Change>>,
    /// What comes of it is told where it is claimed.
    pub(crate) handed_on: bool,
}

impl Heard {
    pub(crate) fn new(forge: HookForge) -> Self {
        Self { forge, repo: None, verified: false, event: None, change: None, handed_on: false }
    }

    /// Writes the one line of a delivery whose sender is known, unless it is written elsewhere.
    pub(crate) fn decided(&self, verdict: HookResult, reason: &str) {
        if self.handed_on || !self.verified {
            return;
        }
        let change = self.change.as_deref().map(of_change).unwrap_or_default();
        Line {
            verdict: verdict.word(),
            reason: Some(reason),
            forge: Some(self.forge),
            repo: self.repo.as_deref(),
            event: change.event.or(self.event),
            ..change
        }
        .write("delivery");
    }
}
