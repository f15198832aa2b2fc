//! A webhook's way: take, peek, look up, verify, parse, decide, claim, dispatch. Nothing is written before `claim`.

use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;

use super::answer::{Answer, Handed, Problem};
use super::audit::{self, Heard};
use super::claim::{Begin, Submission};
use super::metrics::{HookForge, HookLabel, HookResult};
use super::tested::Tests;
use super::{App, SharedApp, approvals, claim, held, runners};
use crate::domain::config::RepoConfig;
use crate::domain::delivery::{self, Class, DeliveryError, Incoming, Origin, Tested};
use crate::domain::event::{Event, EventKind};
use crate::domain::id::Flavor;
use crate::domain::plan::{self, Asked, Plan, Planned};
use crate::domain::repo_url::RepoUrl;
use crate::domain::runners::SeenJob;
use crate::domain::{trust, verify};
use crate::registry::{Entry, Found};

/// From the body's last byte to the answer: forges give up after 5 s, and Gitea holds up every other hook meanwhile.
const ANSWERED_WITHIN: Duration = Duration::from_millis(4500);
/// Of these, for all that comes before the claim.
const DECIDED_WITHIN: Duration = Duration::from_secs(3);

/// A delivery of a forge
///
/// A push, a tag or a pull request is claimed and dispatched. Forges show the answer: a build's id, one a line, or the
/// address of a change that waits, or why nothing is built. The same delivery again starts nothing.
#[utoipa::path(post, path = "/hook", tag = "forges", operation_id = "deliver",
    params(
        ("flavor" = Option<Flavor>, Query, description = "Which flavor of the repository's builders; `default`."),
        ("X-Gitea-Event" = Option<String>, Header, description = "What happened, by Gitea and Forgejo. No header: a push."),
        ("X-GitHub-Event" = Option<String>, Header, description = "What happened, by GitHub."),
    ),
    request_body(description = "What the forge sends, at most `ALBATROS_BODY_LIMIT`: 8 MiB.", content(
        (serde_json::Value = "application/json"), (String = "application/x-www-form-urlencoded"),
    )),
    responses(
        (status = 200, description = "Built, built already, skipped or ignored.",
            content((Handed = "application/json"), (String = "text/plain"))),
        (status = 202, description = "Accepted; it has no build yet, and the address says how it goes on.",
            content((Handed = "application/json"), (String = "text/plain"))),
        (status = 400, description = "It is no delivery."),
        (status = 401, description = "Unknown repository, or wrong credential."),
        (status = 408, description = "The body did not arrive in time."),
        (status = 413, description = "The body is too large."),
        (status = 415, description = "The body is neither JSON nor a form."),
        (status = 422, description = "A value that cannot be built, or a builder that cannot be dispatched."),
        (status = 503, description = "Nothing was claimed: deliver again."),
    ),
    security(
        ("giteaSignature" = []), ("forgejoSignature" = []), ("githubSignature" = []), ("hookToken" = []), ("bearer" = []),
    ),)]
pub(crate) async fn hook(State(app): State<SharedApp>, request: Request) -> Response {
    let began = Instant::now();
    let headers = request.headers().clone();
    let forge = HookForge::of(&headers);
    let mut heard = Heard::new(forge);
    let answer = handle(&app, request, &mut heard).await;
    let result = match &answer {
        Ok((result, answer)) => {
            heard.decided(*result, answer.lines.last().map_or("", String::as_str));
            *result
        }
        Err(problem) => {
            let result = HookResult::of_status(problem.status);
            heard.decided(result, &problem.sentence);
            if !heard.verified && result == HookResult::Refused {
                app.refusals.log_unread(heard.repo.as_deref(), &problem.sentence);
            }
            result
        }
    };
    app.metrics.hooks.get_or_create(&HookLabel { forge, result }).inc();
    app.metrics.hook_seconds.observe(began.elapsed().as_secs_f64());
    match answer {
        Ok((_, answer)) => answer.into_form(&headers),
        Err(problem) => problem.into_response(),
    }
}

async fn handle(app: &SharedApp, request: Request, heard: &mut Heard) -> Result<(HookResult, Answer), Problem> {
    let (parts, body) = request.into_parts();
    let body = app.bodies.take(body, &parts.headers, app.settings.body_limit).await?;
    let answer_by = tokio::time::Instant::now() + ANSWERED_WITHIN;
    let headers = text_headers(&parts.headers)?;
    let incoming = Incoming { headers: &headers, query: parts.uri.query().unwrap_or_default(), body: &body.bytes };
    let decided = tokio::time::timeout(DECIDED_WITHIN, decide(app, &incoming, heard)).await;
    let step =
        decided.map_err(|_elapsed| Problem::unavailable("the configuration cannot be read now; deliver again"))??;
    match step {
        Step::Ignored(reason) => Ok((HookResult::Ignored, Answer::ignored(&reason))),
        Step::Tested(tested) => {
            Tests::note(app, tested, answer_by).await;
            Ok((HookResult::Ignored, Answer::ignored(delivery::TEST)))
        }
        Step::PullClosed { canonical, number, reason } => {
            let end = tokio::time::timeout_at(answer_by, held::end_of_pull(app, &canonical, number, None)).await;
            end.map_err(|_elapsed| Problem::unavailable("what is held could not be ended in time; deliver again"))??;
            Ok((HookResult::Ignored, Answer::ignored(&reason)))
        }
        Step::Runner(found, job) => {
            let forge = heard.forge;
            let delivered = tokio::time::timeout_at(answer_by, runners::deliver(app, &found, &job, forge)).await;
            delivered.map_err(|_elapsed| Problem::unavailable("the registry does not answer in time; deliver again"))?
        }
        Step::Submit(submission) => {
            heard.handed_on = true;
            claim::submit(app, *submission, answer_by).await
        }
    }
}

/// Headers as text; one that is none cannot be a forge's.
fn text_headers(headers: &HeaderMap) -> Result<Vec<(String, String)>, Problem> {
    let text = |(name, value): (&axum::http::HeaderName, &axum::http::HeaderValue)| {
        let value = std::str::from_utf8(value.as_bytes());
        value.map(|value| (name.as_str().to_owned(), value.to_owned()))
    };
    let all: Result<Vec<_>, _> = headers.iter().map(text).collect();
    all.map_err(|_not_text| Problem::bad_request("a header is not valid UTF-8"))
}

enum Step {
    Ignored(String),
    Tested(Tested),
    PullClosed { canonical: String, number: u64, reason: String },
    Submit(Box<Submission>),
    Runner(Box<Found>, Box<SeenJob>),
}

/// Everything up to the claim; reads only.
async fn decide(app: &App, incoming: &Incoming<'_>, heard: &mut Heard) -> Result<Step, Problem> {
    let json = delivery::json_text(incoming)?;
    let url = delivery::peek(&json)?;
    heard.repo = Some(url.canonical().to_owned());
    let flavor = incoming.flavor()?;
    let found = if delivery::is_of_job(incoming).map_err(DeliveryError::from)? {
        runners::configuration(app, &url, incoming, &json).await?
    } else {
        configuration(app, &url, incoming, &json).await?
    };
    let verified =
        verify::verify(incoming, &json, &found.config).map_err(|refused| unauthorized(app, &url, &refused))?;
    heard.verified = true;
    let event = delivery::parse(incoming, &verified)?;
    let change = match event {
        Event::Ignored { kind, reason } => {
            heard.event = kind;
            return Ok(Step::Ignored(reason));
        }
        Event::Test => {
            let origin = Origin::of(incoming).map_err(DeliveryError::from)?;
            return Ok(Step::Tested(Tested::new(url.canonical(), Timestamp::now(), origin)));
        }
        Event::PullClosed { number, reason } => {
            heard.event = Some(EventKind::PullRequest);
            return Ok(Step::PullClosed { canonical: url.canonical().to_owned(), number, reason });
        }
        Event::Job(mut job) => {
            heard.event = Some(EventKind::WorkflowJob);
            url.canonical().clone_into(&mut job.at.repo);
            return Ok(Step::Runner(Box::new(found), job));
        }
        Event::Change(change) => change,
    };
    heard.change = Some(Box::new(change.clone()));
    let trust = trust::decide(&change, &found.config);
    let asked_by = audit::Asked::Delivery(heard.forge);
    let submit = |plan, config, begin| submit(plan, config, begin, asked_by);
    let asked = Asked {
        change: &change,
        trust: &trust,
        config: &found.config,
        repo: &found.repo,
        canonical: url.canonical(),
        flavor: &flavor,
        site: &app.site(),
        salt: None,
    };
    match plan::plan(&asked) {
        Planned::Ignored(reason) => Ok(Step::Ignored(reason)),
        Planned::Refused(sentence) => Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, sentence)),
        Planned::Build(plan) => Ok(submit(plan, found.config, Begin::Go)),
        Planned::Skipped(plan, reason) => Ok(submit(plan, found.config, Begin::Skipped(reason))),
        Planned::Held(plan) => {
            let begin = approvals::standing(app, &plan).await.map_or(Begin::Held, Begin::Approved);
            Ok(submit(plan, found.config, begin))
        }
    }
}

fn submit(plan: Plan, config: RepoConfig, begin: Begin, asked: audit::Asked) -> Step {
    Step::Submit(Box::new(Submission { plan, config, begin, asked }))
}

/// The repository's configuration, once a credential has matched: from the local copy first, so that strangers cost
/// Consul nothing, then by a consistent read.
async fn configuration(app: &App, url: &RepoUrl, incoming: &Incoming<'_>, json: &[u8]) -> Result<Found, Problem> {
    let local = usable(app.registry.entry(url).await.map_err(|error| registry_down(&error))?, url)?;
    let Some(local) = local else {
        // The same work as for a wrong signature, so that the time does not tell which repositories exist.
        verify::decoy(json);
        return Err(unauthorized(app, url, &UNKNOWN));
    };
    verify::verify(incoming, json, &local.config).map_err(|refused| {
        if refused.is_early() {
            verify::decoy(json);
        }
        unauthorized(app, url, &refused)
    })?;
    let now = usable(app.registry.entry_now(url).await.map_err(|error| registry_down(&error))?, url)?;
    now.ok_or_else(|| unauthorized(app, url, &UNKNOWN))
}

pub(super) fn usable(entry: Entry, url: &RepoUrl) -> Result<Option<Found>, Problem> {
    match entry {
        Entry::Unknown => Ok(None),
        Entry::Found(found) => Ok(Some(*found)),
        Entry::Broken(reason) => {
            tracing::error!(repo = url.canonical(), reason, "the repository's configuration cannot be used");
            Err(Problem::unavailable("the repository's configuration cannot be used; the reason is in Albatros's log"))
        }
    }
}

/// Why a repository is not known; for the log alone.
pub(super) const UNKNOWN: &str = "there is no entry for this address, in any spelling";

pub(super) fn unauthorized(app: &App, url: &RepoUrl, reason: &dyn std::fmt::Display) -> Problem {
    app.refusals.log(url, reason);
    Problem::unauthorized()
}

pub(crate) fn registry_down(error: &crate::registry::RegistryError) -> Problem {
    tracing::error!(error = error as &dyn std::error::Error, "the registry did not answer");
    Problem::unavailable("the configuration cannot be read now; deliver again")
}

impl From<DeliveryError> for Problem {
    fn from(error: DeliveryError) -> Self {
        let status = match error.class() {
            Class::BadRequest => StatusCode::BAD_REQUEST,
            Class::Unsupported => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Class::Unprocessable => StatusCode::UNPROCESSABLE_ENTITY,
        };
        // A reader's own words say where in the body it is wrong; they hold nothing of ours.
        let sentence = match std::error::Error::source(&error) {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        };
        Self::new(status, sentence)
    }
}
