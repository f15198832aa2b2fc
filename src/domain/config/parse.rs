//! From the bytes of an entry to a [`RepoConfig`]; what is not understood is refused.

use std::collections::BTreeMap;

use url::Url;

use super::field::{Field, Object};
use super::pools::pools;
use super::{
    Concurrency, ConfigError, FlavorConfig, ForgeConfig, ForgeKind, PeopleTokens, PullPolicy, RepoConfig, TrustedSender,
};
use crate::domain::duration::Span;
use crate::domain::id::{BuilderName, Flavor};
use crate::domain::json;
use crate::domain::params::{self, Params};
use crate::domain::pattern::Patterns;
use crate::domain::secret::Secret;

const FIELDS: [&str; 19] = [
    "hook",
    "gitea",
    "forgejo",
    "github",
    "trusted",
    "repository_id",
    "inject",
    "builders",
    "pull_requests",
    "private",
    "tokens",
    "submodules",
    "lfs",
    "timeout",
    "concurrency",
    "branches",
    "paths",
    "paths_ignore",
    "runners",
];
const BUILDERS: [&str; 5] = ["default", "untrusted", "jobs", "untrusted_jobs", "flavors"];
const GITHUB_API: &str = "https://api.github.com";
const DEFAULT_TIMEOUT: Span = Span::seconds(3_600);

impl RepoConfig {
    /// Reads an entry.
    ///
    /// # Errors
    /// Names the field that is unknown, missing, mistyped, empty or contradictory.
    pub fn parse(bytes: &[u8]) -> Result<Self, ConfigError> {
        let value = json::parse_strict(bytes).map_err(|why| ConfigError(why.to_string()))?;
        let root = Field::root(&value).object(&FIELDS)?;
        let hook = root.need("hook")?.object(&["secret", "token"])?;
        let hook_secrets = hook.get("secret").map_or(Ok(Vec::new()), |field| field.secrets(false))?;
        let hook_tokens = hook.get("token").map_or(Ok(Vec::new()), |field| field.secrets(false))?;
        let claim_key = hook_secrets.first().or(hook_tokens.first()).cloned();
        let claim_key = claim_key.ok_or_else(|| ConfigError("hook: needs a secret or a token".to_owned()))?;
        let (trusted, trusted_id) = trust(&root)?;
        let forge = forge(&root)?;
        let runners = root.get("runners").map_or(Ok(Vec::new()), |field| pools(&field, forge.as_ref()))?;
        let builders = root.get("builders").map(|f| f.object(&BUILDERS)).transpose()?;
        let switch = |name| root.get(name).map_or(Ok(false), |field| field.boolean());
        let builder_of = |name| builders.as_ref().and_then(|b| b.get(name)).map(|field| field.parsed()).transpose();
        let concurrency = root.get("concurrency").map_or(Ok(Concurrency::default()), |f| concurrency(&f))?;
        let patterns = |name| root.get(name).map(|field| patterns(&field)).transpose();
        let (paths, paths_ignore) = (patterns("paths")?, patterns("paths_ignore")?);
        if forge.is_none() {
            let asks = [("paths", paths.is_some()), ("paths_ignore", paths_ignore.is_some())];
            let asks = asks.into_iter().chain([("concurrency.supersede", concurrency.supersede)]);
            if let Some((name, _)) = asks.into_iter().find(|(_, asked)| *asked) {
                let why = "needs a forge that can be asked: add gitea, forgejo or github";
                return Err(ConfigError(format!("{name}: {why}")));
            }
        }
        Ok(Self {
            claim_key,
            hook_secrets,
            hook_tokens,
            forge,
            trusted,
            repository_id: repository_id(&root, trusted_id)?,
            inject: root.get("inject").map(|f| inject(&f)).transpose()?,
            builder: builder_of("default")?.unwrap_or_default(),
            untrusted_builder: builder_of("untrusted")?,
            job_builder: builder_of("jobs")?.unwrap_or_else(BuilderName::of_jobs),
            untrusted_job_builder: builder_of("untrusted_jobs")?,
            flavors: builders.as_ref().and_then(|b| b.get("flavors")).map_or(Ok(BTreeMap::new()), |f| flavors(&f))?,
            pull_requests: root.get("pull_requests").map_or(Ok(PullPolicy::default()), |f| pull_policy(&f))?,
            private: root.get("private").map(|f| f.boolean()).transpose()?,
            tokens: root.get("tokens").map(|f| people(&f)).transpose()?,
            submodules: switch("submodules")?,
            lfs: switch("lfs")?,
            timeout: root.get("timeout").map_or(Ok(DEFAULT_TIMEOUT), |f| f.parsed())?,
            concurrency,
            branches: patterns("branches")?,
            paths,
            paths_ignore,
            runners,
        })
    }
}

/// A text that is no env file stays what it is, for those whose scripts read it in their own way.
fn inject(field: &Field<'_>) -> Result<Secret, ConfigError> {
    let text = field.text()?;
    if let Ok(params) = Params::parse(text)
        && let Some(name) = params.names().find(|name| params::forbidden(name))
    {
        return Err(field.error(format!("{name} would change a loader, a shell or Nomad: choose another name")));
    }
    Ok(Secret::new(text))
}

fn trust(root: &Object<'_>) -> Result<(Vec<TrustedSender>, Option<u64>), ConfigError> {
    let Some(trusted) = root.get("trusted") else { return Ok((Vec::new(), None)) };
    let trusted = trusted.object(&["senders", "repository_id"])?;
    let id = trusted.get("repository_id").map(|f| f.number()).transpose()?;
    let Some(senders) = trusted.get("senders") else { return Ok((Vec::new(), id)) };
    let senders = senders.list()?.iter().map(sender).collect::<Result<_, _>>()?;
    Ok((senders, id))
}

fn sender(field: &Field<'_>) -> Result<TrustedSender, ConfigError> {
    if field.is_string() {
        return Ok(TrustedSender { login: field.filled_text()?.to_owned(), id: None });
    }
    let entry = field.object(&["login", "id"]).map_err(|why| {
        let kind = field.map().is_err();
        if kind { field.error("expected a login, or an object with login and id") } else { why }
    })?;
    let login = entry.need("login")?.filled_text()?.to_owned();
    Ok(TrustedSender { login, id: entry.get("id").map(|f| f.number()).transpose()? })
}

fn repository_id(root: &Object<'_>, trusted: Option<u64>) -> Result<Option<u64>, ConfigError> {
    let Some(field) = root.get("repository_id") else { return Ok(trusted) };
    let id = field.number()?;
    match trusted {
        Some(other) if other != id => Err(field.error("differs from trusted.repository_id")),
        Some(_) | None => Ok(Some(id)),
    }
}

fn forge(root: &Object<'_>) -> Result<Option<ForgeConfig>, ConfigError> {
    let mut found = None;
    for (name, kind) in [("gitea", ForgeKind::Gitea), ("forgejo", ForgeKind::Gitea), ("github", ForgeKind::Github)] {
        let Some(field) = root.get(name) else { continue };
        if found.is_some() {
            return Err(field.error("only one of gitea, forgejo and github may be given"));
        }
        let entry = field.object(&["url", "token"])?;
        let url = match (entry.get("url"), kind) {
            (Some(url), _) => forge_url(&url)?,
            (None, ForgeKind::Github) => Url::parse(GITHUB_API).map_err(|why| field.error(why))?,
            (None, ForgeKind::Gitea) => return Err(entry.need("url").err().unwrap_or_else(|| field.error("no url"))),
        };
        found = Some(ForgeConfig { kind, url, token: entry.need("token")?.secret()? });
    }
    Ok(found)
}

fn forge_url(field: &Field<'_>) -> Result<Url, ConfigError> {
    let refused = || field.error("expected an address such as https://git.example, without user, query or fragment");
    let url = Url::parse(field.text()?.trim_end_matches('/')).map_err(|_| refused())?;
    let fits = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if fits { Ok(url) } else { Err(refused()) }
}

fn flavors(field: &Field<'_>) -> Result<BTreeMap<Flavor, FlavorConfig>, ConfigError> {
    let mut flavors = BTreeMap::new();
    for (name, entry) in field.map()?.entries() {
        let flavor: Flavor = name.parse().map_err(|why| entry.error(why))?;
        let config = if entry.is_string() {
            FlavorConfig { builder: Some(entry.parsed()?), image: None }
        } else {
            let object = match entry.map() {
                Ok(_) => entry.object(&["builder", "image"])?,
                Err(_) => return Err(entry.error("expected a builder's name, or an object with builder and image")),
            };
            let image = object.get("image").map(|f| f.filled_text().map(str::to_owned)).transpose()?;
            FlavorConfig { builder: object.get("builder").map(|f| f.parsed()).transpose()?, image }
        };
        flavors.insert(flavor, config);
    }
    Ok(flavors)
}

fn concurrency(field: &Field<'_>) -> Result<Concurrency, ConfigError> {
    let entry = field.object(&["supersede", "max", "queue"])?;
    let max = entry.get("max").map(|f| max_builds(&f)).transpose()?;
    Ok(Concurrency {
        supersede: entry.get("supersede").map_or(Ok(false), |f| f.boolean())?,
        max,
        queue: entry.get("queue").map(|f| f.parsed()).transpose()?,
    })
}

fn max_builds(field: &Field<'_>) -> Result<u32, ConfigError> {
    let max = field.number()?;
    u32::try_from(max)
        .ok()
        .filter(|max| *max > 0)
        .ok_or_else(|| field.error("expected a number of builds from 1 on; to have none built remove the webhook"))
}

fn patterns(field: &Field<'_>) -> Result<Patterns, ConfigError> {
    let list = field.list().map_err(|_| field.error("expected a list of patterns such as [\"src/**\"]"))?;
    let texts = list.iter().map(Field::filled_text).collect::<Result<Vec<_>, _>>()?;
    Patterns::parse(texts).map_err(|why| field.error(why))
}

fn pull_policy(field: &Field<'_>) -> Result<PullPolicy, ConfigError> {
    match field.text()? {
        "hold" => Ok(PullPolicy::Hold),
        "build" => Ok(PullPolicy::Build),
        "ignore" => Ok(PullPolicy::Ignore),
        _ => Err(field.error("expected hold, build or ignore")),
    }
}

fn people(field: &Field<'_>) -> Result<PeopleTokens, ConfigError> {
    let entry = field.object(&["read", "act"])?;
    let tokens = |name| entry.get(name).map_or(Ok(Vec::new()), |f: Field<'_>| f.secrets(true));
    Ok(PeopleTokens { read: tokens("read")?, act: tokens("act")? })
}
