//! What the executor task's environment says: the build's meta and directories, in Nomad's names.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::network::Network;
use crate::domain::container::{self, Container};
use crate::domain::grant::Checkout;
use crate::domain::id::CommitSha;
use crate::domain::runner;
use crate::domain::secret::Secret;
use crate::sidecar::SettingsError;
use crate::sidecar::checkout::{Plan, Source};
use crate::sidecar::vars::Vars;

/// Where a script's commands are looked for, unless a builder or an image says otherwise.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What `exec` was told.
#[derive(Debug, Clone)]
pub struct ExecSettings {
    pub(super) repo_url: String,
    pub(super) commit: CommitSha,
    pub(super) branch: String,
    pub(super) flavor: String,
    pub(super) git_ref: Option<String>,
    pub(super) event: Option<String>,
    pub(super) build: String,
    pub(super) alloc_dir: PathBuf,
    pub(super) task_dir: PathBuf,
    pub(super) secret_path: Option<PathBuf>,
    pub(super) secrets_dir: Option<PathBuf>,
    /// `ALBATROS_API` and `ALBATROS_TOKEN`, where a builder names them.
    pub(super) api: Option<String>,
    pub(super) token: Option<Secret>,
    pub(super) network: Network,
    pub(super) source: Source,
    pub(super) patience: Duration,
    pub(super) script_path: OsString,
    pub(super) git_path: OsString,
    pub(super) git_vars: Vec<(OsString, OsString)>,
    /// Services are on the script's own loopback.
    pub(super) shared_loopback: bool,
    /// On one machine: the container that a job's script is run in, or why there is none.
    pub(super) container: Option<Container>,
    pub(super) no_container: Option<String>,
    /// It runs in a container of an image.
    pub(super) of_image: bool,
    pub(super) image_vars: Vec<(OsString, OsString)>,
    /// `ALBATROS_FINISH`: it is this process that tells the controller of the script's end.
    pub(super) finish: bool,
    /// What the builder says of its runners, for `albatros runner`.
    pub(super) runner_vars: Vec<(OsString, OsString)>,
}

/// What is never an image's own variable.
const NOT_OF_AN_IMAGE: &[&str] = &["NOMAD_", "CONSUL_", "VAULT_", "ALBATROS_", "SECRET_PATH"];

impl ExecSettings {
    /// Reads the variables that Nomad (or the local engine) gives to a task.
    ///
    /// # Errors
    /// When one that is needed is missing or senseless.
    pub fn read(vars: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Self, SettingsError> {
        Self::parse(&vars.into_iter().collect())
    }

    fn parse(vars: &Vars) -> Result<Self, SettingsError> {
        // That there is a container does not tell whose variables these are: an agent may live in one too.
        let of_image = vars.get("ALBATROS_IMAGE_ENV").is_some();
        let alloc_dir = PathBuf::from(vars.need("NOMAD_ALLOC_DIR")?);
        let git_path = vars.get("PATH").unwrap_or_else(|| OsString::from(DEFAULT_PATH));
        let default_path = if of_image { git_path.clone() } else { OsString::from(DEFAULT_PATH) };
        Ok(Self {
            repo_url: vars.need("NOMAD_META_REPO_URL")?,
            commit: vars.need("NOMAD_META_COMMIT")?.parse()?,
            branch: vars.need("NOMAD_META_BRANCH")?,
            flavor: vars.need("NOMAD_META_FLAVOR")?,
            git_ref: vars.text("NOMAD_META_REF")?,
            event: vars.text("NOMAD_META_EVENT")?,
            build: vars.text("NOMAD_JOB_ID")?.unwrap_or_default(),
            task_dir: vars.path("NOMAD_TASK_DIR").unwrap_or_else(|| alloc_dir.clone()),
            alloc_dir,
            secret_path: vars.path("SECRET_PATH"),
            secrets_dir: vars.path("NOMAD_SECRETS_DIR"),
            api: vars.text("ALBATROS_API")?,
            token: vars.text("ALBATROS_TOKEN")?.map(Secret::new),
            network: Network::parse(vars.text("ALBATROS_NETWORK")?.as_deref())?,
            source: vars.source(),
            patience: vars.patience()?,
            script_path: vars.get("ALBATROS_PATH").unwrap_or(default_path),
            git_path,
            git_vars: vars.of_git(),
            shared_loopback: vars.get(runner::SHARED_LOOPBACK).is_some(),
            container: container(vars)?,
            no_container: vars.text(container::MISSING)?,
            of_image,
            finish: finish(vars)?,
            image_vars: if of_image { vars.only(of_an_image) } else { Vec::new() },
            runner_vars: vars.only(|name| name.as_bytes().starts_with(b"ALBATROS_RUNNER_")),
        })
    }

    /// Where the checkout goes.
    #[must_use]
    pub(in crate::sidecar) fn workspace(&self) -> PathBuf {
        self.alloc_dir.join(runner::WORKSPACE)
    }

    /// `NOMAD_ALLOC_DIR`
    pub(in crate::sidecar) fn alloc_dir(&self) -> &Path {
        &self.alloc_dir
    }

    /// What a builder without a controller has as its secrets.
    pub(in crate::sidecar) fn secret_path(&self) -> Option<&Path> {
        self.secret_path.as_deref()
    }

    /// How a builder with nothing but an executor gets its workspace: without any credential.
    pub(in crate::sidecar) fn plan(&self) -> Plan {
        Plan {
            repo_url: self.repo_url.clone(),
            commit: self.commit.clone(),
            branch: self.branch.clone(),
            git_ref: self.git_ref.clone(),
            source: self.source.clone(),
            checkout: Checkout { source: true, submodules: false, lfs: false, credential: None },
            git_path: self.git_path.clone(),
            git_vars: self.git_vars.clone(),
            patience: self.patience,
            workspace: self.workspace(),
        }
    }
}

fn container(vars: &Vars) -> Result<Option<Container>, SettingsError> {
    let Some(text) = vars.text(container::VARIABLE)? else { return Ok(None) };
    let wrong = |_words| SettingsError::Word(container::VARIABLE, "expected what the local engine says");
    serde_json::from_str(&text).map(Some).map_err(wrong)
}

/// In a machine of its own the script's workspace is taken out of it first, and then its host tells of the end.
fn finish(vars: &Vars) -> Result<bool, SettingsError> {
    const NAME: &str = "ALBATROS_FINISH";
    match vars.text(NAME)?.as_deref() {
        None | Some("yes") => Ok(true),
        Some("no") => Ok(false),
        Some(_) => Err(SettingsError::Word(NAME, "expected yes or no")),
    }
}

fn of_an_image(name: &OsStr) -> bool {
    !NOT_OF_AN_IMAGE.iter().any(|prefix| name.as_bytes().starts_with(prefix.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(more: &[(&str, &str)]) -> Vars {
        let base = [
            ("NOMAD_ALLOC_DIR", "/alloc"),
            ("NOMAD_META_REPO_URL", "https://git.example/o/r"),
            ("NOMAD_META_COMMIT", "0123456789012345678901234567890123456789"),
            ("NOMAD_META_BRANCH", "main"),
            ("NOMAD_META_FLAVOR", "default"),
            ("PATH", "/opt/rust/bin:/bin"),
            ("RUSTUP_HOME", "/opt/rust"),
            ("NOMAD_TOKEN", "n0"),
        ];
        base.iter().chain(more).map(|(name, value)| (name.into(), value.into())).collect()
    }

    #[test]
    fn nothing_of_the_agents_environment_is_kept() {
        let settings = ExecSettings::parse(&task(&[])).unwrap();
        assert_eq!(settings.script_path, DEFAULT_PATH);
        assert!(settings.image_vars.is_empty());
    }

    #[test]
    fn where_the_builder_says_so_an_images_own_variables_are_kept_and_nomads_are_not() {
        let settings =
            ExecSettings::parse(&task(&[("ALBATROS_IMAGE_ENV", "true"), ("SECRET_PATH", "/secrets/payload")])).unwrap();
        assert_eq!(settings.script_path, "/opt/rust/bin:/bin");
        let names: Vec<_> = settings.image_vars.iter().map(|(name, _)| name.to_str().unwrap()).collect();
        assert_eq!(names, ["PATH", "RUSTUP_HOME"]);
    }

    #[test]
    fn a_missing_meta_is_named() {
        let said = ExecSettings::parse(&task(&[("NOMAD_META_BRANCH", "")])).unwrap_err().to_string();
        assert!(said.starts_with("NOMAD_META_BRANCH is not set"), "{said}");
    }

    #[test]
    fn somebody_else_may_tell_of_the_end() {
        let finish = |value| ExecSettings::parse(&task(&[("ALBATROS_FINISH", value)])).map(|settings| settings.finish);
        assert!(finish("").unwrap() && finish("yes").unwrap() && !finish("no").unwrap());
        assert!(finish("later").is_err());
    }

    #[test]
    fn a_commit_that_is_none_is_refused() {
        assert!(ExecSettings::parse(&task(&[("NOMAD_META_COMMIT", "--upload-pack=x")])).is_err());
    }
}
