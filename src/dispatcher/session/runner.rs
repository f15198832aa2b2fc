//! `POST /session/{claim}/runner`: what a runner's program needs to take one job of its forge.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};

use super::bearer::Bearer;
use super::caller::Caller;
use super::refusal::Refusal;
use crate::api::forge::ForgeError;
use crate::dispatcher::SharedApp;
use crate::dispatcher::metrics::{RegistrationLabel, RegistrationResult};
use crate::dispatcher::openapi::{ClaimPath, Session};
use crate::dispatcher::runners::{self, RegisterError};
use crate::domain::runner_wire::RunnerRegistration;

/// What its controller is told.
const NOT_NOW: &str = "the runner could not be registered now; the reason is in Albatros's log";

/// Registers a runner
///
/// At its forge, for one job. Asked again, what was registered before is removed: the answer was lost.
#[utoipa::path(post, path = "/session/{claim}/runner", tag = "controllers", operation_id = "register_runner", params(ClaimPath),
    responses(
        (status = 200, description = "What the runner's program needs; its forge lists it now.", body = RunnerRegistration),
        (status = 409, description = "The build is no runner."),
        (status = 422, description = "The forge refuses, or runners are no longer configured: the sentence says what to repair."),
        Session,
    ), security(("session" = [])),)]
pub(crate) async fn runner(
    State(app): State<SharedApp>,
    Path(claim): Path<String>,
    Bearer(secret): Bearer,
) -> Result<Response, Refusal> {
    let caller = Caller::of(&claim, &secret)?;
    let _place = app.sessions.place()?;
    let stored = caller.record(&app).await?;
    // The work goes on when the controller hangs up: what is registered must be written down.
    let work = tokio::spawn({
        let (app, claim) = (SharedApp::clone(&app), caller.claim.clone());
        async move { runners::register(&app, &claim, &stored).await }
    });
    let registered = work.await.map_err(|_broke| Refusal::later("the runner could not be registered"))?;
    let result = match &registered {
        Ok(_) => RegistrationResult::Registered,
        Err(RegisterError::Forge(ForgeError::Refused(_)) | RegisterError::Unconfigured) => RegistrationResult::Refused,
        Err(RegisterError::None | RegisterError::Over) => RegistrationResult::Unneeded,
        Err(
            RegisterError::Forge(ForgeError::Unanswered(_) | ForgeError::Unavailable(_))
            | RegisterError::Broken
            | RegisterError::Overtaken
            | RegisterError::Registry(_),
        ) => RegistrationResult::Later,
    };
    app.metrics.registrations.get_or_create(&RegistrationLabel { result }).inc();
    let registration = registered.map_err(|error| refusal(&caller, error))?;
    let wire = registration.to_wire().map_err(|_never| Refusal::later("the registration cannot be written down"))?;
    Ok((StatusCode::OK, [(CONTENT_TYPE, "application/json")], wire).into_response())
}

fn refusal(caller: &Caller, error: RegisterError) -> Refusal {
    let (claim, cause) = (caller.claim.as_str(), &error as &dyn std::error::Error);
    match &error {
        RegisterError::None => Refusal::conflict("this build is no runner"),
        RegisterError::Over => Refusal::gone("nobody needs this runner any more"),
        RegisterError::Unconfigured | RegisterError::Forge(ForgeError::Refused(_)) => {
            tracing::error!(claim, error = cause, "a runner could not be registered");
            Refusal::unfit(match &error {
                RegisterError::Forge(refused) => refused.to_string(),
                other => other.to_string(),
            })
        }
        RegisterError::Forge(forge @ (ForgeError::Unanswered(_) | ForgeError::Unavailable(_))) => {
            tracing::warn!(claim, error = cause, "a runner could not be registered now");
            Refusal::later_by(NOT_NOW, forge.wait())
        }
        RegisterError::Broken | RegisterError::Overtaken | RegisterError::Registry(_) => {
            tracing::warn!(claim, error = cause, "a runner could not be registered now");
            Refusal::later(NOT_NOW)
        }
    }
}
