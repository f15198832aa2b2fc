//! `albatros logs`: a log as it is, or as it comes.

use std::io::Write as _;
use std::time::Duration;

use clap::Args;
use reqwest::{Response, StatusCode};

use super::{ClientError, Named, Server, exit_of, path};
use crate::api::albatros::{Albatros, AlbatrosError};
use crate::cli::exit::Exit;
use crate::cli::settings::Environment;

/// How often `logs -f` asks for the verdict once the log has ended.
const VERDICT_LOOK: Duration = Duration::from_millis(300);
/// A log's end precedes the verdict by moments; longer means that something is wrong.
const VERDICT_WITHIN: Duration = Duration::from_secs(60);

/// Print a build's log
#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
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
    /// Both, in order of time, of a build that is over; each line says which one it is of
    #[arg(long, conflicts_with_all = ["stderr", "follow"])]
    both: bool,
    /// Each line behind the time at which it came; needs a store
    #[arg(long)]
    times: bool,
}

impl LogsArgs {
    pub(super) async fn run(self, env: Environment<'_>) -> Result<Exit, ClientError> {
        let albatros = self.server.connect(env)?;
        let stream = match (self.both, self.stderr) {
            (true, _) => "both",
            (false, true) => "stderr",
            (false, false) => "stdout",
        };
        let mut query = vec![("log", stream)];
        query.extend(self.times.then_some(("times", "1")));
        logs(&albatros, &self.build, self.follow, query).await
    }
}

/// Prints standard output as it comes, and gives the build's code.
pub(super) async fn follow(albatros: &Albatros, build: &str) -> Result<Exit, ClientError> {
    logs(albatros, build, true, vec![("log", "stdout")]).await
}

async fn logs<'a>(
    albatros: &Albatros,
    build: &'a str,
    follow: bool,
    mut query: Vec<(&'a str, &'a str)>,
) -> Result<Exit, ClientError> {
    let Named::Build(id) = path(build)? else {
        return Err(ClientError::Usage("a claim has no log; `status` tells its build".to_owned()));
    };
    query.push(("job", build));
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
    if follow { verdict(albatros, &Named::Build(id)).await } else { Ok(Exit::Success) }
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
