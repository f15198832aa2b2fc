//! What the builder says of its runners, in variables that begin with `ALBATROS_RUNNER_`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use crate::domain::duration::Span;
use crate::sidecar::SettingsError;
use crate::sidecar::exec::DEFAULT_PATH;
use crate::sidecar::vars::Vars;

/// A runner that was given no job by then ends.
const IDLE: Span = Span::seconds(10 * 60);

/// What `albatros runner` was told.
#[derive(Debug)]
pub struct RunnerSettings {
    /// `ALBATROS_RUNNER_PROGRAM`.
    pub(super) program: Option<PathBuf>,
    /// `ALBATROS_RUNNER_CONFIG`: a configuration of `act_runner` in place of ours.
    pub(super) config: Option<PathBuf>,
    /// `ALBATROS_RUNNER_IMAGE`: jobs are run in containers of this image; without it, where the runner is.
    pub(super) image: Option<String>,
    /// `ALBATROS_RUNNER_DOCKER`: the `DOCKER_HOST` of the runner's program.
    pub(super) docker: Option<OsString>,
    /// `ALBATROS_RUNNER_IDLE`.
    pub(super) idle: Span,
    /// Where the runner's folder is made.
    pub(super) place: PathBuf,
    /// Where programs are looked for.
    pub(super) path: OsString,
    /// What of the environment is nothing of this build's.
    pub(super) vars: Vec<(OsString, OsString)>,
}

impl RunnerSettings {
    /// Reads the environment that `exec` gives.
    ///
    /// # Errors
    /// Names the variable that is senseless.
    pub fn read(vars: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Self, SettingsError> {
        const IDLE_NAME: &str = "ALBATROS_RUNNER_IDLE";
        let vars: Vars = vars.into_iter().collect();
        let idle = vars.text(IDLE_NAME)?.map(|text| text.parse::<Span>()).transpose();
        let idle = idle.map_err(|error| SettingsError::Duration(IDLE_NAME, error))?;
        Ok(Self {
            program: vars.path("ALBATROS_RUNNER_PROGRAM"),
            config: vars.path("ALBATROS_RUNNER_CONFIG"),
            image: vars.text("ALBATROS_RUNNER_IMAGE")?,
            docker: vars.get("ALBATROS_RUNNER_DOCKER"),
            idle: idle.unwrap_or(IDLE),
            place: vars.path("TMPDIR").or_else(|| vars.path("HOME")).unwrap_or_else(|| PathBuf::from("/tmp")),
            path: vars.get("PATH").unwrap_or_else(|| DEFAULT_PATH.into()),
            vars: vars.only(|name| !is_of_the_build(name)),
        })
    }
}

/// A workflow in host mode has the whole environment of its runner's program: what belongs to this build, and not to the
/// workflow's, is not in it.
fn is_of_the_build(name: &OsStr) -> bool {
    const BEGIN: [&str; 4] = ["ALBATROS", "NOMAD_", "CONSUL_", "VAULT_"];
    const NAMES: [&str; 8] = ["SECRET_PATH", "REPO_URL", "COMMIT", "BRANCH", "FLAVOR", "REF", "EVENT", "CI"];
    BEGIN.iter().any(|prefix| name.as_bytes().starts_with(prefix.as_bytes()))
        || NAMES.iter().any(|known| name == *known)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn nothing_of_the_build_is_left_for_the_workflow() {
        let vars = [
            ("ALBATROS_TOKEN", "s3cr3t"),
            ("ALBATROS_API", "unix:/alloc/albatros.sock"),
            ("ALBATROS_RUNNER_IDLE", "2m"),
            ("NOMAD_TOKEN", "s3cr3t"),
            ("SECRET_PATH", "/secrets/albatros.params"),
            ("COMMIT", "0123"),
            ("JAVA_HOME", "/opt/java"),
            ("PATH", "/alloc/bin:/bin"),
            ("TMPDIR", "/local/tmp"),
        ];
        let settings = RunnerSettings::read(vars.map(|(name, value)| (name.into(), value.into()))).unwrap();
        let names: Vec<_> = settings.vars.iter().map(|(name, _)| name.to_str().unwrap()).collect();
        assert_eq!(names, ["JAVA_HOME", "PATH", "TMPDIR"]);
        assert_eq!((settings.idle.get(), settings.place), (Duration::from_secs(120), PathBuf::from("/local/tmp")));
    }

    #[test]
    fn a_limit_that_is_none_is_refused_by_name() {
        let error = RunnerSettings::read([("ALBATROS_RUNNER_IDLE".into(), "soon".into())]).unwrap_err();
        assert!(error.to_string().contains("ALBATROS_RUNNER_IDLE"));
    }
}
