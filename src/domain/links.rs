//! Where the forge shows what a build was made of.

use url::Url;

use super::config::{ForgeConfig, ForgeKind};

/// Pages of the forge. A link is there only where its form is known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ForgeLinks {
    /// The repository.
    pub repo: Option<Url>,
    /// The commit.
    pub commit: Option<Url>,
    /// The branch or tag.
    pub git_ref: Option<Url>,
    /// The pull request.
    pub pull: Option<Url>,
}

impl ForgeLinks {
    /// Of a change of `repo` (its clone address) at `commit` on `git_ref`. Without a forge in its configuration only the
    /// repository's own address is known.
    #[must_use]
    pub fn of(forge: Option<&ForgeConfig>, repo: &str, git_ref: &str, commit: &str) -> Self {
        let Some(home) = home(repo) else { return Self::default() };
        let Some(forge) = forge else { return Self { repo: Some(home), ..Self::default() } };
        let pull = git_ref.strip_prefix("refs/pull/").and_then(|rest| rest.strip_suffix("/head"));
        let (pulls, branch, tag): (_, &[&str], &[&str]) = match forge.kind {
            ForgeKind::Gitea => ("pulls", &["src", "branch"], &["src", "tag"]),
            ForgeKind::Github => ("pull", &["tree"], &["releases", "tag"]),
        };
        let branch = git_ref.strip_prefix("refs/heads/").map(|name| beneath(&home, branch, name));
        let tag = git_ref.strip_prefix("refs/tags/").map(|name| beneath(&home, tag, name));
        Self {
            commit: Some(beneath(&home, &["commit"], commit)),
            git_ref: branch.or(tag),
            pull: pull.map(|number| beneath(&home, &[pulls], number)),
            repo: Some(home),
        }
    }
}

/// The repository's page: its clone address without `.git`. Only http and https are links.
fn home(repo: &str) -> Option<Url> {
    let url: Url = repo.strip_suffix(".git").unwrap_or(repo).parse().ok()?;
    let is_plain = matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none();
    is_plain.then_some(url)
}

/// A page of the repository; slashes in a branch's name stay, all else is encoded.
fn beneath(home: &Url, path: &[&str], name: &str) -> Url {
    let mut url = home.clone();
    url.set_query(None);
    url.set_fragment(None);
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(path).extend(name.split('/'));
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::secret::Secret;

    fn forge(kind: ForgeKind) -> ForgeConfig {
        ForgeConfig { kind, url: "https://git.example".parse().unwrap(), token: Secret::new("t".to_owned()) }
    }

    fn text(url: Option<Url>) -> String {
        url.map(|url| url.to_string()).unwrap_or_default()
    }

    #[test]
    fn each_forge_has_its_own_pages() {
        let gitea = forge(ForgeKind::Gitea);
        let of = |git_ref: &str| ForgeLinks::of(Some(&gitea), "https://git.example/sub/o/r.git", git_ref, "c0ffee");
        assert_eq!(text(of("refs/heads/a/b").commit), "https://git.example/sub/o/r/commit/c0ffee");
        assert_eq!(text(of("refs/heads/a/b").git_ref), "https://git.example/sub/o/r/src/branch/a/b");
        assert_eq!(text(of("refs/tags/v1").git_ref), "https://git.example/sub/o/r/src/tag/v1");
        assert_eq!(text(of("refs/pull/7/head").pull), "https://git.example/sub/o/r/pulls/7");
        let github = forge(ForgeKind::Github);
        let of = |git_ref: &str| ForgeLinks::of(Some(&github), "https://github.example/o/r.git", git_ref, "c0ffee");
        assert_eq!(text(of("refs/heads/x").git_ref), "https://github.example/o/r/tree/x");
        assert_eq!(text(of("refs/pull/7/head").pull), "https://github.example/o/r/pull/7");
    }

    #[test]
    fn no_name_leads_out_of_the_repository() {
        let gitea = forge(ForgeKind::Gitea);
        let of = |git_ref: &str| ForgeLinks::of(Some(&gitea), "https://git.example/o/r.git", git_ref, "c0ffee");
        assert_eq!(text(of("refs/heads/a?b#c d%2e").git_ref), "https://git.example/o/r/src/branch/a%3Fb%23c%20d%252e");
        assert!(text(of("refs/heads/../../x").git_ref).starts_with("https://git.example/o/r/src/branch"));
        for repo in ["javascript:alert(1)", "/srv/git/r", "git@git.example:o/r.git", "https://u:p@git.example/o/r.git"]
        {
            assert_eq!(ForgeLinks::of(Some(&gitea), repo, "refs/heads/x", "c0ffee"), ForgeLinks::default(), "{repo}");
        }
    }
}
