//! What a build is given, by its record and its repository's configuration.

use url::Url;

use super::{Checkout, Credential, Facts, Grant, NamedError, named};
use crate::domain::config::{ForgeConfig, ForgeKind, RepoConfig};
use crate::domain::id::ClaimId;
use crate::domain::key;
use crate::domain::record::Record;
use crate::domain::repo_url::RepoUrl;

/// What `api.github.com` calls its repositories' host.
const GITHUB: (&str, &str) = ("api.github.com", "github.com");

impl Grant {
    /// Exactly what the build of `record` may have. The credential goes to every build, for `prepare` fetches private
    /// repositories also for a stranger's pull request, and no script ever sees it; `inject` to trusted ones alone, and
    /// of it to a job only what that names: its image may be anybody's.
    ///
    /// # Errors
    /// Where a job names what there is not.
    pub fn of(claim: &ClaimId, record: &Record, config: &RepoConfig) -> Result<Self, NamedError> {
        let facts = Facts {
            repo_url: record.repo.clone(),
            commit: record.commit.clone(),
            branch: record.branch.clone(),
            flavor: record.flavor.clone(),
            git_ref: Some(record.git_ref.clone()),
            event: Some(record.event),
            sender: Some(record.sender.login.clone()).filter(|login| !login.is_empty()),
            pull_request: record.pull.as_ref().map(|pull| pull.number),
            trusted: record.trusted,
        };
        // A stranger's list of submodules must not choose what our token reads.
        let whole_forge = record.trusted && config.submodules;
        // The token of who registers runners may do more than read a repository, and a runner fetches for itself.
        let forge = config.forge.as_ref().filter(|_| record.runner.is_none());
        let credential = forge.and_then(|forge| credential(forge, &record.repo, whole_forge));
        let source = record.job.as_ref().is_none_or(|job| job.checkout.unwrap_or(!job.service));
        let checkout = Checkout { source, submodules: config.submodules, lfs: config.lfs, credential };
        let inject = match &record.job {
            _ if !record.trusted => None,
            Some(job) => named(job, config)?,
            None => config.inject.clone().filter(|secrets| !secrets.expose().is_empty()),
        };
        let is_service = record.job.as_ref().is_some_and(|job| job.service);
        let service_secret = is_service.then(|| key::service_secret(config, claim));
        let params = record.params.clone();
        Ok(Self { facts, checkout, inject, params, job: record.job.clone(), service_secret, session: None })
    }

    /// Whether there is something in it that no replayed delivery may be given: secrets, or a credential for more than
    /// the repository itself.
    #[must_use]
    pub fn is_for_the_ref_alone(&self) -> bool {
        let wide = self.facts.trusted && self.checkout.submodules && self.checkout.credential.is_some();
        self.inject.is_some() || wide
    }
}

/// The forge's token, for a repository of that very forge.
fn credential(forge: &ForgeConfig, repo: &str, whole_forge: bool) -> Option<Credential> {
    let url = Url::parse(repo.parse::<RepoUrl>().ok()?.canonical()).ok()?;
    let mut home = forge.url.clone();
    if forge.kind == ForgeKind::Github && home.host_str() == Some(GITHUB.0) {
        home.set_host(Some(GITHUB.1)).ok()?;
    }
    if url.origin() != home.origin() {
        return None;
    }
    let scope = if whole_forge { format!("{}/", url.origin().ascii_serialization()) } else { repo.to_owned() };
    let user = match forge.kind {
        ForgeKind::Gitea => "albatros",
        ForgeKind::Github => "x-access-token",
    };
    Some(Credential { scope, user: user.to_owned(), password: forge.token.clone() })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const REPO: &str = "https://git.example/o/r.git";

    fn record(repo: &str, trusted: bool) -> Record {
        serde_json::from_value(json!({
            "version": 1, "nonce": "n", "repo": repo, "canonical": repo, "ref": "refs/heads/main", "branch": "main",
            "before": "", "commit": "1".repeat(40), "flavor": "big", "event": "push",
            "sender": {"login": "quentin"}, "trusted": trusted, "private": true, "builder": "builder",
            "namespace": "ci", "meta": {}, "created": "2026-11-21T00:00:00Z", "phase": {"is": "claimed"},
        }))
        .unwrap()
    }

    fn claim() -> ClaimId {
        "c".repeat(64).parse().unwrap()
    }

    fn grant(repo: &str, trusted: bool, fields: Value) -> Grant {
        let mut config = json!({"hook": {"secret": "s"}, "inject": "A=1"});
        config.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let config = RepoConfig::parse(config.to_string().as_bytes()).unwrap();
        Grant::of(&claim(), &record(repo, trusted), &config).unwrap()
    }

    fn scope(repo: &str, trusted: bool, fields: Value) -> Option<String> {
        grant(repo, trusted, fields).checkout.credential.map(|credential| credential.scope)
    }

    #[test]
    fn the_facts_are_the_record_s() {
        let mut record = record(REPO, false);
        record.pull = serde_json::from_value(json!({"number": 7, "origin": "fork"})).unwrap();
        let config = RepoConfig::parse(br#"{"hook":{"secret":"s"}}"#).unwrap();
        let facts = Grant::of(&claim(), &record, &config).unwrap().facts;
        assert_eq!((facts.repo_url.as_str(), facts.branch.as_str()), (REPO, "main"));
        assert_eq!((facts.flavor.as_str(), facts.commit.as_str()), ("big", "1".repeat(40).as_str()));
        assert_eq!((facts.git_ref.as_deref(), facts.sender.as_deref()), (Some("refs/heads/main"), Some("quentin")));
        assert_eq!((facts.pull_request, facts.trusted), (Some(7), false));
    }

    #[test]
    fn only_a_trusted_build_gets_secrets_and_none_gets_empty_ones() {
        assert_eq!(grant(REPO, true, json!({})).inject.unwrap().expose(), "A=1");
        assert!(grant(REPO, false, json!({})).inject.is_none());
        assert!(grant(REPO, true, json!({"inject": ""})).inject.is_none());
    }

    #[test]
    fn a_job_gets_what_it_names_and_only_of_a_trusted_build() {
        let config = RepoConfig::parse(br#"{"hook":{"secret":"s"},"inject":"A=1\nB=2"}"#).unwrap();
        let of = |trusted: bool, job: Value| {
            let job = serde_json::from_value(job).unwrap();
            Grant::of(&claim(), &Record { job: Some(job), ..record(REPO, trusted) }, &config)
        };
        let named = of(true, json!({"name": "j", "params": ["B"]})).unwrap();
        assert_eq!(named.inject.as_ref().unwrap().expose(), "B=\"2\"\n");
        assert!(named.is_for_the_ref_alone() && named.checkout.source && named.service_secret.is_none());
        assert!(of(false, json!({"name": "j", "params": ["B"]})).unwrap().inject.is_none());
        assert!(of(true, json!({"name": "j"})).unwrap().inject.is_none());
        assert!(of(true, json!({"name": "j", "params": ["C"]})).is_err());
    }

    #[test]
    fn what_a_person_gave_is_everybody_s_and_never_in_place_of_a_secret() {
        let config = RepoConfig::parse(br#"{"hook":{"secret":"s"},"inject":"A=1"}"#).unwrap();
        let params = std::collections::BTreeMap::from([("VERSION".to_owned(), "1.2 $x".to_owned())]);
        let text = |trusted: bool, config: &RepoConfig| {
            let record = Record { params: params.clone(), ..record(REPO, trusted) };
            Grant::of(&claim(), &record, config).unwrap().text().unwrap().expose().to_owned()
        };
        assert_eq!(text(true, &config), "VERSION=\"1.2 \\$x\"\nA=1");
        assert_eq!(text(false, &config), "VERSION=\"1.2 \\$x\"\n");
        let unread = RepoConfig::parse(br#"{"hook":{"secret":"s"},"inject":"if true; then"}"#).unwrap();
        assert_eq!(text(true, &unread), "if true; then", "what is no list stays as it is");
    }

    #[test]
    fn a_service_gets_its_own_secret_and_no_checkout_unless_it_asks() {
        let config = RepoConfig::parse(br#"{"hook":{"secret":"s"}}"#).unwrap();
        let of = |claim: &ClaimId, job: Value| {
            let job = serde_json::from_value(job).unwrap();
            Grant::of(claim, &Record { job: Some(job), ..record(REPO, true) }, &config).unwrap()
        };
        let other = "d".repeat(64).parse().unwrap();
        let service = json!({"name": "db", "service": true, "port": 5432});
        let grant = of(&claim(), service.clone());
        assert!(!grant.checkout.source);
        let secret = |grant: Grant| grant.service_secret.unwrap().expose().to_owned();
        assert_ne!(secret(grant), secret(of(&other, service)));
        assert!(of(&other, json!({"name": "db", "service": true, "checkout": true})).checkout.source);
    }

    #[test]
    fn every_build_gets_the_credential_of_its_own_repository_s_forge() {
        let gitea = json!({"gitea": {"url": "https://git.example/", "token": "t"}});
        for trusted in [true, false] {
            let credential = grant(REPO, trusted, gitea.clone()).checkout.credential.unwrap();
            assert_eq!((credential.scope.as_str(), credential.password.expose()), (REPO, "t"));
        }
        assert_eq!(scope("https://GIT.example:443/o/r", true, gitea.clone()).unwrap(), "https://GIT.example:443/o/r");
        assert_eq!(scope(REPO, true, json!({})), None, "no token is configured");
    }

    #[test]
    fn a_token_goes_to_no_other_forge() {
        let gitea = json!({"gitea": {"url": "https://git.example", "token": "t"}, "submodules": true});
        for repo in [
            "http://git.example/o/r",
            "https://git.example:8443/o/r",
            "https://git.example.evil/o/r",
            "https://sub.git.example/o/r",
        ] {
            assert_eq!(scope(repo, true, gitea.clone()), None, "{repo}");
        }
    }

    #[test]
    fn github_s_token_is_for_its_repositories_host() {
        let github = json!({"github": {"token": "t"}});
        assert_eq!(scope("https://github.com/o/r", true, github.clone()).unwrap(), "https://github.com/o/r");
        assert_eq!(scope("https://api.github.com/o/r", true, github), None);
        let own = json!({"github": {"url": "https://ghe.example/api/v3", "token": "t"}});
        assert_eq!(scope("https://ghe.example/o/r", true, own).unwrap(), "https://ghe.example/o/r");
    }

    #[test]
    fn submodules_widen_a_trusted_build_s_credential_to_its_forge() {
        let fields = json!({"gitea": {"url": "https://git.example", "token": "t"}, "submodules": true, "lfs": true});
        assert_eq!(scope(REPO, true, fields.clone()).unwrap(), "https://git.example/");
        assert_eq!(scope(REPO, false, fields.clone()).unwrap(), REPO);
        let is_guarded = |trusted, fields: Value| {
            let without = json!({"inject": ""});
            let mut fields = fields;
            fields.as_object_mut().unwrap().extend(without.as_object().unwrap().clone());
            grant(REPO, trusted, fields).is_for_the_ref_alone()
        };
        assert!(is_guarded(true, fields.clone()) && !is_guarded(false, fields.clone()));
        assert!(!is_guarded(true, json!({"gitea": {"url": "https://git.example", "token": "t"}})));
        let checkout = grant(REPO, false, fields).checkout;
        assert!(checkout.submodules && checkout.lfs);
    }
}
