//! What comes after `trigger` and `retry`: nothing, the log as it comes, or a wait for the end.

use std::io::Write as _;
use std::time::Duration;

use clap::Args;
use reqwest::StatusCode;
use serde_json::Value;
use tokio::time::Instant;

use super::{ClientError, Named, exit_of, logs, path, show};
use crate::api::albatros::{Albatros, AlbatrosError};
use crate::cli::exit::Exit;
use crate::cli::waiting::Waiting;

/// How often it is looked how far a build is.
const LOOK: Duration = Duration::from_secs(1);
/// A server that is being replaced is back by then.
const BACK_WITHIN: Duration = Duration::from_secs(60);

/// How long to stay. A wait ends with the build, whose limits are the server's.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Stay {
    /// Print its log as it comes, and exit with the build's code
    #[arg(short, long)]
    follow: bool,
    /// Wait for its end without the log, and exit with the build's code
    #[arg(short, long, conflicts_with = "follow")]
    wait: bool,
}

impl Stay {
    /// Says what was started, and stays as long as was asked for.
    pub(super) async fn on(self, albatros: &Albatros, answer: &Value, json: bool) -> Result<Exit, ClientError> {
        let quiet = json && (self.follow || self.wait);
        if !quiet {
            show::started(answer, json)?;
        }
        if !self.follow && !self.wait {
            return Ok(Exit::Success);
        }
        let mut look = Look { albatros, waiting: Waiting::default(), lost: None };
        let view = look.until(&named(answer)?, |view| ended(view) || (self.follow && build(view).is_some())).await?;
        let view = match build(&view).filter(|_| self.follow) {
            Some(build) => {
                match logs::follow(albatros, build).await {
                    Ok(exit) if !json => return Ok(exit),
                    Ok(_) => {}
                    // Who served the log may have been replaced; the build goes on.
                    Err(ClientError::Server(
                        error @ (AlbatrosError::Strange(_) | AlbatrosError::Unreachable { .. }),
                    )) => {
                        writeln!(std::io::stderr().lock(), "albatros: {error}; `albatros logs` has all of it")?;
                    }
                    Err(error) => return Err(error),
                }
                look.until(&path(build)?, ended).await?
            }
            None => view,
        };
        show::end(&view, json)?;
        Ok(exit_of(&view).unwrap_or(Exit::Infra))
    }
}

/// What an answer names: its build, or the claim that it waits under.
fn named(answer: &Value) -> Result<Named, ClientError> {
    let word = |field: &str| answer.get(field).and_then(Value::as_str);
    let name = word("build").or_else(|| word("claim"));
    path(name.ok_or_else(|| AlbatrosError::Strange("it names neither a build nor a claim".to_owned()))?)
}

fn ended(view: &Value) -> bool {
    exit_of(view).is_some()
}

fn build(view: &Value) -> Option<&str> {
    view.get("build").and_then(Value::as_str)
}

/// Looks at one build again and again.
struct Look<'a> {
    albatros: &'a Albatros,
    waiting: Waiting,
    /// Since when the server does not answer.
    lost: Option<Instant>,
}

impl Look<'_> {
    async fn until(&mut self, name: &Named, enough: impl Fn(&Value) -> bool) -> Result<Value, ClientError> {
        loop {
            match self.albatros.status(&name.segments()).await {
                Ok(view) => {
                    self.lost = None;
                    self.tell(&view)?;
                    if enough(&view) {
                        // What comes next is printed where its line stood.
                        self.waiting = Waiting::default();
                        return Ok(view);
                    }
                }
                // The server has named it itself.
                Err(AlbatrosError::Refused { status: StatusCode::NOT_FOUND, .. }) => {
                    let why = "it ended before there was a build; the commit's status says why".to_owned();
                    return Err(AlbatrosError::Strange(why).into());
                }
                Err(error) if passes(&error) => {
                    let since = *self.lost.get_or_insert_with(Instant::now);
                    if since.elapsed() >= BACK_WITHIN {
                        return Err(error.into());
                    }
                }
                Err(error) => return Err(error.into()),
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// How far it is, each time that this changes.
    fn tell(&mut self, view: &Value) -> Result<(), ClientError> {
        if !ended(view) {
            self.waiting.tell(&show::standing(view))?;
        }
        Ok(())
    }
}

/// Whether a server that is there again may answer.
fn passes(error: &AlbatrosError) -> bool {
    match error {
        AlbatrosError::Unreachable { .. } => true,
        AlbatrosError::Refused { status, .. } => status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS,
        AlbatrosError::Client(_) | AlbatrosError::Strange(_) => false,
    }
}
