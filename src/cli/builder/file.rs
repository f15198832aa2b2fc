//! A job file and its variables, as typed.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::Value;

use super::BuilderError;
use crate::cli::settings::Environment;
use crate::domain::job_file::{Given, JobFile, JobFileError, LARGEST, Sketch};

/// Values for a job file's variables. NOMAD_VAR_… of the environment counts too, as with `nomad job run`.
#[derive(Debug, Args)]
pub(super) struct Variables {
    /// A value for a variable of the file (as `nomad job run -var`)
    #[arg(long = "var", value_name = "NAME=VALUE")]
    var: Vec<String>,
    /// A file of them
    #[arg(long, value_name = "FILE")]
    var_file: Vec<PathBuf>,
}

/// What a file says.
pub(super) enum Source {
    /// A job file, or why it is none.
    Hcl { text: String, parsed: Result<JobFile, JobFileError>, given: Given },
    /// A job as `nomad job inspect` prints it.
    Json(Value),
}

impl Source {
    /// Reads a file; `-` is standard input.
    pub(super) fn read(path: &Path, variables: &Variables, env: Environment<'_>) -> Result<Self, BuilderError> {
        let text = text(path)?;
        if text.trim_start().starts_with('{') {
            let wrong = |error| BuilderError::Usage(format!("{}: neither HCL nor JSON: {error}", path.display()));
            let mut json: Value = serde_json::from_str(&text).map_err(wrong)?;
            let within = json.get_mut("Job").map(Value::take);
            return Ok(Self::Json(within.unwrap_or(json)));
        }
        let parsed = JobFile::parse(text.clone());
        let given = variables.given(parsed.as_ref().ok(), env)?;
        Ok(Self::Hcl { text, parsed, given })
    }

    /// What can be told of it without Nomad.
    pub(super) fn sketch(&self) -> Sketch {
        match self {
            Self::Hcl { parsed: Ok(file), given, .. } => file.sketch(given),
            Self::Hcl { parsed: Err(_), .. } => Sketch::default(),
            Self::Json(job) => Sketch { job: Some(job.clone()), ..Sketch::default() },
        }
    }

    /// The values of its variables, for Nomad to read.
    pub(super) fn variables(&self) -> String {
        match self {
            Self::Hcl { parsed, given, .. } => {
                given.for_nomad(&parsed.as_ref().map(JobFile::variables).unwrap_or_default())
            }
            Self::Json(_) => String::new(),
        }
    }
}

impl Variables {
    fn given(&self, file: Option<&JobFile>, env: Environment<'_>) -> Result<Given, BuilderError> {
        let usage = |error: &dyn std::fmt::Display| BuilderError::Usage(format!("{error}"));
        let mut given = Given::default();
        for path in &self.var_file {
            let values = text(path)?;
            given.file(&values).map_err(|error| BuilderError::Usage(format!("{}: {error}", path.display())))?;
        }
        for pair in &self.var {
            given.typed(pair).map_err(|error| usage(&error))?;
        }
        let declared = file.map(JobFile::variables).unwrap_or_default();
        for name in declared.keys() {
            if let Some(value) = env(&format!("NOMAD_VAR_{name}")) {
                given.environment(name, value);
            }
        }
        if file.is_some() {
            let unknown = given.names().find(|name| !declared.contains_key(*name));
            if let Some(name) = unknown {
                let meant = crate::domain::near::nearest(name, declared.keys().map(String::as_str));
                let meant = meant.map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
                return Err(BuilderError::Usage(format!("the file has no variable \"{name}\"{meant}")));
            }
        }
        Ok(given)
    }
}

fn text(path: &Path) -> Result<String, BuilderError> {
    let unreadable = |error: io::Error| BuilderError::Usage(format!("cannot read {}: {error}", path.display()));
    let mut bytes = Vec::new();
    let most = u64::try_from(LARGEST).unwrap_or(u64::MAX);
    if path.as_os_str() == "-" {
        io::stdin().lock().take(most + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    } else {
        File::open(path).map_err(unreadable)?.take(most + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    }
    if bytes.len() > LARGEST {
        return Err(BuilderError::Usage(format!("{}: {}", path.display(), JobFileError::TooLarge)));
    }
    String::from_utf8(bytes).map_err(|_binary| BuilderError::Usage(format!("{}: it is no text", path.display())))
}
