//! `albatros explain`: what would happen to a delivery and why, with nothing done.

use std::fs::File;
use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};

use crate::domain::explain::{BuilderFile, Decision, DeliveryFile, Explanation, FileError, explain, sentence};

/// What a wrong use exits with.
const WRONG_USE: u8 = 2;
/// The largest file that is read: a body of 8 MiB may take six times that as a JSON string.
const MAX_FILE: u64 = 64 * 1024 * 1024;

/// Say what would happen to a delivery and why, with nothing done.
///
/// Exits with 0 if it would be built, 9 if held for approval, 10 if ignored, 11 if refused, 12 if skipped, and 2 for a
/// file that cannot be read.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ExplainArgs {
    /// The repository's configuration, as it stands in the registry.
    #[arg(value_name = "CONFIG.json")]
    config: PathBuf,
    /// A bare body (which counts as verified), or `{"method", "path", "headers": [[name, value], …], "body"}`.
    #[arg(value_name = "DELIVERY.json")]
    delivery: PathBuf,
    /// The builder, as `nomad job inspect` prints it; without it only the four values every build has are planned.
    #[arg(long, value_name = "JOB.json")]
    builder: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum ExplainError {
    #[error("cannot read {path}")]
    Unreadable {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot use {path}")]
    Wrong {
        path: PathBuf,
        #[source]
        source: FileError,
    },
}

/// Prints the answer, and gives the exit code.
///
/// # Errors
/// When nothing can be printed.
pub(crate) fn run(args: &ExplainArgs) -> io::Result<u8> {
    match answer(args) {
        Ok(explanation) => {
            let mut out = io::stdout().lock();
            if args.json {
                writeln!(out, "{}", serde_json::to_string(&explanation)?)?;
            } else {
                write_text(&mut out, &explanation)?;
            }
            out.flush()?;
            Ok(explanation.decision.exit_code())
        }
        Err(why) => {
            writeln!(io::stderr().lock(), "albatros explain: {}", sentence(&why))?;
            Ok(WRONG_USE)
        }
    }
}

fn answer(args: &ExplainArgs) -> Result<Explanation, ExplainError> {
    let wrong = |path: &Path| {
        let path = path.to_owned();
        move |source| ExplainError::Wrong { path, source }
    };
    let config = read(&args.config)?;
    let delivery = DeliveryFile::parse(&read(&args.delivery)?).map_err(wrong(&args.delivery))?;
    let builder = match &args.builder {
        Some(path) => Some(BuilderFile::parse(&read(path)?).map_err(wrong(path))?),
        None => None,
    };
    Ok(explain(&config, &delivery, builder.as_ref()))
}

fn read(path: &Path) -> Result<Vec<u8>, ExplainError> {
    let unreadable = |source| ExplainError::Unreadable { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if u64::try_from(bytes.len()).is_ok_and(|read| read > MAX_FILE) {
        return Err(unreadable(io::Error::other("the file is larger than 64 MiB")));
    }
    Ok(bytes)
}

fn write_text(out: &mut impl Write, answer: &Explanation) -> io::Result<()> {
    let word = match answer.decision {
        Decision::Build => "would build",
        Decision::Held => "would be held for approval",
        Decision::Skipped => "would be skipped",
        Decision::Ignored => "would be ignored",
        Decision::Refused => "would be refused",
    };
    writeln!(out, "{word}: {}", answer.reason)?;
    if let Some(event) = answer.event {
        writeln!(out, "event    {}", event.as_str())?;
    }
    let trusted = if answer.trusted { "yes" } else { "no" };
    writeln!(out, "trusted  {trusted}: {}", answer.why_trusted)?;
    if let Some(builder) = &answer.builder {
        writeln!(out, "builder  {builder}")?;
    }
    if let Some(claim) = &answer.claim {
        writeln!(out, "claim    {claim}")?;
    }
    for what in &answer.given {
        writeln!(out, "given    {what}")?;
    }
    for what in &answer.asks {
        writeln!(out, "asks     {what}")?;
    }
    for (key, value) in answer.meta.iter().flatten() {
        writeln!(out, "meta     {key}={value}")?;
    }
    Ok(())
}
