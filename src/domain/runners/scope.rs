//! What an entry with `runners` is for: one repository, all of an owner, or a whole forge.

use url::Url;

use crate::domain::config::{ForgeConfig, ForgeKind, RepoConfig};
use crate::domain::key;
use crate::domain::plan::Site;
use crate::domain::repo_url::RepoUrl;

const TAG_LABEL: &[u8] = b"albatros runners of a scope v1\0";

/// For what runners are registered at a forge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// One repository.
    Repo {
        /// Its owner.
        owner: String,
        /// Its name.
        name: String,
    },
    /// All repositories of an organisation, or of the account whose token it is.
    Owner(String),
    /// All repositories of the forge.
    Instance,
}

/// An address below which there is no scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("runners are for a repository, an owner or a forge: the entry's address is none of them")]
pub struct ScopeError;

impl Scope {
    /// What the entry at an address is for, and the address of its forge, as people see it.
    ///
    /// # Errors
    /// When it is further down than a repository.
    pub fn of(entry: &RepoUrl, forge: &ForgeConfig) -> Result<(Self, Url), ScopeError> {
        let mut home = Url::parse(entry.canonical()).map_err(|_no_address| ScopeError)?;
        let path: Vec<String> = segments(&home);
        // An API's address has a path of its own, but for Gitea it begins with that of the forge.
        let base = match forge.kind {
            ForgeKind::Gitea => segments(&forge.url),
            ForgeKind::Github => Vec::new(),
        };
        let below = path.strip_prefix(base.as_slice()).unwrap_or(&path);
        let kept = path.len() - below.len();
        let scope = match below {
            [] => Self::Instance,
            [owner] => Self::Owner(owner.clone()),
            [owner, name] => {
                let name = name.strip_suffix(".git").unwrap_or(name).to_owned();
                Self::Repo { owner: owner.clone(), name }
            }
            [_, _, _, ..] => return Err(ScopeError),
        };
        home.set_path(&path.get(..kept).unwrap_or_default().join("/"));
        Ok((scope, home))
    }
}

fn segments(url: &Url) -> Vec<String> {
    url.path().split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// Eight hexadecimal digits that stand for a server's place and a scope, in the names of its runners. They are keyed: two
/// servers that are set up alike have tags of their own unless they share a scope's credential too.
#[must_use]
pub fn scope_tag(config: &RepoConfig, site: &Site, scope: &str) -> String {
    let mut message = TAG_LABEL.to_vec();
    for part in [site.prefix.as_str(), &site.region, &site.namespace, scope] {
        message.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
        message.extend_from_slice(part.as_bytes());
    }
    let mut tag = hex::encode(key::mac(&config.claim_key, &[&message]));
    tag.truncate(8);
    tag
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::secret::Secret;

    fn scope(entry: &str, kind: ForgeKind, forge: &str) -> Option<(Scope, String)> {
        let forge = ForgeConfig { kind, url: forge.parse().unwrap(), token: Secret::new("t") };
        let (scope, home) = Scope::of(&entry.parse().unwrap(), &forge).ok()?;
        Some((scope, home.as_str().trim_end_matches('/').to_owned()))
    }

    #[test]
    fn an_entry_is_for_what_its_address_names() {
        let repo = Scope::Repo { owner: "o".to_owned(), name: "r".to_owned() };
        let home = || "https://git.example".to_owned();
        let gitea = |entry: &str| scope(entry, ForgeKind::Gitea, "http://gitea.internal:3000");
        assert_eq!(gitea("https://git.example/o/r.git"), Some((repo.clone(), home())));
        assert_eq!(gitea("https://git.example/o"), Some((Scope::Owner("o".to_owned()), home())));
        assert_eq!(gitea("https://git.example"), Some((Scope::Instance, home())));
        assert_eq!(gitea("https://git.example/a/b/c"), None);
        let below = |entry: &str| scope(entry, ForgeKind::Gitea, "http://gitea.internal:3000/forge");
        let deep = || "https://git.example/forge".to_owned();
        assert_eq!(below("https://git.example/forge/o/r.git"), Some((repo.clone(), deep())));
        assert_eq!(below("https://git.example/forge"), Some((Scope::Instance, deep())));
        let github = |entry: &str| scope(entry, ForgeKind::Github, "https://git.example/api/v3");
        assert_eq!(github("https://git.example/o/r.git"), Some((repo, home())));
    }

    #[test]
    fn servers_and_scopes_have_tags_of_their_own() {
        let (one, two) = (Site::default(), Site { prefix: "other".to_owned(), ..Site::default() });
        let config =
            |secret: &str| RepoConfig::parse(format!(r#"{{"hook":{{"secret":"{secret}"}}}}"#).as_bytes()).unwrap();
        let (own, scope) = (config("s"), "https://git.example/o");
        let tag = scope_tag(&own, &one, scope);
        assert_eq!((tag.len(), &tag), (8, &scope_tag(&own, &one, scope)));
        assert_ne!(tag, scope_tag(&own, &two, scope));
        assert_ne!(tag, scope_tag(&own, &one, "https://git.example/p"));
        assert_ne!(tag, scope_tag(&config("t"), &one, scope), "another installation has another credential");
    }
}
