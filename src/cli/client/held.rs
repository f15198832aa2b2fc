//! `albatros held`, `approve`, `approved` and `revoke`: what waits for a person, and whom nobody has to ask about.

use std::io::{IsTerminal as _, Write as _};

use clap::Args;
use futures_util::StreamExt as _;
use serde_json::{Value, json};

use super::{ClientError, Server, show, show_held};
use crate::api::albatros::{Albatros, AlbatrosError};
use crate::cli::exit::Exit;
use crate::cli::question;
use crate::cli::settings::Environment;
use crate::domain::id::ClaimId;

/// Changes that are approved at once: each starts a build.
const AT_ONCE: usize = 4;

/// List what waits for approval, why, and what it changes
#[derive(Debug, Args)]
pub(crate) struct HeldArgs {
    #[command(flatten)]
    server: Server,
    /// Only this one
    claim: Option<String>,
    /// Only this repository
    #[arg(long)]
    repo: Option<String>,
    /// Only what this account has sent
    #[arg(long, value_name = "LOGIN")]
    sender: Option<String>,
    /// With the files that it touches (for this a token is needed)
    #[arg(long)]
    files: bool,
}

impl HeldArgs {
    pub(super) async fn run(self, env: Environment<'_>) -> Result<Exit, ClientError> {
        let albatros = self.server.connect(env)?;
        let files = self.files.then(|| "true".to_owned());
        let claim = self.claim.as_deref().map(claim).transpose()?.map(|claim| claim.to_string());
        let query = query([("claim", claim), ("repo", self.repo), ("sender", self.sender), ("files", files)]);
        show_held::held(&albatros.held(&query).await?, self.server.json)?;
        Ok(Exit::Success)
    }
}

/// Build what is held, at the commit that is held and never with secrets
#[derive(Debug, Args)]
pub(crate) struct ApproveArgs {
    #[command(flatten)]
    server: Server,
    /// The claims, as `held` shows them
    claims: Vec<String>,
    /// All pull requests that are held now
    #[arg(long, conflicts_with = "claims", requires = "repo")]
    all: bool,
    /// Of this repository
    #[arg(long, conflicts_with = "claims")]
    repo: Option<String>,
    /// Only those that this account has sent
    #[arg(long, value_name = "LOGIN", conflicts_with = "claims", requires = "repo")]
    sender: Option<String>,
    /// What their senders send from now on is built without approval too, never with secrets
    #[arg(long)]
    always: bool,
    /// Do not ask on a terminal before all are approved
    #[arg(long)]
    yes: bool,
}

impl ApproveArgs {
    pub(super) async fn run(self, env: Environment<'_>) -> Result<Exit, ClientError> {
        let albatros = self.server.connect(env)?;
        let json = self.server.json;
        let claims = self.claims.iter().map(|typed| claim(typed)).collect::<Result<Vec<_>, _>>()?;
        match (claims.as_slice(), self.all, &self.repo, &self.sender) {
            ([claim], _, _, _) => {
                show::started(&albatros.approve(claim.as_str(), self.always).await?, json)?;
                Ok(Exit::Success)
            }
            ([_, _, ..], _, _, _) => each(&albatros, &claims, self.always, json).await,
            ([], true, Some(repo), _) => {
                let held =
                    albatros.held(&query([("repo", Some(repo.clone())), ("sender", self.sender.clone())])).await?;
                let claims = of_pulls(&held)?;
                if !json {
                    show_held::held(&held, false)?;
                }
                if !claims.is_empty() && !json && !self.yes && !agreed(claims.len())? {
                    return Ok(Exit::Failed);
                }
                each(&albatros, &claims, self.always, json).await
            }
            ([], false, Some(repo), Some(login)) if self.always => {
                let said = albatros.approve_sender(&json!({ "repo": repo, "login": login })).await?;
                show_held::sender(&said, json)?;
                Ok(Exit::Success)
            }
            ([], _, _, _) => Err(ClientError::Usage(
                "what is to be approved? claims as `albatros held` shows them, or --all --repo URL, or \
                 --always --repo URL --sender LOGIN"
                    .to_owned(),
            )),
        }
    }
}

/// The claims that `--all` means: a job that its build has held is not among them, for it may be allowed more.
fn of_pulls(held: &Value) -> Result<Vec<ClaimId>, ClientError> {
    let all = held.get("held").and_then(Value::as_array).into_iter().flatten();
    let claims = all.filter(|one| one.get("job").is_none()).map(|one| one.get("claim")?.as_str()?.parse().ok());
    let claims: Option<Vec<ClaimId>> = claims.collect();
    claims.ok_or_else(|| AlbatrosError::Strange("a change without a claim".to_owned()).into())
}

/// Where a person sits at a terminal he is asked; a script means what it says.
fn agreed(count: usize) -> Result<bool, ClientError> {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Ok(true);
    }
    Ok(question::agreed(&format!("approve these pull requests ({count})?"))?)
}

/// Approves one after another, goes on behind one that cannot be, and ends as the first of those does.
async fn each(albatros: &Albatros, claims: &[ClaimId], always: bool, json: bool) -> Result<Exit, ClientError> {
    let approve = async |claim: &ClaimId| (claim.clone(), albatros.approve(claim.as_str(), always).await);
    let answers: Vec<_> = futures_util::stream::iter(claims).map(approve).buffered(AT_ONCE).collect().await;
    let mut exit = Exit::Success;
    let mut rows = Vec::new();
    for (claim, answer) in answers {
        match answer {
            Ok(answer) => rows.push((claim, answer)),
            Err(error) => {
                let error = ClientError::from(error);
                writeln!(std::io::stderr().lock(), "{claim}: {error}")?;
                exit = if exit == Exit::Success { error.exit() } else { exit };
            }
        }
    }
    show_held::approved(&rows, json)?;
    Ok(exit)
}

/// List whose pull requests are built without approval
#[derive(Debug, Args)]
pub(crate) struct ApprovedArgs {
    #[command(flatten)]
    server: Server,
    /// Only this repository
    #[arg(long)]
    repo: Option<String>,
}

impl ApprovedArgs {
    pub(super) async fn run(self, env: Environment<'_>) -> Result<Exit, ClientError> {
        let albatros = self.server.connect(env)?;
        show_held::senders(&albatros.approved(&query([("repo", self.repo)])).await?, self.server.json)?;
        Ok(Exit::Success)
    }
}

/// Hold again what an account sends that was approved always
#[derive(Debug, Args)]
pub(crate) struct RevokeArgs {
    #[command(flatten)]
    server: Server,
    /// The repository's address
    repo: String,
    /// The account
    login: String,
    /// Only if this is its number at the forge
    #[arg(long)]
    id: Option<u64>,
}

impl RevokeArgs {
    pub(super) async fn run(self, env: Environment<'_>) -> Result<Exit, ClientError> {
        let albatros = self.server.connect(env)?;
        let id = self.id.map(|id| id.to_string());
        let query = query([("repo", Some(self.repo)), ("login", Some(self.login)), ("id", id)]);
        show_held::revoked(&albatros.revoke(&query).await?, self.server.json)?;
        Ok(Exit::Success)
    }
}

fn claim(typed: &str) -> Result<ClaimId, ClientError> {
    typed.parse().map_err(|error| ClientError::Usage(format!("{error}")))
}

fn query<const N: usize>(pairs: [(&'static str, Option<String>); N]) -> Vec<(&'static str, String)> {
    pairs.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}
