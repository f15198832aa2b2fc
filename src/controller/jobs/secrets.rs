//! Values of parameters have no place in a job: that is kept in the registry, and shown to who may see the build.

use super::super::session::Granted;
use crate::domain::job::JobSpec;
use crate::domain::params::Params;

/// Shorter values are found everywhere.
const SHORTEST: usize = 8;

/// A sentence that names the parameter whose value stands in a job, and never the value.
pub(super) fn find(granted: &Granted, jobs: &[JobSpec]) -> Option<String> {
    let params = granted.params.as_ref().ok()?;
    jobs.iter().find_map(|job| {
        let name = named(params, job)?;
        Some(format!(
            "job {}: the value of the parameter {name} stands in it; give it by params: [\"{name}\"], which keeps it out of \
             the registry",
            job.name
        ))
    })
}

fn named<'a>(params: &'a Params, job: &JobSpec) -> Option<&'a str> {
    let texts = || job.env.values().chain(&job.command).chain(&job.script).chain(&job.image);
    let long = params.iter().filter(|(_, value)| value.len() >= SHORTEST);
    long.into_iter().find(|(_, value)| texts().any(|text| text.contains(value))).map(|(name, _)| name)
}
