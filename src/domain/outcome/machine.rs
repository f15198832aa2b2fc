//! A build in a machine of its own: its end is told, and where it is not, it was the machine's and not the script's.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Outcome, Verdict};
use crate::domain::runner::NOT_KEPT;

/// What a build's host has told of its machine. In JSON `is`, and beside it `why`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Machine {
    /// Its end will be told.
    Running,
    /// The script has ended in it. What was to be kept may not be kept yet.
    Ended {
        /// How, which the executor ends with too; none from one that did not say so yet.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exit_code: Option<u8>,
    },
    /// It did not get so far.
    Failed {
        /// For people.
        why: String,
    },
}

impl Machine {
    /// What a verdict comes to that was found by the executor alone: its failure is the script's only where the machine
    /// has told the script's end, and only as that was told: an executor that was killed while the build's artifacts were
    /// being kept has another. Everything else stays, as does what was `stopped`.
    #[must_use]
    pub fn judge(told: Option<&Self>, stopped: bool, verdict: Verdict) -> Verdict {
        match (told, verdict) {
            (Some(Self::Running), Verdict::Ended(Outcome::Failure { .. })) => {
                Verdict::infra("the build's machine was lost")
            }
            (Some(Self::Failed { why }), Verdict::Ended(Outcome::Failure { .. })) => Verdict::infra(why),
            (Some(Self::Ended { exit_code: Some(told) }), Verdict::Ended(Outcome::Failure { exit_code, .. }))
                if !stopped && (exit_code == 0 || ![*told, NOT_KEPT].map(i64::from).contains(&exit_code)) =>
            {
                // Engines differ in whether they tell an exit code above 128 as a signal's: a code of 0 has one for sure.
                Verdict::infra("the machine's host was lost")
            }
            (Some(Self::Running | Self::Ended { .. } | Self::Failed { .. }) | None, verdict) => verdict,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAILED: Verdict = Verdict::Ended(Outcome::Failure { exit_code: 125, signal: 0 });

    fn infra(verdict: Verdict) -> Option<String> {
        match verdict {
            Verdict::Ended(Outcome::Infra { reason }) => Some(reason),
            _ => None,
        }
    }

    #[test]
    fn a_failure_is_the_scripts_only_where_the_machine_has_told_its_end() {
        assert_eq!(Machine::judge(None, false, FAILED), FAILED);
        assert_eq!(Machine::judge(Some(&Machine::Ended { exit_code: Some(125) }), false, FAILED), FAILED);
        let lost = infra(Machine::judge(Some(&Machine::Running), false, FAILED));
        assert_eq!(lost.as_deref(), Some("the build's machine was lost"));
        let failed = Machine::Failed { why: "no kernel".to_owned() };
        assert_eq!(infra(Machine::judge(Some(&failed), false, FAILED)).as_deref(), Some("no kernel"));
    }

    #[test]
    fn a_host_that_ends_otherwise_than_it_has_told_was_lost() {
        let ended = Machine::Ended { exit_code: Some(3) };
        let failure = |exit_code, signal| Verdict::Ended(Outcome::Failure { exit_code, signal });
        for (verdict, lost) in
            [(failure(3, 0), false), (failure(74, 0), false), (failure(137, 0), true), (failure(0, 9), true)]
        {
            let judged = infra(Machine::judge(Some(&ended), false, verdict.clone()));
            assert_eq!(judged.as_deref(), lost.then_some("the machine's host was lost"), "{verdict:?}");
            assert_eq!(Machine::judge(Some(&ended), true, verdict.clone()), verdict);
        }
    }

    #[test]
    fn an_end_that_was_told_without_a_code_is_read_and_believed() {
        let ended: Machine = serde_json::from_str(r#"{"is":"ended"}"#).unwrap();
        assert_eq!(ended, Machine::Ended { exit_code: None });
        assert_eq!(Machine::judge(Some(&ended), false, FAILED), FAILED);
        assert_eq!(serde_json::to_string(&ended).unwrap(), r#"{"is":"ended"}"#);
        let told = serde_json::to_string(&Machine::Ended { exit_code: Some(3) }).unwrap();
        assert_eq!(told, r#"{"is":"ended","exit_code":3}"#);
    }

    #[test]
    fn what_is_no_failure_stays_what_it_is() {
        let running = Machine::Running;
        for verdict in [
            Verdict::Running,
            Verdict::Ended(Outcome::Success),
            Verdict::Ended(Outcome::Oom { exit_code: 137 }),
            Verdict::Ended(Outcome::Timeout),
            Verdict::Ended(Outcome::Cancelled { by: "a user".to_owned() }),
        ] {
            assert_eq!(Machine::judge(Some(&running), false, verdict.clone()), verdict);
        }
    }
}
