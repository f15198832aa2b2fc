//! `POST /builds/claim/{claim}/approve`: one change, by what a person says of this very commit.

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::acts::{self, Post};
use super::super::answer::{Answer, Handed, Problem};
use super::super::audit::{Actor, Line};
use super::super::fields::Fields;
use super::super::hook::registry_down;
use super::super::openapi::{Acting, ClaimPath, Pressing};
use super::super::people::{is_over, open_claim};
use super::super::{App, SharedApp, claim};
use super::{TRIES, senders};
use crate::domain::approval;
use crate::domain::config::RepoConfig;
use crate::domain::id::ClaimId;
use crate::domain::record::{ApprovedBy, Phase, Record};
use crate::registry::{Stored, Written};

/// What is approved.
#[derive(Debug, Deserialize, IntoParams)]
pub(crate) struct How {
    /// Its sender too: what he sends from now on is built without asking.
    #[serde(default)]
    always: bool,
}

/// Approves a change that is held
///
/// It is built at the commit that was held, never with secrets.
#[utoipa::path(post, path = "/builds/claim/{claim}/approve", tag = "people", operation_id = "approve_claim", params(ClaimPath, How),
    responses(
        (status = 200, description = "Its build.", content((Handed = "application/json"), (String = "text/plain"))),
        (status = 202, description = "It has no build yet; the address says how it goes on.",
            content((Handed = "application/json"), (String = "text/plain"))),
        (status = 409, description = "It is over, or about to be."),
        (status = 422, description = "It cannot be dispatched, or has no sender who could be approved."),
        Acting,
        Pressing,
    ),
    security(("bearer" = []), ("token" = []), ("signin" = [])),)]
pub(crate) async fn approve(
    State(app): State<SharedApp>,
    Path(claim): Path<String>,
    Query(how): Query<How>,
    post: Post,
) -> Result<Response, Problem> {
    let (claim, stored, config) = open_claim(&app, &claim, &post.credentials).await?;
    refuse_what_ends(&stored.value)?;
    let how = match &post.form {
        Some(form) => How::of_form(form, &stored.value)?,
        None => how,
    };
    let here = acts::page_of_claim(&claim);
    let by = post.credentials.actor(&app, &config);
    let mut sender = None;
    if how.always {
        // Before the change itself: whoever is killed between the two, or hears of neither, does both by asking again.
        sender = Some(always(&app, &stored.value, by).await?);
    }
    let mut answer = one(&app, claim, stored, config, by).await?;
    if let Some(login) = sender {
        let said = format!("what {login} sends is built without approval from now on, never with secrets");
        if let Some(object) = answer.object.as_object_mut() {
            object.insert("always".to_owned(), said.clone().into());
        }
        answer.lines.push(said);
    }
    Ok(post.answered(&app, answer, &here))
}

impl How {
    /// Who presses a button approves the commit that his page showed, and no other.
    fn of_form(form: &Fields, record: &Record) -> Result<Self, Problem> {
        let shown =
            form.one("commit").ok_or_else(|| Problem::bad_request("commit: which one is approved must be said"))?;
        if shown != record.commit.as_str() {
            let sentence =
                format!("{} is held here, not {}: look at it again before you approve it", record.commit, short(shown));
            return Err(Problem::new(StatusCode::CONFLICT, sentence));
        }
        Ok(Self { always: form.one("always") == Some("true") })
    }
}

/// What somebody typed, no longer than a commit.
fn short(shown: &str) -> String {
    shown.chars().take(64).collect()
}

/// Lets one change go on. The follower writes into its record too, so it is tried again where that got through.
async fn one(
    app: &SharedApp,
    claim: ClaimId,
    mut stored: Stored<Record>,
    config: RepoConfig,
    by: Actor,
) -> Result<Answer, Problem> {
    for _ in 0..TRIES {
        refuse_what_ends(&stored.value)?;
        if !matches!(stored.value.phase, Phase::Held) {
            return Ok(claim::at_claim(app, &claim, "not held any more"));
        }
        let record = Record {
            phase: claim::let_through(&config, stored.value.undecided),
            approved: Some(jiff::Timestamp::now()),
            approved_by: Some(ApprovedBy::Person),
            ..stored.value
        };
        match app.registry.update(&claim, &record, stored.index, None).await.map_err(|error| registry_down(&error))? {
            Written::Yes(index) => {
                let (verdict, claim_text) = ("approved", Some(claim.as_str()));
                Line { verdict, by: Some(by), claim: claim_text, ..Line::of_record(&record) }.write("approve");
                return go_on(app, claim, Stored { value: record, index }, config).await;
            }
            Written::Conflict | Written::LeaseLost => {}
        }
        let newer = app.registry.open(&claim).await.map_err(|error| registry_down(&error))?;
        stored = newer.ok_or_else(|| Problem::new(StatusCode::CONFLICT, "it has just ended"))?;
    }
    Err(Problem::new(StatusCode::CONFLICT, "it is being written by others; look at it again"))
}

async fn go_on(app: &SharedApp, claim: ClaimId, stored: Stored<Record>, config: RepoConfig) -> Result<Answer, Problem> {
    if stored.value.phase == Phase::Waiting {
        return Ok(claim::at_claim(app, &claim, "approved: waiting for its turn"));
    }
    let (_, answer) = claim::dispatch_in_time(app, claim, stored, config).await?;
    Ok(answer)
}

fn refuse_what_ends(record: &Record) -> Result<(), Problem> {
    if let Phase::Ended { outcome } = &record.phase {
        return Err(is_over(outcome));
    }
    if record.stop.is_none() || !matches!(record.phase, Phase::Held) {
        return Ok(());
    }
    let why = match record.parent {
        None => "it has been cancelled; approve the newest change instead",
        Some(_) => "it is being stopped: the build that started it has ended, or has stopped it",
    };
    Err(Problem::new(StatusCode::CONFLICT, why))
}

/// Approves the sender of a change always; gives his login.
async fn always(app: &App, record: &Record, by: Actor) -> Result<String, Problem> {
    let no_sender = "only a pull request has a sender who can be approved always";
    let pull = record.pull.as_ref().filter(|_| record.parent.is_none());
    let pull = pull.ok_or_else(|| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, no_sender))?;
    let (login, id) = approval::author(&record.sender, pull)?;
    senders::approve(app, &record.canonical, &login, id, by).await?;
    Ok(login)
}
