//! What `repo add` is asked for: files, generated secrets, and what the forge says of repository and people.

use std::path::Path;

use super::RepoError;
use super::add::AddArgs;
use super::operator::{Operator, address};
use crate::api::forge::{Forge, detect};
use crate::domain::config::{Draft, DraftForge, ForgeConfig, ForgeKind, PullPolicy, RepoConfig, TrustedSender};
use crate::domain::id::{BuilderName, Flavor};
use crate::domain::repo_url::RepoUrl;
use crate::domain::secret::Secret;

/// The word for a forge, as typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum ForgeWord {
    Gitea,
    Forgejo,
    Github,
}

/// What becomes of pull requests of forks, as typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum PullWord {
    Hold,
    Build,
    Ignore,
}

impl ForgeWord {
    fn word(self) -> &'static str {
        match self {
            Self::Gitea => "gitea",
            Self::Forgejo => "forgejo",
            Self::Github => "github",
        }
    }
}

impl From<PullWord> for PullPolicy {
    fn from(word: PullWord) -> Self {
        match word {
            PullWord::Hold => Self::Hold,
            PullWord::Build => Self::Build,
            PullWord::Ignore => Self::Ignore,
        }
    }
}

/// A flavor and its builder, as typed: `NAME=BUILDER`.
pub(super) fn flavor(text: &str) -> Result<(Flavor, BuilderName), String> {
    let (flavor, builder) = text.split_once('=').ok_or("expected NAME=BUILDER")?;
    let flavor = flavor.parse().map_err(|why| format!("{why}"))?;
    Ok((flavor, builder.parse().map_err(|why| format!("{why}"))?))
}

/// The forge, where the repository is known.
#[derive(Debug)]
pub(super) struct AtForge {
    pub(super) forge: Forge,
    /// The address as the forge spells it in deliveries.
    pub(super) repo: RepoUrl,
}

/// A secret that nobody has thought of.
pub(super) fn generated() -> Result<Secret, RepoError> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(RepoError::Random)?;
    Ok(Secret::new(hex::encode(bytes)))
}

/// A file's text.
pub(super) fn file(path: &Path) -> Result<String, RepoError> {
    std::fs::read_to_string(path).map_err(|error| RepoError::Usage(format!("{}: {error}", path.display())))
}

/// A secret in a file, without the line's end; empty ones are none.
pub(super) fn secret(path: &Path) -> Result<Secret, RepoError> {
    let text = file(path)?;
    let text = text.trim();
    if text.is_empty() {
        return Err(RepoError::Usage(format!("{} is empty", path.display())));
    }
    Ok(Secret::new(text))
}

/// The forge that was typed, as the entry will have it; none where no token was given.
pub(super) async fn forge(
    args: &AddArgs,
    operator: &Operator,
    repo: &RepoUrl,
) -> Result<Option<DraftForge>, RepoError> {
    let Some(path) = &args.token_file else {
        if args.forge.is_some() || args.forge_url.is_some() {
            return Err(RepoError::Usage("--forge and --forge-url need --token-file".to_owned()));
        }
        return Ok(None);
    };
    let token = secret(path)?;
    if let (Some(word), Some(url)) = (args.forge, &args.forge_url) {
        return Ok(Some(DraftForge { word: word.word(), url: url.clone(), token }));
    }
    let found =
        detect(&operator.forges, repo).await.map_err(RepoError::forge("the forge cannot be asked what it is"))?;
    let unknown =
        || RepoError::Usage("what forge is that? say --forge gitea|forgejo|github and --forge-url".to_owned());
    let (word, url) = match (args.forge, &args.forge_url, found) {
        (word, Some(url), Some(found)) => (word.map_or(found.word, ForgeWord::word), url.clone()),
        (Some(word), None, Some(found)) => (word.word(), found.url),
        (None, None, Some(found)) => (found.word, found.url),
        (_, _, None) => return Err(unknown()),
    };
    Ok(Some(DraftForge { word, url, token }))
}

impl From<&DraftForge> for ForgeConfig {
    fn from(draft: &DraftForge) -> Self {
        let kind = if draft.word == "github" { ForgeKind::Github } else { ForgeKind::Gitea };
        Self { kind, url: draft.url.clone(), token: draft.token.clone() }
    }
}

/// What the forge says of the repository.
pub(super) async fn about(operator: &Operator, config: &ForgeConfig, repo: &RepoUrl) -> Result<AtForge, RepoError> {
    let forge = operator.forge(config, repo)?;
    let about =
        forge.about().await.map_err(RepoError::forge("nothing is written: the forge does not show the repository"))?;
    let repo = address(&about.clone_url)?;
    Ok(AtForge { forge, repo })
}

/// The senders that are to be trusted, each with the number that the forge says.
pub(super) async fn trusted(logins: &[String], at: Option<&AtForge>) -> Result<Vec<TrustedSender>, RepoError> {
    let mut trusted = Vec::new();
    for login in logins {
        let id = match at.filter(|_| !login.starts_with('@')) {
            None => None,
            Some(at) => {
                let account = at
                    .forge
                    .account(login)
                    .await
                    .map_err(RepoError::forge("nothing is written: no account is found"))?;
                let unknown = || RepoError::Usage(format!("nothing is written: the forge knows no account {login}"));
                Some(account.ok_or_else(unknown)?.1)
            }
        };
        trusted.push(TrustedSender { login: login.clone(), id });
    }
    Ok(trusted)
}

/// All that was asked for; `before` is what the entry says now.
pub(super) async fn draft(
    args: &AddArgs,
    forge: Option<DraftForge>,
    at: Option<&AtForge>,
    before: Option<&RepoConfig>,
    exists: bool,
) -> Result<Draft, RepoError> {
    let unsigned = before.is_some_and(|config| config.hook_secrets.is_empty()) && args.update && !args.no_webhook;
    let secret = match &args.secret_file {
        Some(path) => Some(secret(path)?),
        None if !exists || unsigned => Some(generated()?),
        None => None,
    };
    let act = if !exists || args.new_token { Some(generated()?) } else { None };
    let inject = args.inject_file.as_deref().map(file).transpose()?.map(Secret::new);
    Ok(Draft {
        secret,
        act,
        forge,
        trusted: trusted(&args.trusted, at).await?,
        repository_id: None,
        builder: args.builder.clone(),
        flavors: args.flavor.clone(),
        pull_requests: args.pull_requests.map(PullPolicy::from),
        private: if args.private { Some(true) } else { args.public.then_some(false) },
        inject,
    })
}
