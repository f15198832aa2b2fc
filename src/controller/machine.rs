//! `POST /v1/machine`: the host of a build's machine says how far that is, so that a machine that was lost is not taken
//! for a script that has failed.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use utoipa::ToSchema;

use super::access::Script;
use super::answer::Refusal;
use super::body::take;
use super::openapi::{Sending, Token};
use crate::api::controller::MachineState;
use crate::domain::outcome::Machine;
use crate::domain::report::{TEXT_LIMIT, clipped};
use crate::domain::secret::Secret;

/// serve has it by then, or a little later.
const DELIVERED_WITHIN: Duration = Duration::from_secs(10);
/// The longest body: a key and a sentence.
const BODY: usize = 4096;
/// A key's length, hexadecimal digits.
const KEY: usize = 64;

/// What the host says.
#[derive(Deserialize, ToSchema)]
struct MachineTold {
    /// How far it is.
    state: MachineState,
    /// 64 hexadecimal digits that the host has made up, and that the script does not know: the first one holds.
    key: String,
    /// Of one that has failed: why, for people.
    #[serde(default)]
    why: Option<String>,
}

/// Whose machine it is: the script has the same token as the host, but not its key.
#[derive(Debug, Default)]
pub(crate) struct Declared(Mutex<Option<Secret>>);

impl Declared {
    /// Whether the build is in a machine, asked by who ends it.
    pub(super) fn opened_by(&self, key: Option<&str>) -> Result<bool, Refusal> {
        let declared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match declared.as_ref() {
            None => Ok(false),
            Some(secret) if key.is_some_and(|key| secret.matches(key)) => Ok(true),
            Some(_) => Err(Refusal::forbidden("this build is in a machine, and its host alone tells its end")),
        }
    }

    /// The first key holds.
    fn declare(&self, key: &str) -> Result<(), Refusal> {
        let mut declared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let secret = declared.get_or_insert_with(|| Secret::new(key));
        if secret.matches(key) {
            return Ok(());
        }
        Err(Refusal::new(StatusCode::CONFLICT, "this build is in a machine already"))
    }
}

/// Says that the build is in a machine of its own, or that it was
///
/// Until its end is told with the same key, by `finish` or here, the executor's failure is the machine's and not the
/// script's.
#[utoipa::path(post, path = "/v1/machine", tag = "script", security(("script" = [])), request_body = MachineTold,
    responses((status = 204, description = "It is noted."), (status = 409, description = "Another host has said so before."),
        (status = 422, description = "It is no state, or no key."), Token, Sending),)]
pub(super) async fn machine(Script(app): Script, headers: HeaderMap, body: Body) -> Result<StatusCode, Refusal> {
    let bytes = take(body, &headers, BODY).await?;
    let wrong = || Refusal::senseless("expected {\"state\": \"running\", \"key\": \"64 hexadecimal digits\"}");
    let told: MachineTold = serde_json::from_slice(&bytes).map_err(|_words| wrong())?;
    if told.key.len() != KEY || !told.key.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    let machine = match told.state {
        MachineState::Running => {
            app.machine.declare(&told.key)?;
            Machine::Running
        }
        MachineState::Failed => {
            if !app.machine.opened_by(Some(&told.key))? {
                return Err(Refusal::senseless("this build is in no machine"));
            }
            Machine::Failed {
                why: clipped(told.why.as_deref().unwrap_or("its machine has failed"), TEXT_LIMIT).to_owned(),
            }
        }
    };
    app.reports.machine(machine);
    if !app.reports.delivered(DELIVERED_WITHIN).await {
        tracing::warn!("serve could not be told of the build's machine in time");
    }
    Ok(StatusCode::NO_CONTENT)
}
