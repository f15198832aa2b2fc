//! `albatros builder register`: check, show what changes, register.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::check::{How, of_file};
use super::file::{Source, Variables};
use super::print::{self, Checked};
use super::{BuilderError, Where, connect, unanswered};
use crate::api::nomad::{Nomad, NomadError, Parsed, Registered};
use crate::cli::exit::Exit;
use crate::cli::settings::Environment;
use crate::domain::builder_check::{Job, refusal};
use crate::domain::finding::{Severity, fails};
use crate::domain::id::BuilderName;
use crate::domain::job_diff;

/// Register a builder in the builds' namespace, if nothing is wrong with it, and say what that changes.
#[derive(Debug, Args)]
pub(crate) struct RegisterArgs {
    #[command(flatten)]
    at: Where,
    /// The job file; `-` for standard input
    file: PathBuf,
    #[command(flatten)]
    variables: Variables,
    /// Refuse it for warnings too
    #[arg(long, conflicts_with = "force")]
    strict: bool,
    /// Register it in spite of errors that Nomad itself does not mind
    #[arg(long)]
    force: bool,
    /// Say what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Make the builds' namespace first, if there is none
    #[arg(long, conflicts_with = "dry_run")]
    create_namespace: bool,
    /// No untrusted build reaches it (`builders.untrusted` names another)
    #[arg(long)]
    trusted_only: bool,
}

impl RegisterArgs {
    pub(super) async fn run(self, env: Environment<'_>) -> Result<Exit, BuilderError> {
        let nomad = connect(&self.at, env)?;
        let what = self.file.display().to_string();
        let source = Source::read(&self.file, &self.variables, env)?;
        // Nobody registers what Nomad has not read.
        let parsed = match &source {
            Source::Json(job) => Parsed::Job(job.clone()),
            Source::Hcl { text, .. } => {
                nomad.parse(text, &source.variables()).await.map_err(unanswered(&nomad, "submit-job"))?
            }
        };
        if self.create_namespace {
            nomad.make_namespace().await.map_err(unmade(&nomad))?;
        }
        let how = How { nomad: &nomad, offline: false, trusted_only: self.trusted_only };
        let (checked, job) = of_file(&what, &source, &how, Some(parsed)).await;
        if checked.findings.iter().any(|finding| finding.name == "no-builder") {
            let name = &checked.builder;
            return Err(BuilderError::Usage(format!(
                "the job \"{name}\" is no builder; nomad job run {what} registers it"
            )));
        }
        let Some(mut job) = job else {
            return self.refuse(&nomad, &checked);
        };
        let read = Job::read(&job).map_err(|error| BuilderError::Usage(format!("{what}: no job: {error}")))?;
        place(&mut job, &read, &nomad)?;
        let hopeless = checked.findings.iter().any(|finding| finding.name == "nomad-refuses");
        if fails(&checked.findings, self.strict) && (!self.force || hopeless) {
            return self.refuse(&nomad, &checked);
        }
        self.change(&nomad, &read, &job, checked).await
    }

    fn refuse(&self, nomad: &Nomad, checked: &Checked) -> Result<Exit, BuilderError> {
        if self.at.json {
            print::json(&json!({
                "builder": checked.builder, "namespace": nomad.namespace(), "state": "refused", "changes": [],
                "findings": checked.findings,
            }))?;
        } else {
            print::lines(&format!("{}not registered", checked.text()))?;
        }
        Ok(Exit::Failed)
    }

    async fn change(&self, nomad: &Nomad, read: &Job, job: &Value, mut checked: Checked) -> Result<Exit, BuilderError> {
        let name = &read.id;
        let planned = nomad.plan(name, job).await.map_err(unanswered(nomad, "submit-job"))?;
        let changes = job_diff::changes(&planned.diff);
        let new = planned.job_modify_index == 0;
        let same = !new && changes.is_empty() && read.stop != Some(true) && !was_stopped(nomad, name).await;
        let registers = !self.dry_run && !same;
        if registers {
            let done = nomad.register(job, planned.job_modify_index).await.map_err(unanswered(nomad, "submit-job"))?;
            if let Registered::Refused(words) = done {
                if words.contains("Enforcing job modify index") {
                    let sentence =
                        format!("somebody else has changed \"{name}\" meanwhile: nothing was done, run this again");
                    return Err(BuilderError::Usage(sentence));
                }
                checked.findings.extend(refusal(&words));
                return self.refuse(nomad, &checked);
            }
        }
        let state = match (registers, new, same) {
            (_, _, true) => "unchanged",
            (false, true, false) => "would be new",
            (false, false, false) => "would change",
            (true, true, false) => "new",
            (true, false, false) => "changed",
        };
        if self.at.json {
            let answer = json!({
                "builder": name, "namespace": nomad.namespace(), "state": state, "changes": changes,
                "findings": checked.findings, "configuration": configuration(read),
            });
            print::json(&answer)?;
            return Ok(Exit::Success);
        }
        let mut text = String::new();
        for finding in checked.findings.iter().filter(|finding| finding.severity != Severity::Note) {
            text.push_str(&format!("{}\n", finding.text(&checked.what)));
        }
        if !new {
            changes.iter().for_each(|change| text.push_str(&format!("  {change}\n")));
        }
        text.push_str(&format!("builder \"{name}\" in the namespace \"{}\": {state}\n", nomad.namespace()));
        if registers {
            text.push_str(&use_of(read));
        }
        print::lines(&text)?;
        Ok(Exit::Success)
    }
}

/// What to do about a namespace that cannot be made.
fn unmade(nomad: &Nomad) -> impl FnOnce(NomadError) -> BuilderError {
    let namespace = nomad.namespace().to_owned();
    move |source| {
        let hint = if source.is_denied() {
            format!("NOMAD_TOKEN may not make namespaces: have an operator run nomad namespace apply {namespace}")
        } else {
            format!("the namespace \"{namespace}\" cannot be made")
        };
        BuilderError::Nomad { hint, source }
    }
}

/// Puts the job where builds are dispatched.
fn place(job: &mut Value, read: &Job, nomad: &Nomad) -> Result<(), BuilderError> {
    let ours = nomad.namespace();
    if let Some(theirs) = read.namespace.as_deref().filter(|theirs| *theirs != ours) {
        return Err(BuilderError::Usage(format!(
            "the file is for the namespace \"{theirs}\", and builds are dispatched in \"{ours}\": give -var namespace={ours}, or --namespace {theirs} if serve has ALBATROS_NAMESPACE={theirs}"
        )));
    }
    if let Some(job) = job.as_object_mut() {
        job.insert("Namespace".to_owned(), ours.into());
    }
    Ok(())
}

/// A stopped job that is registered as it stands comes back.
async fn was_stopped(nomad: &Nomad, name: &str) -> bool {
    matches!(nomad.job(name).await, Ok(Some(job)) if job.stop)
}

/// What stands in the configuration of a repository that is built by it.
fn configuration(job: &Job) -> Value {
    let name = &job.id;
    if job.takes("JOB") { json!({"builders": {"jobs": name}}) } else { json!({"builders": {"default": name}}) }
}

fn use_of(job: &Job) -> String {
    let default = if job.takes("JOB") { BuilderName::of_jobs() } else { BuilderName::default() };
    if job.id == default.as_str() {
        let what = if job.takes("JOB") { "jobs of builds" } else { "builds" };
        return format!("{what} take it unless a repository's configuration names another\n");
    }
    format!("in a repository's configuration: {}\n", configuration(job))
}
