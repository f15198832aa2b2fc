//! A job as it is typed.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::super::BuildError;
use crate::domain::duration::Span;
use crate::domain::id::{BlobId, JobName};
use crate::domain::job::{CacheUse, JobSpec, Leave, SPEC_MOST, Take, When};

#[derive(Debug, Args)]
pub(super) struct SpecArgs {
    /// Its name, once in a build; absent: after its image, else its program
    name: Option<JobName>,
    /// The container's image; absent: that of the job builder
    #[arg(long)]
    image: Option<String>,
    /// A variable of its environment
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    env: Vec<(String, String)>,
    /// A parameter of the repository that it is given, in its environment and at SECRET_PATH
    #[arg(long, value_name = "NAME")]
    param: Vec<String>,
    /// A job that must have ended before it, or a service that must be ready
    #[arg(long, value_name = "JOB")]
    need: Vec<JobName>,
    /// How those that it needs must have ended
    #[arg(long, value_enum, default_value = "success")]
    when: WhenArg,
    /// It serves: it is ready when its port takes connections
    #[arg(long, requires = "port")]
    service: bool,
    /// The port on which a service listens
    #[arg(long, requires = "service")]
    port: Option<u16>,
    /// Wait until a person approves it
    #[arg(long)]
    hold: bool,
    /// When it fails, stop all other jobs of this build
    #[arg(long)]
    stop_rest: bool,
    /// The longest it may run, as in 30m
    #[arg(long, value_name = "DURATION")]
    timeout: Option<Span>,
    /// An artifact that it finds, in its working directory or in DIR
    #[arg(long, value_name = "ARTIFACT[:DIR]", value_parser = take)]
    get: Vec<Take>,
    /// A path that is kept as an artifact when it has succeeded; several of the same artifact go together
    #[arg(long, value_name = "ARTIFACT=PATH", value_parser = pair)]
    put: Vec<(String, String)>,
    /// A path that is restored before and kept after it under KEY, which may hold {hash}
    #[arg(long, value_name = "KEY=PATH", value_parser = pair)]
    cache: Vec<(String, String)>,
    /// A beginning of keys that is good enough for a cache
    #[arg(long, value_name = "PREFIX", requires = "cache")]
    cache_fallback: Vec<String>,
    /// A file whose content makes {hash}
    #[arg(long, value_name = "FILE", requires = "cache")]
    cache_hash: Vec<String>,
    /// An empty working directory (what a service has anyway)
    #[arg(long, conflicts_with = "checkout")]
    no_checkout: bool,
    /// The commit as working directory of a service, too
    #[arg(long)]
    checkout: bool,
    /// A file of this machine as its script
    #[arg(long, value_name = "FILE", conflicts_with = "command")]
    script: Option<PathBuf>,
    /// Its program and arguments; without it and --script it runs .albatros
    #[arg(last = true)]
    command: Vec<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum WhenArg {
    Success,
    Failure,
    Always,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    if name.is_empty() { Err("expected NAME=VALUE".to_owned()) } else { Ok((name.to_owned(), value.to_owned())) }
}

fn take(text: &str) -> Result<Take, String> {
    let (artifact, into) = text.split_once(':').map_or((text, None), |(id, into)| (id, Some(into.to_owned())));
    Ok(Take { artifact: artifact.parse().map_err(|error: crate::domain::id::IdError| error.to_string())?, into })
}

/// Paths of the same name together, in the order in which the names came.
fn grouped(pairs: &[(String, String)]) -> Vec<(String, Vec<String>)> {
    let mut all: Vec<(String, Vec<String>)> = Vec::new();
    for (name, path) in pairs {
        match all.iter_mut().find(|(known, _)| known == name) {
            Some((_, paths)) => paths.push(path.clone()),
            None => all.push((name.clone(), vec![path.clone()])),
        }
    }
    all
}

impl SpecArgs {
    /// The job that was typed.
    pub(super) fn job(&self) -> Result<JobSpec, BuildError> {
        let put = grouped(&self.put).into_iter().map(|(artifact, paths)| {
            let artifact: BlobId = artifact.parse().map_err(|error| BuildError::Usage(format!("--put: {error}")))?;
            Ok(Leave { artifact, paths })
        });
        let caches = grouped(&self.cache).into_iter().map(|(key, paths)| CacheUse {
            key,
            fallback: self.cache_fallback.clone(),
            hash: self.cache_hash.clone(),
            paths,
        });
        Ok(JobSpec {
            name: self.name.clone().map_or_else(|| self.own_name(), Ok)?,
            image: self.image.clone(),
            command: self.command.clone(),
            script: self.script()?,
            env: self.env.iter().cloned().collect::<BTreeMap<_, _>>(),
            params: self.param.clone(),
            checkout: match (self.checkout, self.no_checkout) {
                (true, _) => Some(true),
                (false, true) => Some(false),
                (false, false) => None,
            },
            needs: self.need.clone(),
            when: match self.when {
                WhenArg::Success => When::Success,
                WhenArg::Failure => When::Failure,
                WhenArg::Always => When::Always,
            },
            hold: self.hold,
            stop_rest: self.stop_rest,
            service: self.service,
            port: self.port,
            timeout: self.timeout,
            get: self.get.clone(),
            put: put.collect::<Result<_, BuildError>>()?,
            caches: caches.collect(),
        })
    }

    fn script(&self) -> Result<Option<String>, BuildError> {
        let Some(path) = &self.script else { return Ok(None) };
        let wrong = |why: String| BuildError::Usage(format!("--script {}: {why}", path.display()));
        let size = std::fs::metadata(path).map_err(|error| wrong(error.to_string()))?.len();
        if size > SPEC_MOST as u64 {
            return Err(wrong(format!("it is larger than {SPEC_MOST} bytes: put it into the repository")));
        }
        std::fs::read_to_string(path).map(Some).map_err(|error| wrong(error.to_string()))
    }

    /// `postgres` of `docker.io/library/postgres:16`, `cargo` of `/usr/bin/cargo`.
    fn own_name(&self) -> Result<JobName, BuildError> {
        let last = |text: &str| text.rsplit('/').next().unwrap_or_default().to_owned();
        let of_image = self.image.as_deref().map(|image| {
            let name = last(image);
            name.split([':', '@']).next().unwrap_or_default().to_owned()
        });
        let name = of_image.or_else(|| self.command.first().map(|program| last(program)));
        let none = || BuildError::Usage("give the job a name: albatros job start NAME …".to_owned());
        name.and_then(|name| name.parse().ok()).ok_or_else(none)
    }
}
