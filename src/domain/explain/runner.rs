//! What would come of a job of a forge's own workflow: whose runner it gets, or why none.

use super::{Decision, Explanation};
use crate::domain::config::RepoConfig;
use crate::domain::event::EventKind;
use crate::domain::json::shown;
use crate::domain::runners::{Label, Pool, SeenJob, SeenState, pool_for};

/// Labels that a sentence repeats.
const SHOWN: usize = 8;

pub(super) fn explained(job: &SeenJob, config: &RepoConfig) -> Explanation {
    let nothing = |why: String| Explanation::nothing(Decision::Ignored, Some(EventKind::WorkflowJob), why);
    let kind = config.forge.as_ref().map(|forge| forge.kind);
    let Some(kind) = kind.filter(|_| !config.runners.is_empty()) else {
        let why = "a job of a workflow, and the entry has no `runners`: it gets a runner where its owner's or its forge's has";
        return nothing(why.to_owned());
    };
    match job.state {
        SeenState::Queued => {}
        SeenState::Waiting => return nothing("a job of a workflow that waits for others".to_owned()),
        SeenState::InProgress(_) => return nothing("a job of a workflow that a runner has taken".to_owned()),
        SeenState::Completed(_) => {
            return nothing("a job of a workflow that is over: a runner that waits for it alone is stopped".to_owned());
        }
    }
    let wanted = listed(job.labels.iter().map(|label| shown(label)));
    let Some(pool) = pool_for(&config.runners, kind, &job.labels) else {
        let pools: Vec<String> = config.runners.iter().map(labels).collect();
        let why = format!(
            "a job of a workflow that wants {wanted}: no entry of `runners` has all of that ({})",
            pools.join("; ")
        );
        return nothing(why);
    };
    let place = config.runners.iter().position(|one| one == pool).unwrap_or_default();
    let reason = format!(
        "a job of a workflow that wants {wanted}: runners[{place}] has that ({}), and starts a runner, at most {} at a time",
        labels(pool),
        pool.max
    );
    Explanation {
        builder: Some(pool.builder.clone()),
        ..Explanation::nothing(Decision::Build, Some(EventKind::WorkflowJob), reason)
    }
}

fn labels(pool: &Pool) -> String {
    listed(pool.labels.iter().map(Label::to_string))
}

fn listed(labels: impl Iterator<Item = String>) -> String {
    let all: Vec<String> = labels.collect();
    let mut text = all.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if all.len() > SHOWN {
        text.push_str(", …");
    }
    if all.is_empty() { "no label".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::runners::JobAt;

    fn job(labels: &[&str], state: SeenState) -> SeenJob {
        let at =
            JobAt { id: 1, attempt: 0, repo: "https://git.example/o/r".to_owned(), name: "j".to_owned(), url: None };
        let labels = labels.iter().map(|&label| label.to_owned()).collect();
        SeenJob { at, labels, state, commit: None, branch: None, private: None, sender: None }
    }

    fn said(runners: &str, labels: &[&str], state: SeenState) -> (Decision, String, String) {
        let config = format!(
            r#"{{"hook":{{"secret":"s"}},"gitea":{{"url":"https://git.example","token":"t"}},"runners":{runners}}}"#
        );
        let said = explained(&job(labels, state), &RepoConfig::parse(config.as_bytes()).unwrap());
        (said.decision, said.builder.map(|it| it.to_string()).unwrap_or_default(), said.reason)
    }

    #[test]
    fn a_job_of_a_workflow_is_told_its_pool_and_builder_or_why_it_has_none() {
        let pools = r#"[{"labels":["x"]},{"labels":["gpu:host","big"],"builder":"r","max":2}]"#;
        let (decision, builder, reason) = said(pools, &["gpu", "big"], SeenState::Queued);
        assert_eq!((decision, builder.as_str()), (Decision::Build, "r"));
        assert!(reason.contains("wants gpu, big: runners[1]") && reason.contains("(gpu:host, big)"), "{reason}");
        for (runners, labels, state, expected) in [
            (pools, &["gpu", "arm"][..], SeenState::Queued, "no entry of `runners` has all of that (x; gpu:host, big)"),
            (pools, &[], SeenState::Queued, "wants no label"),
            (pools, &["x"], SeenState::Waiting, "waits for others"),
            (pools, &["x"], SeenState::InProgress(None), "has taken"),
            ("[]", &["x"], SeenState::Queued, "the entry has no `runners`"),
        ] {
            let (decision, builder, reason) = said(runners, labels, state);
            assert_eq!((decision, builder.as_str()), (Decision::Ignored, ""), "{reason}");
            assert!(reason.contains(expected), "{reason}");
        }
    }
}
