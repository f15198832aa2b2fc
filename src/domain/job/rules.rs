//! What a job may say of itself.

use super::JobSpec;
use crate::domain::params;

/// A job as JSON, bytes: it stands in the registry.
pub(super) const SPEC_MOST: usize = 64 * 1024;
/// An image's name, bytes.
const IMAGE_MOST: usize = 512;
/// A path, bytes.
const PATH_MOST: usize = 4096;
/// Entries of any list.
const LIST_MOST: usize = 256;

/// Why a job is wrong by itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Two things to do.
    #[error("give either `command` or `script`")]
    Both,
    /// The program has no name.
    #[error("the first word of `command` is empty")]
    NoProgram,
    /// A script that says nothing.
    #[error("`script` is empty")]
    NoScript,
    /// Where does it serve?
    #[error("a service needs `port`, where it listens on 127.0.0.1")]
    NoPort,
    /// A port of nothing.
    #[error("`port` is for a service: say `service: true` too")]
    NoService,
    /// It never ends with success.
    #[error("a service puts no artifacts: nothing is kept of what was stopped")]
    ServicePuts,
    /// Nomad would have none of it.
    #[error("`image` is a name of at most {IMAGE_MOST} bytes, without spaces and control characters")]
    Image,
    /// Not a variable.
    #[error("`{0}` is no name of a variable that a job may set")]
    Name(String),
    /// No program can be given this.
    #[error("`{0}` holds a NUL byte")]
    Nul(&'static str),
    /// Outside, or nowhere.
    #[error("`{0:.100}`: expected a path below the working directory")]
    Path(String),
    /// Nothing is named.
    #[error("`{0}` names no path")]
    NoPath(String),
    /// Too long a list.
    #[error("`{0}` has more than {LIST_MOST} entries")]
    Long(&'static str),
    /// Too large.
    #[error("it is larger than {SPEC_MOST} bytes")]
    Large,
}

/// Everything that is wrong with a job by itself.
pub(super) fn faults(job: &JobSpec) -> Vec<Fault> {
    let mut faults = work(job);
    faults.extend(service(job));
    faults.extend(names(job));
    faults.extend(paths(job));
    faults.extend(sizes(job));
    faults
}

fn work(job: &JobSpec) -> Vec<Fault> {
    let mut faults = Vec::new();
    if job.script.is_some() && !job.command.is_empty() {
        faults.push(Fault::Both);
    }
    if job.command.first().is_some_and(String::is_empty) {
        faults.push(Fault::NoProgram);
    }
    if job.script.as_ref().is_some_and(|script| script.trim().is_empty()) {
        faults.push(Fault::NoScript);
    }
    if job.command.iter().any(|word| word.contains('\0')) {
        faults.push(Fault::Nul("command"));
    }
    if job.env.values().any(|value| value.contains('\0')) {
        faults.push(Fault::Nul("env"));
    }
    let odd = |c: char| c.is_control() || c.is_whitespace();
    if job.image.as_ref().is_some_and(|image| image.is_empty() || image.len() > IMAGE_MOST || image.contains(odd)) {
        faults.push(Fault::Image);
    }
    faults
}

fn service(job: &JobSpec) -> Option<Fault> {
    match (job.service, job.port) {
        (true, None | Some(0)) => Some(Fault::NoPort),
        (false, Some(_)) => Some(Fault::NoService),
        (true, Some(_)) if !job.put.is_empty() => Some(Fault::ServicePuts),
        (true, Some(_)) | (false, None) => None,
    }
}

fn names(job: &JobSpec) -> Vec<Fault> {
    let wrong = |name: &&String| {
        let odd = |c: char| c == '=' || c.is_control() || c.is_whitespace();
        let ours = ["ALBATROS_", "NOMAD_", "SECRET_PATH"].iter().any(|start| name.starts_with(start));
        name.is_empty() || name.contains(odd) || ours
    };
    let env = job.env.keys().filter(wrong);
    let params = job.params.iter().filter(|name| wrong(name) || params::forbidden(name));
    env.chain(params).map(|name| Fault::Name(name.chars().take(100).filter(|c| !c.is_control()).collect())).collect()
}

fn paths(job: &JobSpec) -> Vec<Fault> {
    let into = job.get.iter().filter_map(|take| take.into.as_ref());
    let put = job.put.iter().flat_map(|leave| &leave.paths);
    let caches = job.caches.iter().flat_map(|cache| cache.paths.iter().chain(&cache.hash));
    let all = into.chain(put).chain(caches);
    let mut faults: Vec<_> = all.filter(|path| !is_below(path)).map(|path| Fault::Path(shown(path))).collect();
    let empty = job.put.iter().filter(|leave| leave.paths.is_empty()).map(|leave| leave.artifact.to_string());
    let caches = job.caches.iter().filter(|cache| cache.paths.is_empty()).map(|cache| shown(&cache.key));
    faults.extend(empty.chain(caches).map(Fault::NoPath));
    faults
}

/// Whether a path as it is written can only mean something below the directory it is in.
fn is_below(path: &str) -> bool {
    let plain = !path.is_empty() && path.len() <= PATH_MOST && !path.starts_with('/') && !path.contains('\0');
    plain && path.split('/').all(|part| part != "..")
}

fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(100).collect()
}

fn sizes(job: &JobSpec) -> Vec<Fault> {
    let lists = [
        ("command", job.command.len()),
        ("env", job.env.len()),
        ("params", job.params.len()),
        ("needs", job.needs.len()),
        ("get", job.get.len()),
        ("put", job.put.iter().map(|leave| leave.paths.len().max(1)).sum()),
        ("caches", job.caches.iter().map(|it| it.paths.len() + it.hash.len() + it.fallback.len()).sum()),
    ];
    let long = lists.into_iter().filter(|(_, count)| *count > LIST_MOST);
    let mut faults: Vec<_> = long.map(|(name, _)| Fault::Long(name)).collect();
    if serde_json::to_vec(job).map_or(usize::MAX, |bytes| bytes.len()) > SPEC_MOST {
        faults.push(Fault::Large);
    }
    faults
}
