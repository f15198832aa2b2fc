//! From a change that a person asks for to its claim: what `trigger` and `retry` have in common.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode};
use tokio::time::Instant;

use super::SharedApp;
use super::answer::{Answer, Problem};
use super::audit::{Actor, Asked};
use super::claim::{self, Begin, Submission};
use crate::domain::config::{PullPolicy, RepoConfig};
use crate::domain::event::{Change, Sender};
use crate::domain::id::{ClaimId, Flavor};
use crate::domain::plan::{self, Plan, Planned};
use crate::domain::repo_url::RepoUrl;
use crate::domain::{trigger, trust};
use crate::engine::EngineError;
use crate::registry::Found;

/// A person waits longer than a forge does.
const ANSWERED_WITHIN: Duration = Duration::from_secs(15);
/// Of a caller that may ask twice and wants one build: the same key for the same change is the same claim.
pub(super) const KEY: &str = "idempotency-key";
/// The longest of its values.
const KEY_MOST: usize = 128;

/// What is to be started.
#[derive(Debug)]
pub(crate) struct Wish {
    pub(crate) url: RepoUrl,
    pub(crate) found: Found,
    pub(crate) change: Change,
    pub(crate) flavor: Flavor,
    pub(crate) params: BTreeMap<String, String>,
    pub(crate) retry_of: Option<ClaimId>,
    pub(crate) by: Actor,
}

/// Who starts what nobody pushed.
pub(crate) fn sender() -> Sender {
    Sender { login: Sender::TRIGGER.to_owned(), id: None }
}

/// Claims and dispatches it. Nothing filters what is asked for, and who asks has approved it.
pub(crate) async fn start(app: &SharedApp, wish: Wish, headers: &HeaderMap) -> Result<Answer, Problem> {
    let salt = salt(headers)?;
    let refused = |sentence: String| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, sentence);
    trigger::check(&wish.params, &wish.found.config).map_err(|why| refused(why.to_string()))?;
    let plan = plan(app, &wish, &salt).map_err(refused)?;
    let asked = if wish.retry_of.is_some() { Asked::Retry(wish.by) } else { Asked::Trigger(wish.by) };
    let plan = Plan { retry_of: wish.retry_of, ..plan.with_params(wish.params) };
    deliverable(app, &plan).await?;
    let submission = Submission { plan, config: wish.found.config, begin: Begin::Go, asked };
    let (_, answer) = claim::submit(app, submission, Instant::now() + ANSWERED_WITHIN).await?;
    Ok(answer)
}

fn plan(app: &SharedApp, wish: &Wish, salt: &str) -> Result<Plan, String> {
    let config = RepoConfig { pull_requests: PullPolicy::Build, ..wish.found.config.clone() };
    let asked = plan::Asked {
        change: &wish.change,
        trust: &trust::decide(&wish.change, &config),
        config: &config,
        repo: &wish.found.repo,
        canonical: wish.url.canonical(),
        flavor: &wish.flavor,
        site: &app.site(),
        salt: Some(salt),
    };
    match plan::plan(&asked) {
        Planned::Build(plan) | Planned::Held(plan) | Planned::Skipped(plan, _) => Ok(plan),
        Planned::Ignored(sentence) | Planned::Refused(sentence) => Err(sentence),
    }
}

/// Refuses parameters that the builder cannot hand on, while somebody is there to be told. Where Nomad does not answer,
/// the dispatch says so later.
async fn deliverable(app: &SharedApp, plan: &Plan) -> Result<(), Problem> {
    if plan.params.is_empty() {
        return Ok(());
    }
    match app.engine.builder(&plan.builder).await {
        Ok(shape) => match trigger::undeliverable(&plan.params, &shape) {
            Some(why) => Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, why)),
            None => Ok(()),
        },
        Err(EngineError::Unknown(_) | EngineError::Unavailable(_) | EngineError::Refused(_)) => Ok(()),
    }
}

/// What makes another claim of the same change: random, or the caller's own word.
fn salt(headers: &HeaderMap) -> Result<String, Problem> {
    let Some(key) = headers.get(KEY) else { return claim::nonce() };
    let key = key.to_str().ok().filter(|key| !key.is_empty() && key.len() <= KEY_MOST);
    let sentence = "Idempotency-Key: expected 1 to 128 printable ASCII characters";
    key.map(|key| format!("key {key}")).ok_or_else(|| Problem::bad_request(sentence))
}
