//! A build in a machine of its own: its end is told, and where it is not, it was the machine's and not the script's.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Outcome, Verdict};

/// What a build's host has told of its machine. In JSON `is`, and beside it `why`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Machine {
    /// Its end will be told.
    Running,
    /// The script has ended in it, and the executor's exit code is the script's.
    Ended,
    /// It did not get so far.
    Failed {
        /// For people.
        why: String,
    },
}

impl Machine {
    /// What a verdict comes to that was found by the executor alone: its failure is the script's only where the machine
    /// has told the script's end. Everything else stays.
    #[must_use]
    pub fn judge(told: Option<&Self>, verdict: Verdict) -> Verdict {
        match (told, verdict) {
            (Some(Self::Running), Verdict::Ended(Outcome::Failure { .. })) => {
                Verdict::infra("the build's machine was lost")
            }
            (Some(Self::Failed { why }), Verdict::Ended(Outcome::Failure { .. })) => Verdict::infra(why),
            (Some(Self::Running | Self::Ended | Self::Failed { .. }) | None, verdict) => verdict,
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
        assert_eq!(Machine::judge(None, FAILED), FAILED);
        assert_eq!(Machine::judge(Some(&Machine::Ended), FAILED), FAILED);
        let lost = infra(Machine::judge(Some(&Machine::Running), FAILED));
        assert_eq!(lost.as_deref(), Some("the build's machine was lost"));
        let failed = Machine::Failed { why: "no kernel".to_owned() };
        assert_eq!(infra(Machine::judge(Some(&failed), FAILED)).as_deref(), Some("no kernel"));
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
            assert_eq!(Machine::judge(Some(&running), verdict.clone()), verdict);
        }
    }
}
