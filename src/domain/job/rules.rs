//! What a job may say of its artifacts, caches and lists, beside what [`JobSpec::check`] looks at.

use super::{JobSpec, SpecError};
use crate::domain::params;

/// A path, bytes.
const PATH_MOST: usize = 4096;
/// Entries of any list.
const LIST_MOST: usize = 256;

/// Why a job is wrong by itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// serve would say the same.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// A script that says nothing.
    #[error("`script` is empty")]
    NoScript,
    /// There is no `.albatros` where there is no checkout.
    #[error(
        "without a checkout it needs `command` or `script`; an image's own entrypoint is not run by itself: name it, as in \
         docker-entrypoint.sh postgres"
    )]
    NoWork,
    /// It never ends with success.
    #[error("a service puts no artifacts: nothing is kept of what was stopped")]
    ServicePuts,
    /// Not a parameter that may become a variable.
    #[error("params: `{0}` is no name of a variable that a job may be given")]
    Param(String),
    /// Outside, or nowhere.
    #[error("`{0}`: expected a path below the working directory")]
    Path(String),
    /// Nothing is named.
    #[error("`{0}` names no path")]
    NoPath(String),
    /// Too long a list.
    #[error("`{0}` has more than {LIST_MOST} entries")]
    Long(&'static str),
}

/// Everything that is wrong with a job by itself.
pub(super) fn faults(job: &JobSpec) -> Vec<Fault> {
    let mut faults: Vec<Fault> = job.check().err().map(Fault::Spec).into_iter().collect();
    if job.script.as_ref().is_some_and(|script| script.trim().is_empty()) {
        faults.push(Fault::NoScript);
    }
    let checkout = job.checkout.unwrap_or(!job.service);
    if !checkout && job.script.is_none() && job.command.is_empty() {
        faults.push(Fault::NoWork);
    }
    if job.service && !job.put.is_empty() {
        faults.push(Fault::ServicePuts);
    }
    let odd = |name: &&String| {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        name.is_empty() || !name.chars().all(plain) || params::forbidden(name)
    };
    faults.extend(job.params.iter().filter(odd).map(|name| Fault::Param(shown(name))));
    faults.extend(paths(job));
    faults.extend(sizes(job));
    faults
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
    long.map(|(name, _)| Fault::Long(name)).collect()
}
