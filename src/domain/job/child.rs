//! The record of a job: its parent's change and trust, and nothing of its parent's own course.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{JobSpec, Parent};
use crate::domain::config::RepoConfig;
use crate::domain::id::{BuilderName, ClaimId};
use crate::domain::record::{Phase, Record, VERSION};
use crate::domain::status::Posted;

/// What the parent's builder is told, and a job's is not: its image is its own.
const IMAGE: &str = "IMAGE";

/// A job to be claimed: by whom, as what, and under which claim.
#[derive(Debug, Clone, Copy)]
pub struct Child<'a> {
    /// The claim of the build that starts it.
    pub of: &'a ClaimId,
    /// That build's record.
    pub parent: &'a Record,
    /// The job's own claim.
    pub claim: &'a ClaimId,
    /// What it is to do.
    pub spec: &'a JobSpec,
    /// Its builder.
    pub builder: &'a BuilderName,
}

/// Where jobs of a build of this trust run. None: an untrusted build has a builder of its own, for its jobs none is named,
/// and they may not get out to where trusted ones run.
#[must_use]
pub fn builder(config: &RepoConfig, trusted: bool) -> Option<&BuilderName> {
    match &config.untrusted_job_builder {
        _ if trusted => Some(&config.job_builder),
        Some(untrusted) => Some(untrusted),
        None => config.untrusted_builder.is_none().then_some(&config.job_builder),
    }
}

impl Child<'_> {
    /// The record that claims it.
    #[must_use]
    pub fn record(&self, nonce: String, now: Timestamp) -> Record {
        let parent = self.parent;
        let phase = if self.spec.hold { Phase::Held } else { Phase::Claimed };
        Record {
            version: VERSION,
            nonce,
            repo: parent.repo.clone(),
            canonical: parent.canonical.clone(),
            git_ref: parent.git_ref.clone(),
            branch: parent.branch.clone(),
            before: parent.before.clone(),
            commit: parent.commit.clone(),
            flavor: parent.flavor.clone(),
            event: parent.event,
            sender: parent.sender.clone(),
            repository_id: parent.repository_id,
            trusted: parent.trusted,
            private: parent.private,
            pull: parent.pull.clone(),
            builder: self.builder.clone(),
            namespace: parent.namespace.clone(),
            meta: self.meta(),
            payload_hmac: None,
            undecided: None,
            params: BTreeMap::new(),
            retry_of: None,
            created: now,
            approved: None,
            approved_by: None,
            let_through: None,
            phase,
            build: None,
            session: None,
            parent: Some(Parent { claim: self.of.clone(), name: self.spec.name.clone() }),
            job: Some(Box::new(self.spec.clone())),
            runner: None,
            jobs: BTreeMap::new(),
            jobs_bytes: 0,
            seen: None,
            address: None,
            trouble: None,
            machine: None,
            tests: None,
            placed: None,
            started: None,
            finished: None,
            stop: None,
            statuses: Posted::default(),
            other: serde_json::Map::new(),
        }
    }

    fn meta(&self) -> BTreeMap<String, String> {
        let mut meta = self.parent.meta.clone();
        meta.insert("ALBATROS_CLAIM".to_owned(), self.claim.to_string());
        meta.insert("JOB".to_owned(), self.spec.name.to_string());
        match &self.spec.image {
            Some(image) => meta.insert(IMAGE.to_owned(), image.clone()),
            None => meta.remove(IMAGE),
        };
        meta
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config(builders: serde_json::Value) -> RepoConfig {
        RepoConfig::parse(json!({"hook": {"secret": "s"}, "builders": builders}).to_string().as_bytes()).unwrap()
    }

    #[test]
    fn jobs_of_untrusted_builds_stay_where_untrusted_builds_are_kept() {
        let of = |builders, trusted| builder(&config(builders), trusted).map(ToString::to_string);
        assert_eq!(of(json!({}), true).as_deref(), Some("container"));
        assert_eq!(of(json!({}), false).as_deref(), Some("container"));
        assert_eq!(of(json!({"jobs": "exec"}), false).as_deref(), Some("exec"));
        assert_eq!(of(json!({"untrusted": "jail"}), false), None);
        assert_eq!(of(json!({"untrusted": "jail"}), true).as_deref(), Some("container"));
        let jailed = json!({"untrusted": "jail", "untrusted_jobs": "jail-container"});
        assert_eq!(of(jailed, false).as_deref(), Some("jail-container"));
    }

    #[test]
    fn a_job_has_its_parent_s_change_and_trust_and_an_image_of_its_own() {
        let meta = json!({"COMMIT": "c", "IMAGE": "parent:1", "ALBATROS_CLAIM": "p", "TRUSTED": "true"});
        let parent: Record = serde_json::from_value(json!({
            "version": 1, "nonce": "n", "repo": "http://git.example/a/b", "canonical": "http://git.example/a/b",
            "ref": "refs/heads/main", "branch": "main", "before": "", "commit": "1".repeat(40), "flavor": "big",
            "event": "push", "sender": {"login": "quentin"}, "trusted": true, "private": true, "builder": "builder",
            "namespace": "ci", "meta": meta, "created": "2026-11-21T00:00:00Z", "phase": {"is": "dispatched"},
            "build": "builder/dispatch-1-a", "session": "hash", "payload_hmac": "trace",
        }))
        .unwrap();
        let (of, claim): (ClaimId, ClaimId) = ("a".repeat(64).parse().unwrap(), "b".repeat(64).parse().unwrap());
        let record = |spec: serde_json::Value| {
            let (spec, builder) = (serde_json::from_value(spec).unwrap(), "container".parse().unwrap());
            let child = Child { of: &of, parent: &parent, claim: &claim, spec: &spec, builder: &builder };
            child.record("m".to_owned(), Timestamp::UNIX_EPOCH)
        };
        let job = record(json!({"name": "j", "image": "rust:1"}));
        assert_eq!((job.trusted, job.private, job.commit.as_str()), (true, true, parent.commit.as_str()));
        assert_eq!((job.meta["IMAGE"].as_str(), job.meta["JOB"].as_str()), ("rust:1", "j"));
        assert_eq!(job.meta["ALBATROS_CLAIM"], claim.as_str());
        assert!(job.session.is_none() && job.build.is_none() && job.payload_hmac.is_none());
        assert_eq!((job.phase, job.parent.unwrap().claim), (Phase::Claimed, of.clone()));
        let held = record(json!({"name": "j", "hold": true}));
        assert!(held.phase == Phase::Held && !held.meta.contains_key("IMAGE"));
    }
}
