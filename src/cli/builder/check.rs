//! `albatros builder check`: what is wrong with a builder, in a file or registered.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::Value;

use super::file::{Source, Variables};
use super::print::{self, Checked};
use super::{BuilderError, Where, connect, unanswered, unknown};
use crate::api::nomad::{Nomad, NomadError, Parsed};
use crate::cli::exit::Exit;
use crate::cli::settings::Environment;
use crate::domain::builder_check::{self, About, Cluster, Job, parse_refusal};
use crate::domain::finding::{Finding, fails};
use crate::domain::job_file::{JobFileError, Sketch};

/// What Nomad says of a variable that nobody has given a value.
const UNSET: &str = "Unset variable";

/// Say what is wrong with builders: job files, or the names of registered ones.
///
/// A file is read by Nomad where it answers, and without it as far as that goes. Exits with 0 if nothing is wrong, 1
/// for errors (--strict: warnings too), 2 for wrong use, 3 if a registered one is asked for and Nomad does not answer.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    at: Where,
    /// Job files (`-` for standard input), or names of builders
    #[arg(required = true, value_name = "FILE|NAME")]
    what: Vec<PathBuf>,
    #[command(flatten)]
    variables: Variables,
    /// Warnings are errors
    #[arg(long)]
    strict: bool,
    /// No untrusted build reaches it (`builders.untrusted` names another): credentials on its executor are fine then
    #[arg(long)]
    trusted_only: bool,
    /// Do not ask Nomad
    #[arg(long)]
    offline: bool,
}

impl CheckArgs {
    pub(super) async fn run(self, env: Environment<'_>) -> Result<Exit, BuilderError> {
        let nomad = connect(&self.at, env)?;
        let mut all = Vec::new();
        for what in &self.what {
            let how = How { nomad: &nomad, offline: self.offline, trusted_only: self.trusted_only };
            let checked = if is_file(what) {
                let source = Source::read(what, &self.variables, env)?;
                of_file(&what.display().to_string(), &source, &how, None).await.0
            } else {
                of_name(&what.display().to_string(), &how).await?
            };
            all.push(checked);
        }
        print::checked(&all, self.at.json, self.strict)?;
        let failed = all.iter().any(|checked| fails(&checked.findings, self.strict));
        Ok(if failed { Exit::Failed } else { Exit::Success })
    }
}

/// Names of builders may have slashes and dots; files are there, or are called as files.
fn is_file(what: &Path) -> bool {
    let like_one = ["hcl", "nomad", "json"].iter().any(|end| what.extension().is_some_and(|it| it == *end));
    what.as_os_str() == "-" || like_one || what.is_file()
}

/// How to check.
pub(super) struct How<'a> {
    pub(super) nomad: &'a Nomad,
    pub(super) offline: bool,
    pub(super) trusted_only: bool,
}

impl How<'_> {
    /// A registered builder by itself: Nomad's opinion and the cluster are left out. None where it cannot be read.
    pub(super) async fn glance(&self, name: &str) -> Option<Checked> {
        let job = self.nomad.whole_job(name).await.ok().flatten()?;
        let findings = self.of(&job, &Sketch::default(), &Cluster::default());
        Some(Checked { what: name.to_owned(), builder: name.to_owned(), asked: true, findings })
    }

    fn of(&self, job: &Value, sketch: &Sketch, cluster: &Cluster) -> Vec<Finding> {
        let about = About { sketch, cluster, namespace: self.nomad.namespace(), trusted_only: self.trusted_only };
        match Job::read(job) {
            Ok(job) => builder_check::check(&job, &about),
            Err(error) => {
                let sentence = format!("this is no job of Nomad's: {error}");
                vec![Finding::error("nomad-refuses", sentence, "give a job file, or what `nomad job inspect` prints")]
            }
        }
    }
}

/// A file, and the job in it: as Nomad has read it already, or is asked to.
pub(super) async fn of_file(
    what: &str,
    source: &Source,
    how: &How<'_>,
    parsed: Option<Parsed>,
) -> (Checked, Option<Value>) {
    let mut sketch = source.sketch();
    let mut findings = Vec::new();
    let read = match parsed {
        Some(parsed) => Some(parsed),
        None if how.offline => None,
        None => read(source, how.nomad, &mut findings).await,
    };
    let asked = read.is_some();
    let job = match read {
        Some(Parsed::Job(job)) => {
            sketch.doubts.clear();
            Some(job)
        }
        Some(Parsed::Refused(words)) => {
            // A job for something else may want values that nobody has to give for this.
            let wants = words.contains(UNSET);
            let without = sketch.job.iter().filter(|_| wants);
            let without = without.flat_map(|job| how.of(job, &sketch, &Cluster::default()));
            match without.into_iter().find(|finding| finding.name == "no-builder") {
                Some(none) => findings.push(none),
                None => findings.extend(parse_refusal(&words)),
            }
            None
        }
        None => {
            findings.extend(not_read(source, &sketch));
            sketch.job.clone()
        }
    };
    let mut cluster = Cluster::default();
    if let (Some(job), true) = (&job, asked) {
        cluster = known(job, how.nomad, &mut findings).await;
    }
    findings.extend(job.iter().flat_map(|job| how.of(job, &sketch, &cluster)));
    findings.sort_by_key(|finding| finding.line);
    let name = job.as_ref().or(sketch.job.as_ref()).and_then(|job| job.get("ID")).and_then(Value::as_str);
    let name = name.unwrap_or_default();
    (Checked { what: what.to_owned(), builder: name.to_owned(), asked, findings }, job)
}

/// The file as Nomad reads it; none where it cannot be asked, which is noted.
async fn read(source: &Source, nomad: &Nomad, findings: &mut Vec<Finding>) -> Option<Parsed> {
    let parsed = match source {
        Source::Json(job) => Ok(Parsed::Job(job.clone())),
        Source::Hcl { text, .. } => nomad.parse(text, &source.variables()).await,
    };
    match parsed {
        Ok(parsed) => Some(parsed),
        Err(error) => {
            let (why, fix) = if error.is_denied() {
                let namespace = nomad.namespace();
                ("Nomad did not read it: permission denied", format!("a NOMAD_TOKEN with parse-job in \"{namespace}\""))
            } else {
                ("Nomad was not asked: it does not answer", "set NOMAD_ADDR, or say --offline".to_owned())
            };
            let sentence = format!("{why}; policies and what only Nomad knows of the job were not checked");
            findings.push(Finding::note("offline", sentence, fix));
            None
        }
    }
}

/// Why a file was not read, where Nomad has not said so.
fn not_read(source: &Source, sketch: &Sketch) -> Option<Finding> {
    match source {
        Source::Hcl { parsed: Err(JobFileError::Syntax { line, why }), .. } => {
            let fix = "nomad fmt shows where blocks begin and end";
            Some(Finding::error("hcl-syntax", format!("it is no HCL: {why}"), fix).at(Some(*line)))
        }
        Source::Hcl { parsed: Err(error @ JobFileError::TooLarge), .. } => {
            Some(Finding::error("hcl-syntax", error.to_string(), "give a job file"))
        }
        Source::Hcl { parsed: Ok(_), .. } if sketch.job.is_none() => Some(Finding::error(
            "hcl-syntax",
            "the file has no job",
            "add job \"builder\" { … }, as in hcl/builder.hcl",
        )),
        Source::Hcl { .. } | Source::Json(_) => None,
    }
}

/// What Nomad says of a job, and what is known of the cluster.
async fn known(job: &Value, nomad: &Nomad, findings: &mut Vec<Finding>) -> Cluster {
    let silent =
        |what: &str, error: &NomadError| Finding::note("offline", format!("Nomad did not say {what}: {error}"), "");
    match nomad.validate(job).await {
        Ok(validated) => {
            findings.extend(builder_check::refusal(&validated.error));
            findings.extend(builder_check::warnings(&validated.warnings));
        }
        Err(error) => findings.push(silent("whether it would take the job", &error)),
    }
    let name = job.get("ID").and_then(Value::as_str).unwrap_or_default();
    match nomad.cluster(name).await {
        Ok(cluster) => cluster,
        Err(error) => {
            findings.push(silent("which policies there are", &error));
            Cluster::default()
        }
    }
}

/// A registered builder.
pub(super) async fn of_name(name: &str, how: &How<'_>) -> Result<Checked, BuilderError> {
    if how.offline {
        return Err(BuilderError::Usage(format!("{name}: there is no such file, and Nomad is not to be asked")));
    }
    let job = how.nomad.whole_job(name).await.map_err(unanswered(how.nomad, "read-job"))?;
    let Some(job) = job else {
        return Err(unknown(how.nomad, name).await);
    };
    let mut findings = Vec::new();
    let cluster = known(&job, how.nomad, &mut findings).await;
    findings.extend(how.of(&job, &Sketch::default(), &cluster));
    Ok(Checked { what: name.to_owned(), builder: name.to_owned(), asked: true, findings })
}
