//! Who runs these verbs: the services that `serve` uses, with an operator's rights.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::Client;
use url::Url;

use super::{Common, RepoError};
use crate::api::consul::Consul;
use crate::api::forge::Forge;
use crate::api::http::forge_client;
use crate::api::nomad::Nomad;
use crate::cli::settings::{self, Environment, Overrides};
use crate::domain::config::{ForgeConfig, RepoConfig};
use crate::domain::repo_url::RepoUrl;
use crate::registry::{Entries, Kept};

/// The services.
#[derive(Debug)]
pub(super) struct Operator {
    pub(super) entries: Entries,
    pub(super) forges: Client,
    /// Where `serve` is.
    pub(super) server: Option<Url>,
    /// The authority of its certificate, where that is no public one.
    pub(super) server_ca: Option<PathBuf>,
    /// Nomad, where NOMAD_ADDR says where it is.
    pub(super) nomad: Option<Nomad>,
    /// The namespace of builds.
    pub(super) namespace: String,
    /// How long a test delivery may take.
    pub(super) wait: Duration,
}

impl Operator {
    pub(super) fn new(common: &Common, env: Environment<'_>) -> Result<Self, RepoError> {
        let flags = Overrides { url: common.server.clone(), prefix: common.prefix.clone(), ..Overrides::default() };
        let told = settings::operator(&flags, env)?;
        let nomad = told.nomad.map(|nomad| Nomad::new(nomad, told.namespace.clone())).transpose()?;
        Ok(Self {
            entries: Entries::new(Consul::new(told.consul)?, &told.prefix),
            forges: forge_client(told.forge_ca.as_deref())?,
            server: told.url,
            server_ca: common
                .cacert
                .clone()
                .or_else(|| env("ALBATROS_CACERT").filter(|it| !it.is_empty()).map(PathBuf::from)),
            nomad,
            namespace: told.namespace,
            wait: common.wait.get(),
        })
    }

    /// The forge of a repository, with its configuration's token.
    pub(super) fn forge(&self, config: &ForgeConfig, repo: &RepoUrl) -> Result<Forge, RepoError> {
        Forge::new(self.forges.clone(), config, repo.canonical()).map_err(RepoError::forge("no forge can be asked"))
    }

    /// Where webhooks lead.
    pub(super) fn hook(&self) -> Option<Url> {
        let mut url = self.server.clone()?;
        url.path_segments_mut().ok()?.pop_if_empty().push("hook");
        Some(url)
    }

    /// The entries of one repository, of which there is at least one.
    pub(super) async fn known(&self, repo: &RepoUrl) -> Result<Vec<Kept>, RepoError> {
        let found = self.entries.of(repo).await?;
        if found.is_empty() {
            let folder = self.entries.folder();
            let sentence =
                format!("there is no entry for {} under {folder}: see `albatros repo list`", repo.canonical());
            return Err(RepoError::Usage(sentence));
        }
        Ok(found)
    }
}

/// The address of an entry as typed: of a repository, or of what has runners for many.
pub(super) fn of_entry(text: &str) -> Result<RepoUrl, RepoError> {
    text.parse().map_err(|why| RepoError::Usage(format!("{why}")))
}

/// A repository's address as typed.
pub(super) fn address(text: &str) -> Result<RepoUrl, RepoError> {
    let repo = of_entry(text)?;
    if repo.owner_and_name().is_none() {
        let sentence = "the repository's address must end in owner and name, as in https://git.example/team/hello.git";
        return Err(RepoError::Usage(sentence.to_owned()));
    }
    Ok(repo)
}

/// What an entry says, where it can be used.
pub(super) fn config(kept: &Kept) -> Option<RepoConfig> {
    RepoConfig::parse(&kept.value).ok()
}
