//! Where a build runs.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::nomad::{Allocation, Snapshot};

/// Where a build was placed, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Placed {
    /// By the clock of Nomad's leader, but never before the claim or after it was seen.
    pub at: Timestamp,
    /// The node's name; empty where the engine gives it none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub node: String,
    /// The allocation's id.
    pub allocation: String,
}

impl Placed {
    /// By the newest allocation of group `runner`; none where there is none. `created` is the claim's time.
    #[must_use]
    pub fn of(snapshot: &Snapshot, created: Timestamp, now: Timestamp) -> Option<Self> {
        let runner = newest_runner(snapshot)?;
        let told = (runner.create_time > 0).then(|| Timestamp::from_nanosecond(i128::from(runner.create_time)).ok());
        let at = told.flatten().unwrap_or(now).clamp(created.min(now), now);
        Some(Self { at, node: runner.node_name.clone(), allocation: runner.id.clone() })
    }
}

/// The allocation that counts.
pub(super) fn newest_runner(snapshot: &Snapshot) -> Option<&Allocation> {
    let runners = snapshot.allocations.iter().filter(|one| one.task_group == "runner");
    runners.max_by_key(|one| one.create_index)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(n: i64) -> Timestamp {
        Timestamp::from_second(n).unwrap()
    }

    fn placed(runner: &serde_json::Value) -> Option<Placed> {
        let allocations = vec![serde_json::from_value(runner.clone()).unwrap()];
        Placed::of(&Snapshot { allocations, ..Snapshot::default() }, second(100), second(200))
    }

    #[test]
    fn a_build_is_where_its_runner_is_and_no_wrong_clock_moves_it_out_of_its_time() {
        let runner = |at: i64| serde_json::json!({"ID": "a1", "NodeName": "n1", "TaskGroup": "runner", "CreateTime": at * 1_000_000_000});
        for (told, at) in [(150, 150), (50, 100), (900, 200), (0, 200)] {
            let expected = Placed { at: second(at), node: "n1".to_owned(), allocation: "a1".to_owned() };
            assert_eq!(placed(&runner(told)), Some(expected), "{told}");
        }
        assert_eq!(placed(&serde_json::json!({"ID": "a1", "TaskGroup": "other"})), None);
    }
}
