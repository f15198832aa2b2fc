//! From a plan to a claim, and from there to an answer in time: whatever goes wrong behind the claim, the follower
//! goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::http::StatusCode;
use tokio::time::Instant;

use super::answer::{Answer, Handed, Problem};
use super::audit::{Asked, Claiming};
use super::dispatch::{self, AdvanceError, Advanced};
use super::hook::registry_down;
use super::metrics::HookResult;
use super::{SharedApp, approvals, held};
use crate::domain::config::RepoConfig;
use crate::domain::id::{BuildId, ClaimId};
use crate::domain::outcome::Outcome;
use crate::domain::plan::{self, Plan};
use crate::domain::record::{ApprovedBy, Done, Phase, Record, Undecided};
use crate::domain::status;
use crate::registry::{Claimed, Stored, Written};

/// How long a loser of the claim waits for the winner's build id.
const WINNER_WITHIN: Duration = Duration::from_millis(500);
/// How often it looks.
const WINNER_LOOK: Duration = Duration::from_millis(25);
/// How long the answer waits for the dispatch; later the claim's address is answered.
const DISPATCHED_WITHIN: Duration = Duration::from_millis(1500);

/// What is said of a change that the follower lets through.
const WAITS: &str = "accepted: waiting for its turn";

/// A plan that is to be claimed.
#[derive(Debug)]
pub(crate) struct Submission {
    pub(crate) plan: Plan,
    pub(crate) config: RepoConfig,
    pub(crate) begin: Begin,
    pub(crate) asked: Asked,
}

/// How a change begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Begin {
    /// Nobody has to approve it.
    Go,
    /// It waits for approval.
    Held,
    /// It would wait, had it not been approved already.
    Approved(ApprovedBy),
    /// It is not built, and why; the forge is told so that no required check waits for it.
    Skipped(String),
}

impl Submission {
    /// How its record begins.
    fn phase(&self) -> Phase {
        match &self.begin {
            Begin::Go | Begin::Approved(_) => let_through(&self.config, self.plan.undecided),
            Begin::Held => Phase::Held,
            Begin::Skipped(reason) => Phase::Ended { outcome: Outcome::Skipped { reason: reason.clone() } },
        }
    }
}

/// The phase of a change that nobody has to approve (any more): to be dispatched at once, or the follower's to let through.
pub(crate) fn let_through(config: &RepoConfig, undecided: Option<Undecided>) -> Phase {
    if undecided.is_some() || config.concurrency.is_limited() { Phase::Waiting } else { Phase::Claimed }
}

/// Claims and dispatches. The work goes on when the caller hangs up, and when it takes longer than until `answer_by`.
pub(crate) async fn submit(
    app: &SharedApp,
    submission: Submission,
    answer_by: Instant,
) -> Result<(HookResult, Answer), Problem> {
    let claim = submission.plan.claim.clone();
    let taken = Arc::new(AtomicBool::new(false));
    let work = tokio::spawn({
        let (app, taken) = (SharedApp::clone(app), Arc::clone(&taken));
        async move { decided(&app, submission, &taken).await }
    });
    match tokio::time::timeout_at(answer_by, work).await {
        Ok(answer) => answer.unwrap_or_else(|error| {
            tracing::error!(%error, "a delivery's task failed");
            Err(Problem::unavailable("the delivery could not be handled; deliver again"))
        }),
        Err(_elapsed) if taken.load(Ordering::Acquire) => {
            Ok((HookResult::Accepted, at_claim(app, &claim, "accepted: waiting for Nomad")))
        }
        Err(_elapsed) => Err(Problem::unavailable("the change could not be claimed in time; deliver again")),
    }
}

/// Here, and not where the answer is sent: who hangs up does not take the line with him.
async fn decided(app: &SharedApp, submission: Submission, taken: &AtomicBool) -> Result<(HookResult, Answer), Problem> {
    let claiming = Claiming::of(submission.asked, &submission.plan);
    let reason = match &submission.begin {
        Begin::Skipped(reason) => Some(reason.clone()),
        Begin::Held => Some("a pull request waits for approval".to_owned()),
        Begin::Approved(ApprovedBy::Always) => Some("its sender is approved always".to_owned()),
        Begin::Approved(ApprovedBy::Person) | Begin::Go => None,
    };
    let came = claim_and_dispatch(app, submission, taken).await;
    claiming.decided(&came, reason.as_deref());
    came
}

async fn claim_and_dispatch(
    app: &SharedApp,
    submission: Submission,
    taken: &AtomicBool,
) -> Result<(HookResult, Answer), Problem> {
    let phase = submission.phase();
    let Submission { plan, config, begin, .. } = submission;
    let mut record = plan::record(&plan, phase, nonce()?, jiff::Timestamp::now());
    if let Begin::Approved(by) = begin {
        (record.approved, record.approved_by) = (Some(record.created), Some(by));
    }
    let claim = plan.claim.clone();
    match app.registry.claim(&claim, &record).await.map_err(|error| registry_down(&error))? {
        Claimed::Done(done) => Ok((HookResult::Duplicate, already_built(app, &claim, &done))),
        Claimed::Open(stored) => Ok((HookResult::Duplicate, another_has_it(app, &claim, *stored).await)),
        Claimed::Won(index) => {
            taken.store(true, Ordering::Release);
            if let Err(problem) = held::supersede(app, &record, &config).await {
                // The claim is written, so this delivery is taken; an older change that stays held can be cancelled.
                tracing::warn!(claim = claim.as_str(), %problem, "older changes of the pull request stay held");
            }
            match begin {
                Begin::Approved(ApprovedBy::Always) if approvals::standing(app, &plan).await.is_none() => {
                    // Revoked while this was being claimed: who revokes looks for claims behind his write.
                    let held = Record { phase: Phase::Held, approved: None, approved_by: None, ..record.clone() };
                    let written = app.registry.update(&claim, &held, index, None).await;
                    if matches!(written, Ok(Written::Yes(_))) {
                        return Ok((HookResult::Held, at_claim(app, &claim, "held: waiting for approval")));
                    }
                }
                Begin::Go | Begin::Approved(_) => {}
                Begin::Held => return Ok((HookResult::Held, at_claim(app, &claim, "held: waiting for approval"))),
                Begin::Skipped(reason) => return Ok((HookResult::Skipped, skipped(&claim, &reason))),
            }
            if record.phase == Phase::Waiting {
                return Ok((HookResult::Accepted, at_claim(app, &claim, WAITS)));
            }
            dispatch_in_time(app, claim, Stored { value: record, index }, config).await
        }
    }
}

/// What is said of a change that is not built.
fn skipped(claim: &ClaimId, reason: &str) -> Answer {
    Answer::new(
        StatusCode::OK,
        format!("skipped: {reason}"),
        Handed { claim: Some(claim.clone()), skipped: Some(reason.to_owned()), ..Handed::default() },
    )
}

/// Dispatches; an answer that takes too long goes on behind the caller's back.
pub(crate) async fn dispatch_in_time(
    app: &SharedApp,
    claim: ClaimId,
    stored: Stored<Record>,
    config: RepoConfig,
) -> Result<(HookResult, Answer), Problem> {
    let work = tokio::spawn({
        let (app, claim) = (SharedApp::clone(app), claim.clone());
        async move { dispatch::advance(&app, &claim, stored, &config).await }
    });
    let Ok(Ok(advanced)) = tokio::time::timeout(DISPATCHED_WITHIN, work).await else {
        return Ok((HookResult::Accepted, at_claim(app, &claim, "accepted: waiting for Nomad")));
    };
    match advanced {
        Ok(Advanced::Dispatched(build)) => Ok((HookResult::Built, built(app, &claim, &build))),
        Ok(Advanced::Elsewhere(stored)) => Ok((HookResult::Duplicate, another_has_it(app, &claim, *stored).await)),
        Ok(Advanced::Gone) => Ok((HookResult::Accepted, at_claim(app, &claim, "accepted"))),
        Err(AdvanceError::Permanent(sentence) | AdvanceError::NotOurs(sentence)) => {
            Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, sentence))
        }
        Err(AdvanceError::Passing(error)) => {
            tracing::warn!(claim = claim.as_str(), error = &*error as &dyn std::error::Error, "to be dispatched later");
            Ok((HookResult::Accepted, at_claim(app, &claim, "accepted: waiting for Nomad")))
        }
    }
}

/// The build's id, one a line, as the original answered.
fn built(app: &SharedApp, claim: &ClaimId, build: &BuildId) -> Answer {
    app.known.remember(build, claim);
    Answer::new(StatusCode::OK, build.as_str(), handed(app, claim, Some(build)))
}

fn handed(app: &SharedApp, claim: &ClaimId, build: Option<&BuildId>) -> Handed {
    let log = |build: &BuildId| app.link(&format!("/build?job={}&log=stdout", url_encoded(build.as_str())));
    Handed { build: build.cloned(), claim: Some(claim.clone()), log: build.map(log), ..Handed::default() }
}

pub(crate) fn already_built(app: &SharedApp, claim: &ClaimId, done: &Done) -> Answer {
    let (build, word) = (done.build.as_ref(), done.outcome.word());
    if let Some(build) = build {
        app.known.remember(build, claim);
    }
    let lines = build.map(ToString::to_string).into_iter().chain([format!("already built: {word}")]).collect();
    Answer::of_lines(StatusCode::OK, lines, Handed { already_built: Some(word), ..handed(app, claim, build) })
}

/// Somebody else has the claim: his build's id if it comes in time.
async fn another_has_it(app: &SharedApp, claim: &ClaimId, first: Stored<Record>) -> Answer {
    let mut record = first.value;
    let deadline = Instant::now() + WINNER_WITHIN;
    loop {
        match (&record.phase, &record.build) {
            (Phase::Held, _) => return at_claim(app, claim, "held: waiting for approval"),
            (Phase::Waiting, _) => return at_claim(app, claim, WAITS),
            (Phase::Claimed | Phase::Dispatched, Some(build)) => return built(app, claim, build),
            (Phase::Ended { outcome }, Some(build)) => {
                let mut answer = built(app, claim, build);
                answer.lines.push(format!("already built: {}", outcome.word()));
                return answer;
            }
            (Phase::Ended { outcome: Outcome::Skipped { reason } }, None) => return skipped(claim, reason),
            (Phase::Ended { outcome }, None) => {
                let why = status::sentence(outcome, None);
                let what = format!("ended before it was built: {why}; deliver it again once that is reported");
                return at_claim(app, claim, &what);
            }
            (Phase::Claimed | Phase::Dispatched, None) => {}
        }
        if Instant::now() >= deadline {
            return at_claim(app, claim, "accepted: waiting for Nomad");
        }
        tokio::time::sleep(WINNER_LOOK).await;
        match app.registry.open(claim).await {
            Ok(Some(stored)) => record = stored.value,
            Ok(None) | Err(_) => return at_claim(app, claim, "accepted"),
        }
    }
}

/// 202 and where to look.
pub(crate) fn at_claim(app: &SharedApp, claim: &ClaimId, what: &str) -> Answer {
    let address = app.link(&format!("/builds/claim/{claim}"));
    let lines = vec![address.clone(), what.to_owned()];
    let handed = Handed {
        claim: Some(claim.clone()),
        address: Some(address),
        state: Some(what.to_owned()),
        ..Handed::default()
    };
    Answer::of_lines(StatusCode::ACCEPTED, lines, handed)
}

/// What tells our own write of a claim from another's.
pub(crate) fn nonce() -> Result<String, Problem> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        tracing::error!(%error, "no random bytes");
        Problem::unavailable("the delivery could not be handled; deliver again")
    })?;
    Ok(hex::encode(bytes))
}

/// One query value.
pub(crate) fn url_encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
