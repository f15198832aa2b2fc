//! What a job finds in its working directory and what it leaves, by the same verbs that a script has.

use std::path::Path;
use std::process::Stdio;

use super::environment::Environment;
use super::say;
use crate::domain::job::{CacheUse, JobSpec, Leave, Take};

/// This program, also after its file was replaced.
const PROGRAM: &str = "/proc/self/exe";

/// Why a job cannot begin.
#[derive(Debug, thiserror::Error)]
pub(super) enum BlobsError {
    #[error("this program could not be started again")]
    Start(#[source] std::io::Error),
    #[error("the artifact {0} that the job gets could not be got")]
    Get(String),
    #[error("the artifact {0} that the job puts could not be declared")]
    Put(String),
}

/// Gets artifacts, restores caches, and declares what is to be kept.
pub(super) async fn bring(job: &JobSpec, workspace: &Path, environment: &Environment) -> Result<(), BlobsError> {
    for take in &job.get {
        if !verb(get(take), workspace, environment).await? {
            return Err(BlobsError::Get(take.artifact.to_string()));
        }
    }
    for cache in &job.caches {
        // A job does without: it only takes longer.
        if !verb(restore(cache), workspace, environment).await? {
            say(&format!("the cache {} could not be restored", cache.key));
        }
    }
    for leave in &job.put {
        if !verb(put(leave), workspace, environment).await? {
            return Err(BlobsError::Put(leave.artifact.to_string()));
        }
    }
    Ok(())
}

async fn verb(args: Vec<&str>, workspace: &Path, environment: &Environment) -> Result<bool, BlobsError> {
    let mut command = tokio::process::Command::new(PROGRAM);
    command.arg0("albatros").args(args).current_dir(workspace).env_clear().stdin(Stdio::null()).kill_on_drop(true);
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    command.status().await.map(|status| status.success()).map_err(BlobsError::Start)
}

fn get(take: &Take) -> Vec<&str> {
    let mut args = vec!["artifact", "get", "--", take.artifact.as_str()];
    args.extend(take.into.as_deref());
    args
}

fn put(leave: &Leave) -> Vec<&str> {
    let mut args = vec!["artifact", "put", "--at-end", "--", leave.artifact.as_str()];
    args.extend(leave.paths.iter().map(String::as_str));
    args
}

fn restore(cache: &CacheUse) -> Vec<&str> {
    let mut args = vec!["cache", "restore", "--save"];
    for (flag, values) in [("--fallback", &cache.fallback), ("--hash", &cache.hash)] {
        args.extend(values.iter().flat_map(|value| [flag, value.as_str()]));
    }
    args.extend(["--", cache.key.as_str()]);
    args.extend(cache.paths.iter().map(String::as_str));
    args
}
