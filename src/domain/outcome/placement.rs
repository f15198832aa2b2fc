//! What evaluations say about a build that has no node, or may get another one.

use super::super::nomad::{AllocMetric, Evaluation, Snapshot};
use super::super::record::Stop;
use super::{GROUP, Outcome, Verdict};

/// Rule 2: nothing of the runner group was ever placed, or nothing is left of it.
pub(super) fn without_allocation(snapshot: &Snapshot, stop: Option<&Stop>) -> Verdict {
    if snapshot.job.as_ref().is_some_and(|job| job.stop) {
        return Verdict::Ended(Outcome::of_stop(stop));
    }
    if !has_group(snapshot) {
        return Verdict::infra(format!("the builder has no group {GROUP}"));
    }
    let evaluations = snapshot.evaluations.as_slice();
    let blocked: Vec<&Evaluation> = blocked(evaluations).collect();
    if !blocked.is_empty() {
        return waiting(&blocked);
    }
    let failed = evaluations.iter().find(|one| one.status == "failed");
    match failed {
        Some(failed) if !is_pending(evaluations) => {
            let why = super::reason::fit(&failed.status_description);
            Verdict::infra(format!("Nomad gave up looking for a node: {why}"))
        }
        Some(_) | None => Verdict::Queued { reason: String::new() },
    }
}

/// Rule 9: what is to replace an allocation waits for room.
pub(super) fn queued_again(evaluations: &[Evaluation]) -> Option<Verdict> {
    let first = blocked(evaluations).next()?;
    Some(Verdict::Queued { reason: metric(first).map(missing).unwrap_or_default() })
}

/// Whether Nomad is still about to decide something.
pub(super) fn is_pending(evaluations: &[Evaluation]) -> bool {
    evaluations.iter().any(|one| one.status == "pending")
}

fn has_group(snapshot: &Snapshot) -> bool {
    let groups = snapshot.job.as_ref().map(|job| job.task_groups.as_slice());
    // A job always has groups: an empty list was cut off by somebody, and says nothing.
    groups.is_some_and(|groups| groups.is_empty() || groups.iter().any(|group| group.name == GROUP))
}

fn blocked(evaluations: &[Evaluation]) -> impl Iterator<Item = &Evaluation> {
    evaluations.iter().filter(|one| one.status == "blocked")
}

/// Without a word on why nothing was placed (two plans met), it is only a matter of time.
fn waiting(blocked: &[&Evaluation]) -> Verdict {
    let metrics: Vec<&AllocMetric> = blocked.iter().copied().filter_map(metric).collect();
    if let Some(exhausted) = metrics.iter().find(|one| is_exhausted(one)) {
        return Verdict::Queued { reason: missing(exhausted) };
    }
    match metrics.first() {
        Some(metric) => Verdict::Unplaceable { reason: unfit(metric) },
        None => Verdict::Queued { reason: String::new() },
    }
}

fn metric(evaluation: &Evaluation) -> Option<&AllocMetric> {
    evaluation.failed_tg_allocs.get(GROUP).or_else(|| evaluation.failed_tg_allocs.values().next())
}

fn is_exhausted(metric: &AllocMetric) -> bool {
    metric.nodes_exhausted > 0
        || !metric.dimension_exhausted.is_empty()
        || !metric.class_exhausted.is_empty()
        || !metric.quota_exhausted.is_empty()
}

/// What there is too little of.
fn missing(metric: &AllocMetric) -> String {
    let resources = metric.dimension_exhausted.keys().chain(&metric.quota_exhausted);
    let resources: Vec<&str> = resources.map(String::as_str).collect();
    if resources.is_empty() { String::new() } else { super::reason::fit(&resources.join(", ")) }
}

/// Why no node will do.
fn unfit(metric: &AllocMetric) -> String {
    if metric.nodes_evaluated == 0 && metric.nodes_filtered == 0 {
        return "no node in the builder's datacenters and node pool".to_owned();
    }
    let constraints: Vec<&str> = metric.constraint_filtered.keys().map(String::as_str).collect();
    if constraints.is_empty() {
        return "no node fits".to_owned();
    }
    super::reason::fit(&format!("no node has {}", constraints.join(", ")))
}
