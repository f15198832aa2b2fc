//! The claim: under which key one change is built once.

use super::config::RepoConfig;
use super::event::EventKind;
use super::id::{ClaimId, CommitSha, Flavor, JobName};
use super::key;
use super::plan::Site;

const LABEL: &[u8] = b"albatros claim v1\0";
const JOB_LABEL: &[u8] = b"albatros job v1\0";
const RUNNER_LABEL: &[u8] = b"albatros runner v1\0";

/// What a claim is about; two changes with the same subject are the same change.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Prefix, region, namespace.
    pub site: &'a Site,
    /// The canonical address.
    pub canonical: &'a str,
    /// The full ref.
    pub git_ref: &'a str,
    /// What the ref held before, as sent; empty for a pull request.
    pub before: &'a str,
    /// The commit.
    pub commit: &'a CommitSha,
    /// The flavor.
    pub flavor: &'a Flavor,
    /// The kind of change.
    pub event: EventKind,
    /// An untrusted change must not use up a trusted one.
    pub trusted: bool,
    /// What `retry` and `trigger` add, so that the same change is built again.
    pub salt: Option<&'a str>,
}

/// HMAC-SHA256, keyed with the repository's first credential, over a label and each field behind its length: nobody
/// with a mere right to dispatch can guess it.
#[must_use]
pub fn claim(config: &RepoConfig, subject: &Subject<'_>) -> ClaimId {
    let fields = [
        subject.site.prefix.as_str(),
        &subject.site.region,
        &subject.site.namespace,
        subject.canonical,
        subject.git_ref,
        subject.before,
        subject.commit.as_str(),
        subject.flavor.as_str(),
        subject.event.as_str(),
        if subject.trusted { "true" } else { "false" },
    ];
    keyed(config, LABEL, fields.into_iter().chain(subject.salt))
}

/// The claim of a job: by whose it is and by its name, so that it is started once however often it is asked for.
#[must_use]
pub fn of_job(config: &RepoConfig, parent: &ClaimId, name: &JobName) -> ClaimId {
    keyed(config, JOB_LABEL, [parent.as_str(), name.as_str()])
}

/// The claim of a runner: of a scope, for the number of a job, a run of that, and a try.
#[must_use]
pub fn of_runner(config: &RepoConfig, site: &Site, of: (&str, u64, u64, u32)) -> ClaimId {
    let (scope, job, run, attempt) = of;
    let event = EventKind::WorkflowJob.as_str();
    let (job, run, attempt) = (job.to_string(), run.to_string(), attempt.to_string());
    let fields = [&site.prefix, &site.region, &site.namespace, event, scope, &job, &run, &attempt];
    keyed(config, RUNNER_LABEL, fields)
}

fn keyed<'a>(config: &RepoConfig, label: &[u8], fields: impl IntoIterator<Item = &'a str>) -> ClaimId {
    let mut message = label.to_vec();
    for field in fields {
        let length = u32::try_from(field.len()).unwrap_or(u32::MAX);
        message.extend_from_slice(&length.to_be_bytes());
        message.extend_from_slice(field.as_bytes());
    }
    ClaimId::from_digest(key::mac(&config.claim_key, &[&message]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ```python
    /// def claim(key, fields):
    ///     message = b'albatros claim v1\0'
    ///     for field in fields:
    ///         message += struct.pack('>I', len(field.encode())) + field.encode()
    ///     return hmac.new(key, message, hashlib.sha256).hexdigest()
    /// claim(b's3cr3t-hmac', ['albatros', 'global', 'ci', 'https://git.example/quentin/albatros.git',
    ///     'refs/heads/main', 'a'*40, 'b'*40, 'default', 'push', 'true'])
    /// ```
    const VECTOR: &str = "41d757678ee6f1883d31975d2528c78a56dcb079d041e15ba5ee0380ea9c5d96";

    fn with(hook: &str, change: impl FnOnce(&mut Subject<'_>)) -> String {
        let config = RepoConfig::parse(format!(r#"{{"hook":{hook}}}"#).as_bytes()).unwrap();
        let (site, commit, flavor) = (Site::default(), "b".repeat(40).parse().unwrap(), Flavor::default());
        let before = "a".repeat(40);
        let mut subject = Subject {
            site: &site,
            canonical: "https://git.example/quentin/albatros.git",
            git_ref: "refs/heads/main",
            before: &before,
            commit: &commit,
            flavor: &flavor,
            event: EventKind::Push,
            trusted: true,
            salt: None,
        };
        change(&mut subject);
        claim(&config, &subject).to_string()
    }

    const SECRET: &str = r#"{"secret":["s3cr3t-hmac","old"],"token":"t"}"#;

    #[test]
    fn a_claim_is_what_an_independent_program_computes() {
        assert_eq!(with(SECRET, |_| {}), VECTOR);
        assert_eq!(with(r#"{"token":"s3cr3t-hmac"}"#, |_| {}), VECTOR);
        let salted = with(SECRET, |subject| subject.salt = Some("again"));
        assert_eq!(salted, "f57190c6351b74b4892c0efebe33ae7a0a1b6c09e84a2c59e62d41dd44c80aa7");
        let long_key = format!(r#"{{"token":"{}"}}"#, "k".repeat(100));
        assert_eq!(with(&long_key, |_| {}), "9a4440473eb2833ffd514cd525b8b7727eb3a878eed4cc945b70bcee54c375f2");
        let wide = with(SECRET, |subject| subject.git_ref = "refs/heads/é🦤");
        assert_eq!(wide, "6254cec83735b767c09a81f8cfd22d1e165ad34acc9020c23f55275563cac88c");
    }

    #[test]
    fn every_field_makes_another_claim() {
        let other_site = Site { namespace: "other".to_owned(), ..Site::default() };
        let (commit, flavor) = ("c".repeat(40).parse().unwrap(), "big".parse().unwrap());
        let mut claims = vec![
            with(SECRET, |_| {}),
            with(r#"{"secret":"other"}"#, |_| {}),
            with(SECRET, |subject| subject.canonical = "https://git.example/quentin/other.git"),
            with(SECRET, |subject| subject.git_ref = "refs/heads/other"),
            with(SECRET, |subject| subject.before = ""),
            with(SECRET, |subject| subject.event = EventKind::Tag),
            with(SECRET, |subject| subject.trusted = false),
            with(SECRET, |subject| subject.salt = Some("")),
        ];
        let config = RepoConfig::parse(format!(r#"{{"hook":{SECRET}}}"#).as_bytes()).unwrap();
        let usual = (Site::default(), "b".repeat(40).parse().unwrap(), Flavor::default());
        for (site, commit, flavor) in
            [(&other_site, &usual.1, &usual.2), (&usual.0, &commit, &usual.2), (&usual.0, &usual.1, &flavor)]
        {
            let subject = Subject {
                site,
                canonical: "https://git.example/quentin/albatros.git",
                git_ref: "refs/heads/main",
                before: &"a".repeat(40),
                commit,
                flavor,
                event: EventKind::Push,
                trusted: true,
                salt: None,
            };
            claims.push(claim(&config, &subject).to_string());
        }
        let count = claims.len();
        claims.sort();
        claims.dedup();
        assert_eq!(claims.len(), count);
    }
}
