//! `albatros report`

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::super::exit::Exit;
use super::BuildError;
use super::printed::Printed;
use crate::api::controller::{Controller, Reported};
use crate::domain::report::SUMMARY_LIMIT;

/// The largest file of test results that the controller takes.
const XML: usize = 8 * 1024 * 1024;
/// The longest name of one, bytes.
const NAME: usize = 256;

/// In the script of a build: say what is to be seen beside its exit code
///
/// Failed tests do not fail the build: the script's exit code does. Reported again under the same name, a file's results
/// replace those before.
///
/// Exits with 0; 2 for a wrong use, for a file that is too large or not what it should be, and outside of a build; 3 if
/// the controller does not answer.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("what").required(true).multiple(true).args(["summary", "junit"])))]
pub(crate) struct ReportArgs {
    /// A summary in Markdown; - reads standard input
    #[arg(long, value_name = "FILE")]
    summary: Option<PathBuf>,
    /// Put the summary behind the one that is there, instead of in its place
    #[arg(long, requires = "summary")]
    append: bool,
    /// Test results, JUnit XML; the name is the file's
    #[arg(long, value_name = "FILE", num_args = 1..)]
    junit: Vec<PathBuf>,
    #[command(flatten)]
    printed: Printed,
}

pub(super) async fn run(args: &ReportArgs, controller: &Controller) -> Result<Exit, BuildError> {
    let mut reported = Reported::default();
    if let Some(file) = &args.summary {
        let text = if file.as_os_str() == "-" {
            bounded(std::io::stdin().lock(), "standard input", SUMMARY_LIMIT)?
        } else {
            read(file, SUMMARY_LIMIT)?
        };
        reported = controller.summary(text, args.append).await?;
    }
    for file in &args.junit {
        let name = file.to_string_lossy();
        if name.len() > NAME {
            return Err(BuildError::Usage(format!("{name}: the name is longer than {NAME} bytes")));
        }
        let sent = controller.tests(&name, read(file, XML)?).await;
        reported = sent.map_err(|error| match super::BuildError::from(error) {
            error if error.exit() == Exit::Usage => BuildError::Usage(format!("{name}: {error}")),
            error => error,
        })?;
    }
    let line = reported.tests.map(|tests| {
        let word = if tests.total == 1 { "test" } else { "tests" };
        format!("{} {word}, {} failed, {} skipped", tests.total, tests.failed, tests.skipped)
    });
    match line {
        // A summary alone has nothing to be told.
        None if !args.printed.json() => {}
        line => args.printed.say(&line.unwrap_or_default(), &json!(reported))?,
    }
    Ok(Exit::Success)
}

fn read(path: &Path, most: usize) -> Result<Vec<u8>, BuildError> {
    let name = path.display().to_string();
    let file = std::fs::File::open(path).map_err(|error| BuildError::Usage(format!("{name}: {error}")))?;
    bounded(file, &name, most)
}

fn bounded(from: impl Read, name: &str, most: usize) -> Result<Vec<u8>, BuildError> {
    let mut bytes = Vec::new();
    let unread = |error| BuildError::Usage(format!("{name}: {error}"));
    from.take(most as u64 + 1).read_to_end(&mut bytes).map_err(unread)?;
    if bytes.len() > most {
        return Err(BuildError::Usage(format!("{name} is larger than {most} bytes")));
    }
    Ok(bytes)
}
