//! Verbs against a server at `ALBATROS_URL`.

mod artifacts;
mod show;

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use url::Url;

use super::exit::Exit;
use super::settings::Environment;
use crate::api::albatros::{Albatros, AlbatrosError};
use crate::domain::id::{BuildId, ClaimId};
use crate::domain::secret::Secret;

/// How often `logs -f` asks for the verdict once the log has ended.
const VERDICT_LOOK: Duration = Duration::from_millis(300);
/// A log's end precedes the verdict by moments; longer means that something is wrong.
const VERDICT_WITHIN: Duration = Duration::from_secs(60);

/// Where the server is and who asks.
#[derive(Debug, Args)]
pub(crate) struct Server {
    /// The server's address (also ALBATROS_URL)
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// A file that holds the token for what is private and for cancel, approve and trigger (also ALBATROS_TOKEN)
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum ClientVerb {
    /// Start a build of a branch, tag or commit
    Trigger {
        #[command(flatten)]
        server: Server,
        /// The repository's address, as configured
        repo: String,
        /// A branch, or refs/heads/… or refs/tags/…
        #[arg(long = "ref", value_name = "REF", default_value = "main")]
        git_ref: String,
        /// The commit; without it the forge is asked
        #[arg(long)]
        commit: Option<String>,
        /// The flavor
        #[arg(long, default_value = "default")]
        flavor: String,
    },
    /// Print a build's log
    Logs {
        #[command(flatten)]
        server: Server,
        /// The build's id
        build: String,
        /// Follow it to its end, and exit with the build's code
        #[arg(short, long)]
        follow: bool,
        /// Standard error instead of standard output
        #[arg(long)]
        stderr: bool,
    },
    /// List what a build has left, or get one artifact of it
    Artifacts {
        #[command(flatten)]
        server: Server,
        /// The build's id
        build: String,
        /// Which one; without it they are listed
        artifact: Option<String>,
        /// A single file out of an archive
        path: Option<String>,
        /// Where to put it, instead of standard output
        #[arg(short, long, value_name = "FILE", requires = "artifact")]
        output: Option<PathBuf>,
    },
    /// Show one build, or a change that has none yet; exits with its code once it is over
    Status {
        #[command(flatten)]
        server: Server,
        /// The build's id, or a claim
        id: String,
    },
    /// List builds, newest first
    List {
        #[command(flatten)]
        server: Server,
        /// Only this repository
        #[arg(long)]
        repo: Option<String>,
        /// Only this branch
        #[arg(long)]
        branch: Option<String>,
        /// Only this state
        #[arg(long)]
        state: Option<String>,
        /// At most so many
        #[arg(long)]
        limit: Option<u32>,
        /// The jobs that builds have started too
        #[arg(long)]
        jobs: bool,
    },
    /// Stop a build, or a change that has none yet
    Cancel {
        #[command(flatten)]
        server: Server,
        /// The build's id, or a claim
        id: String,
    },
    /// Build a pull request that is held, at the commit that is held
    Approve {
        #[command(flatten)]
        server: Server,
        /// The claim, as `list` shows it
        claim: String,
    },
}

/// Why a client verb did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    #[error("{0}")]
    Usage(String),
    #[error(transparent)]
    Server(#[from] AlbatrosError),
    #[error("nothing can be written to standard output")]
    Output(#[from] std::io::Error),
}

impl ClientError {
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            // What is gone was asked for rightly.
            Self::Server(AlbatrosError::Refused { status: StatusCode::GONE, .. }) => Exit::Infra,
            Self::Server(AlbatrosError::Refused { status, .. }) if status.is_client_error() => Exit::Usage,
            Self::Server(_) | Self::Output(_) => Exit::Infra,
        }
    }
}

/// Runs a verb. `env` reads the environment.
pub(crate) async fn run(verb: ClientVerb, env: Environment<'_>) -> Result<Exit, ClientError> {
    let albatros = connect(verb.server(), env)?;
    let json = verb.server().json;
    match verb {
        ClientVerb::Trigger { repo, git_ref, commit, flavor, .. } => {
            let mut wanted = json!({ "repo": repo, "ref": git_ref, "flavor": flavor });
            if let (Some(commit), Some(object)) = (commit, wanted.as_object_mut()) {
                object.insert("commit".to_owned(), json!(commit));
            }
            show::started(&albatros.trigger(&wanted).await?, json)?;
        }
        ClientVerb::Logs { build, follow, stderr, .. } => return logs(&albatros, &build, follow, stderr).await,
        ClientVerb::Artifacts { build, artifact: None, .. } => {
            let listed = albatros.artifacts(&path(&build)?.build()?.segments()).await?;
            show::artifacts(&listed, json)?;
        }
        ClientVerb::Artifacts { build, artifact: Some(artifact), path: within, output, .. } => {
            let build = path(&build)?.build()?;
            let mut path = build.segments();
            path.extend(["artifacts", &artifact]);
            path.extend(within.iter().flat_map(|within| within.split('/')));
            artifacts::get(&albatros, &path, output.as_deref()).await?;
        }
        ClientVerb::Status { id, .. } => {
            let view = albatros.status(&path(&id)?.segments()).await?;
            show::one(&view, json)?;
            return Ok(exit_of(&view).unwrap_or(Exit::Success));
        }
        ClientVerb::List { repo, branch, state, limit, jobs, .. } => {
            let limit = limit.map(|limit| limit.to_string());
            let jobs = jobs.then(|| "true".to_owned());
            let query = [("repo", repo), ("branch", branch), ("state", state), ("limit", limit), ("jobs", jobs)];
            let query: Vec<_> = query.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
            show::list(&albatros.list(&query).await?, json)?;
        }
        ClientVerb::Cancel { id, .. } => show::started(&albatros.cancel(&path(&id)?.segments()).await?, json)?,
        ClientVerb::Approve { claim, .. } => {
            let claim: ClaimId = claim.parse().map_err(|error| ClientError::Usage(format!("{error}")))?;
            show::started(&albatros.approve(claim.as_str()).await?, json)?;
        }
    }
    Ok(Exit::Success)
}

impl ClientVerb {
    fn server(&self) -> &Server {
        match self {
            Self::Trigger { server, .. }
            | Self::Logs { server, .. }
            | Self::Artifacts { server, .. }
            | Self::Status { server, .. }
            | Self::List { server, .. }
            | Self::Cancel { server, .. }
            | Self::Approve { server, .. } => server,
        }
    }
}

fn connect(server: &Server, env: Environment<'_>) -> Result<Albatros, ClientError> {
    let given = server.url.clone().or_else(|| env("ALBATROS_URL"));
    let text = given.ok_or_else(|| ClientError::Usage("where is the server? set ALBATROS_URL or --url".to_owned()))?;
    let wrong = || ClientError::Usage("ALBATROS_URL: expected an address such as https://ci.example.org".to_owned());
    let url = Url::parse(&text).map_err(|_parse| wrong())?;
    if !matches!(url.scheme(), "http" | "https") || !url.username().is_empty() || url.password().is_some() {
        return Err(wrong());
    }
    let token = match &server.token_file {
        Some(file) => {
            let unreadable = |error| ClientError::Usage(format!("{}: {error}", file.display()));
            Some(std::fs::read_to_string(file).map_err(unreadable)?.trim().to_owned())
        }
        None => env("ALBATROS_TOKEN"),
    };
    Ok(Albatros::new(url, token.filter(|token| !token.is_empty()).map(Secret::new))?)
}

/// A build or a claim, as typed.
enum Named {
    Build(BuildId),
    Claim(ClaimId),
}

impl Named {
    /// Where a claim will not do.
    fn build(self) -> Result<Self, ClientError> {
        match self {
            Self::Build(_) => Ok(self),
            Self::Claim(_) => Err(ClientError::Usage("a claim is no build; `status` tells its build".to_owned())),
        }
    }

    fn segments(&self) -> Vec<&str> {
        match self {
            Self::Build(build) => vec!["builds", build.builder(), build.child()],
            Self::Claim(claim) => vec!["builds", "claim", claim.as_str()],
        }
    }
}

fn path(id: &str) -> Result<Named, ClientError> {
    if let Ok(claim) = id.parse() {
        return Ok(Named::Claim(claim));
    }
    let wrong =
        |_error| ClientError::Usage(format!("{id}: neither a build (builder/dispatch-…) nor a claim (64 hex digits)"));
    id.parse().map(Named::Build).map_err(wrong)
}

async fn logs(albatros: &Albatros, build: &str, follow: bool, stderr: bool) -> Result<Exit, ClientError> {
    let Named::Build(build) = path(build)? else {
        return Err(ClientError::Usage("a claim has no log; `status` tells its build".to_owned()));
    };
    let stream = if stderr { "stderr" } else { "stdout" };
    let mut query = vec![("job", build.as_str()), ("log", stream)];
    if !follow {
        query.push(("follow", "false"));
    }
    match albatros.log(&query).await {
        Ok(response) => copy(response).await?,
        // The log is gone, the verdict is not.
        Err(AlbatrosError::Refused { status: StatusCode::GONE, sentence }) if follow => {
            writeln!(std::io::stderr().lock(), "albatros: {sentence}")?;
        }
        Err(error) => return Err(error.into()),
    }
    if follow { verdict(albatros, &Named::Build(build)).await } else { Ok(Exit::Success) }
}

/// A log to standard output, as it comes.
async fn copy(mut response: Response) -> Result<(), ClientError> {
    let mut out = std::io::stdout().lock();
    let cut = |error: reqwest::Error| AlbatrosError::Strange(format!("the log broke off: {}", error.without_url()));
    while let Some(chunk) = response.chunk().await.map_err(cut)? {
        out.write_all(&chunk)?;
        out.flush()?;
    }
    Ok(())
}

/// The code of a build whose log has ended.
async fn verdict(albatros: &Albatros, build: &Named) -> Result<Exit, ClientError> {
    let deadline = tokio::time::Instant::now() + VERDICT_WITHIN;
    loop {
        let view = albatros.status(&build.segments()).await?;
        if let Some(exit) = exit_of(&view) {
            return Ok(exit);
        }
        if tokio::time::Instant::now() >= deadline {
            return Err(AlbatrosError::Strange("the log has ended, the build has not".to_owned()).into());
        }
        tokio::time::sleep(VERDICT_LOOK).await;
    }
}

fn exit_of(view: &Value) -> Option<Exit> {
    let ended = view.get("ended").and_then(Value::as_bool).unwrap_or(false);
    let word = view.get("state").and_then(Value::as_str).unwrap_or_default();
    ended.then(|| Exit::of_word(word))
}
