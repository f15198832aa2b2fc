//! The record of a runner: for which job, in which pool, which try.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{Pool, Runner, Scope, SeenJob, scope_tag};
use crate::domain::claim;
use crate::domain::config::RepoConfig;
use crate::domain::event::{EventKind, Sender};
use crate::domain::id::{ClaimId, CommitSha, Flavor};
use crate::domain::job::JobSpec;
use crate::domain::plan::{Site, unfit};
use crate::domain::record::{Phase, Record, VERSION};
use crate::domain::repo_url::RepoUrl;
use crate::domain::status::Posted;

/// How many digits of the claim are in a runner's name.
const OF_CLAIM: usize = 12;
/// What stands for a branch that the forge does not name, or that no build is given.
const NO_BRANCH: &str = "workflow";

/// A runner to be claimed.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The configuration of the scope.
    pub config: &'a RepoConfig,
    /// The spelling of the scope's address whose key matched.
    pub entry: &'a str,
    /// The canonical address of the scope.
    pub scope: &'a str,
    /// Where builds are.
    pub site: &'a Site,
    /// The job that needs one.
    pub job: &'a SeenJob,
    /// The pool that the job is for.
    pub pool: &'a Pool,
    /// Which try this is, from 1 on.
    pub attempt: u32,
}

/// What is to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// Under which key.
    pub claim: ClaimId,
    /// Of the runner.
    pub runner: Runner,
}

/// Plans a runner: one for a job, its run and a try, however often it is asked for.
#[must_use]
pub fn plan(asked: &Asked<'_>) -> Planned {
    let Asked { config, scope, site, job, pool, attempt, .. } = *asked;
    let claim = claim::of_runner(config, site, (scope, job.at.id, job.at.attempt, attempt));
    let runner = Runner {
        scope: scope.to_owned(),
        labels: pool.kept_labels(),
        group: pool.group.clone(),
        name: format!("{}-{}-{}", pool.name, scope_tag(config, site, scope), short(&claim)),
        timeout: pool.timeout,
        job: job.at.clone(),
        attempt,
        registering: None,
        registered: None,
        taken: None,
        taken_job: None,
        unneeded: None,
    };
    Planned { claim, runner }
}

/// The part of a claim that a runner's name has.
pub(super) fn short(claim: &ClaimId) -> &str {
    claim.as_str().get(..OF_CLAIM).unwrap_or_default()
}

/// The record that claims a runner: it waits for its pool's turn. None where no job of ours can be written down.
#[must_use]
pub fn record(asked: &Asked<'_>, planned: Planned, nonce: String, now: Timestamp) -> Option<Record> {
    let Asked { job, pool, site, .. } = *asked;
    let Planned { claim, runner } = planned;
    let commit = job.commit.clone().or_else(|| "0".repeat(40).parse::<CommitSha>().ok())?;
    let branch = job.branch.clone().filter(|branch| !branch.is_empty() && unfit("BRANCH", branch).is_none());
    let branch = branch.unwrap_or_else(|| NO_BRANCH.to_owned());
    let sender = Sender { login: job.sender.clone().unwrap_or_default(), id: None };
    let spec = JobSpec { timeout: Some(pool.timeout), ..Runner::spec()? };
    Some(Record {
        version: VERSION,
        nonce,
        repo: asked.entry.to_owned(),
        canonical: asked.scope.to_owned(),
        git_ref: format!("refs/heads/{branch}"),
        before: String::new(),
        flavor: Flavor::default(),
        event: EventKind::WorkflowJob,
        repository_id: None,
        trusted: false,
        private: is_private(asked),
        pull: None,
        builder: pool.builder.clone(),
        namespace: site.namespace.clone(),
        meta: meta(&claim, &runner, &commit, &branch, &sender),
        commit,
        branch,
        sender,
        payload_hmac: None,
        undecided: None,
        params: BTreeMap::new(),
        retry_of: None,
        created: now,
        approved: None,
        approved_by: None,
        let_through: None,
        phase: Phase::Waiting,
        build: None,
        session: None,
        machine: None,
        parent: None,
        job: Some(Box::new(spec)),
        runner: Some(Box::new(runner)),
        jobs: BTreeMap::new(),
        jobs_bytes: 0,
        seen: None,
        address: None,
        trouble: None,
        tests: None,
        placed: None,
        started: None,
        finished: None,
        stop: None,
        statuses: Posted::default(),
        other: serde_json::Map::new(),
    })
}

/// Whether strangers see nothing of it. A runner of more than one repository may take a job of any of them, and its log
/// names that one: what is told of the job it was started for says nothing then.
fn is_private(asked: &Asked<'_>) -> bool {
    let scope = asked.config.forge.as_ref().and_then(|forge| {
        let entry: RepoUrl = asked.entry.parse().ok()?;
        Scope::of(&entry, forge).ok()
    });
    let told = match scope {
        Some((Scope::Repo { .. }, _)) => asked.job.private,
        Some((Scope::Owner(_) | Scope::Instance, _)) | None => None,
    };
    asked.config.private.or(told).unwrap_or(true)
}

/// A value that no build is given is left out: it is the forge's, and nobody's to change.
fn meta(
    claim: &ClaimId,
    runner: &Runner,
    commit: &CommitSha,
    branch: &str,
    sender: &Sender,
) -> BTreeMap<String, String> {
    let all = [
        ("REPO_URL", runner.job.repo.as_str()),
        ("COMMIT", commit.as_str()),
        ("BRANCH", branch),
        ("FLAVOR", "default"),
        ("REF", &format!("refs/heads/{branch}")),
        ("EVENT", EventKind::WorkflowJob.as_str()),
        ("SENDER", &sender.login),
        ("TRUSTED", "false"),
        ("ALBATROS_CLAIM", claim.as_str()),
        ("JOB", "runner"),
    ];
    let fits = |(name, value): &(&str, &str)| !value.is_empty() && unfit(name, value).is_none();
    all.into_iter().filter(fits).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::runners::{JobAt, SeenState};

    fn config(private: &str) -> RepoConfig {
        let config = format!(
            r#"{{"hook":{{"secret":"s"}},"gitea":{{"url":"https://git.example","token":"t"}},"inject":"A=1"{private},
                "runners":[{{"labels":["x:host"],"builder":"r"}}]}}"#
        );
        RepoConfig::parse(config.as_bytes()).unwrap()
    }

    fn job() -> SeenJob {
        let at =
            JobAt { id: 7, attempt: 0, repo: "https://git.example/o/r".to_owned(), name: "j".to_owned(), url: None };
        SeenJob {
            at,
            labels: vec!["x".to_owned()],
            state: SeenState::Queued,
            commit: None,
            branch: Some("${NOMAD_TOKEN}".to_owned()),
            private: Some(false),
            sender: None,
        }
    }

    fn asked<'a>(config: &'a RepoConfig, scope: &'a str, site: &'a Site, job: &'a SeenJob) -> Asked<'a> {
        Asked { config, entry: scope, scope, site, job, pool: &config.runners[0], attempt: 1 }
    }

    #[test]
    fn a_runner_is_claimed_once_for_a_job_its_run_and_a_try_and_gets_no_secrets() {
        let (config, site, job) = (config(""), Site::default(), job());
        let asked = asked(&config, "https://git.example/o", &site, &job);
        let planned = plan(&asked);
        assert_eq!(planned, plan(&asked));
        assert_ne!(planned.claim, plan(&Asked { attempt: 2, ..asked }).claim);
        assert!(planned.runner.name.ends_with(short(&planned.claim)) && planned.runner.name.starts_with("albatros-"));
        let record = record(&asked, planned, "n".to_owned(), Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!((record.trusted, record.phase), (false, Phase::Waiting));
        assert_eq!((record.builder.as_str(), record.meta["BRANCH"].as_str()), ("r", NO_BRANCH));
        assert_eq!(record.meta["REPO_URL"], "https://git.example/o/r");
        let rerun = SeenJob { at: JobAt { attempt: 1, ..job.at.clone() }, ..job.clone() };
        assert_ne!(plan(&Asked { job: &rerun, ..asked }).claim, plan(&asked).claim);
    }

    #[test]
    fn a_runner_that_may_take_another_repository_s_job_is_private_unless_the_entry_says_otherwise() {
        const HOME: &str = "https://git.example";
        for (scope, private, told, expected) in [
            ("/o/r.git", "", Some(false), false),
            ("/o/r.git", "", Some(true), true),
            ("/o/r.git", "", None, true),
            ("/o/r.git", r#","private":false"#, Some(true), false),
            ("/o", "", Some(false), true),
            ("", "", Some(false), true),
            ("/o", r#","private":false"#, Some(true), false),
        ] {
            let (config, site, job) = (config(private), Site::default(), SeenJob { private: told, ..job() });
            let scope = format!("{HOME}{scope}");
            let asked = asked(&config, &scope, &site, &job);
            let record = record(&asked, plan(&asked), "n".to_owned(), Timestamp::UNIX_EPOCH).unwrap();
            assert_eq!(record.private, expected, "{scope} {private} {told:?}");
        }
    }
}
