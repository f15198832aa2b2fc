//! The parameters of a repository that a job is given: those that it names, and no other.

use crate::domain::config::RepoConfig;
use crate::domain::job::JobSpec;
use crate::domain::params::{self, Params};
use crate::domain::secret::Secret;

/// Why a job cannot be given what it names. Says names, and never a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NamedError {
    /// There is none of that name.
    #[error("params: the repository has no parameter `{0}`")]
    Unknown(String),
    /// `inject` cannot be read by names.
    #[error("params: the repository's `inject` is no list of NAME=value lines, so nothing can be named in it")]
    NoList,
}

/// The lines of `inject` that a job names, as an env file; none where it names none.
///
/// # Errors
/// See [`NamedError`].
pub fn named(job: &JobSpec, config: &RepoConfig) -> Result<Option<Secret>, NamedError> {
    if job.params.is_empty() {
        return Ok(None);
    }
    let text = config.inject.as_ref().map(Secret::expose).unwrap_or_default();
    let all = Params::parse(text).map_err(|_line| NamedError::NoList)?;
    let mut lines = String::new();
    for name in &job.params {
        let value = all.get(name).ok_or_else(|| NamedError::Unknown(name.clone()))?;
        lines.push_str(&params::line(name, value));
    }
    Ok(Some(Secret::new(lines)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(inject: &str, params: &[&str]) -> Result<Option<String>, NamedError> {
        let config = serde_json::json!({"hook": {"secret": "s"}, "inject": inject}).to_string();
        let job = serde_json::json!({"name": "j", "params": params});
        let lines = named(&serde_json::from_value(job).unwrap(), &RepoConfig::parse(config.as_bytes()).unwrap())?;
        Ok(lines.map(|lines| lines.expose().to_owned()))
    }

    #[test]
    fn a_job_is_given_what_it_names_and_nothing_else() {
        let inject = "A='one $x'\nB=two\n# comment\nC=\"three\nlines\"";
        assert_eq!(given(inject, &[]), Ok(None));
        assert_eq!(given(inject, &["B"]), Ok(Some("B=\"two\"\n".to_owned())));
        let both = given(inject, &["C", "A"]).unwrap().unwrap();
        let read = Params::parse(&both).unwrap();
        assert_eq!((read.get("A"), read.get("C"), read.get("B")), (Some("one $x"), Some("three\nlines"), None));
    }

    #[test]
    fn what_cannot_be_given_is_named_without_a_value() {
        assert_eq!(given("A=s3cr3t", &["A", "B"]), Err(NamedError::Unknown("B".to_owned())));
        assert_eq!(given("", &["B"]), Err(NamedError::Unknown("B".to_owned())));
        assert_eq!(given("if s3cr3t; then", &["B"]), Err(NamedError::NoList));
    }
}
