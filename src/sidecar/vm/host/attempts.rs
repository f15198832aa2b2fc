//! What a machine's instructions are run by, in the order in which it is tried.

use std::time::Duration;

use super::engine::EngineError;
use super::qemu::Accel;
use super::session::Ending;
use super::settings::AccelChoice;
use crate::domain::vm::Course;

/// A kernel is up by then, each with its own.
const BOOT_BY_KVM: Duration = Duration::from_secs(30);
pub(super) const BOOT_BY_TCG: Duration = Duration::from_secs(120);
/// The same where there is something else to be tried.
const BOOT_BY_KVM_IF_IT_CAN: Duration = Duration::from_secs(15);

/// One of them, and how long its kernel may take.
pub(super) type Attempt = (Accel, Duration);

/// All of them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Attempts {
    /// Tried before, as long as the machine does not boot.
    pub(super) before: Option<Attempt>,
    pub(super) last: Attempt,
    /// Why it is slow, for the log.
    pub(super) note: Option<String>,
}

impl Attempts {
    /// As it was chosen, where KVM is `missing` for this reason, or has failed on this node before.
    pub(super) fn of(choice: AccelChoice, missing: Option<String>, has_failed: bool) -> Result<Self, EngineError> {
        let by_tcg = |note| Self { before: None, last: (Accel::Tcg, BOOT_BY_TCG), note };
        Ok(match (choice, missing) {
            (AccelChoice::Tcg, _) => by_tcg(None),
            (AccelChoice::Kvm, None) => Self { before: None, last: (Accel::Kvm, BOOT_BY_KVM), note: None },
            (AccelChoice::Kvm, Some(why)) => return Err(EngineError::NoKvm(why)),
            (AccelChoice::Auto, None) if has_failed => by_tcg(Some(
                "KVM has failed on this node: the machine's instructions are translated (TCG), which is slow"
                    .to_owned(),
            )),
            (AccelChoice::Auto, None) => Self { before: Some((Accel::Kvm, BOOT_BY_KVM_IF_IT_CAN)), ..by_tcg(None) },
            (AccelChoice::Auto, Some(why)) => {
                by_tcg(Some(format!("no KVM ({why}): the machine's instructions are translated (TCG), which is slow")))
            }
        })
    }
}

/// Why another attempt is made after this one, and whether this one hung; otherwise it has been the last. A machine whose
/// life is over gets no second one.
pub(super) fn given_up(ending: Ending, life_is_over: bool) -> Result<(String, bool), Ending> {
    match ending {
        Ending::Hung(why) if !life_is_over => Ok((why, true)),
        Ending::Lost(Course::Booting, why) if !life_is_over => Ok((why, false)),
        Ending::Hung(_) | Ending::Lost(..) | Ending::Done(..) | Ending::Stopped(_) => Err(ending),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_tried_is_what_was_chosen_and_what_is_slow_is_said() {
        for (choice, missing, failed, tried, said) in [
            (AccelChoice::Auto, false, false, &[Accel::Kvm, Accel::Tcg][..], None),
            (AccelChoice::Auto, false, true, &[Accel::Tcg], Some("KVM has failed on this node")),
            (AccelChoice::Auto, true, false, &[Accel::Tcg], Some("no KVM (no such device)")),
            (AccelChoice::Auto, true, true, &[Accel::Tcg], Some("no KVM (no such device)")),
            (AccelChoice::Kvm, false, false, &[Accel::Kvm], None),
            (AccelChoice::Kvm, false, true, &[Accel::Kvm], None),
            (AccelChoice::Tcg, false, false, &[Accel::Tcg], None),
            (AccelChoice::Tcg, true, false, &[Accel::Tcg], None),
        ] {
            let missing = missing.then(|| "no such device".to_owned());
            let it = Attempts::of(choice, missing.clone(), failed).unwrap();
            let accels: Vec<_> = it.before.iter().chain([&it.last]).map(|(accel, _)| *accel).collect();
            assert_eq!(accels, tried, "{choice:?} {missing:?} {failed}");
            match (said, it.note) {
                (Some(said), Some(note)) => assert!(note.starts_with(said) && note.contains("slow"), "{note}"),
                (said, note) => assert_eq!(said.map(str::to_owned), note, "{choice:?} {missing:?} {failed}"),
            }
        }
        let none = Attempts::of(AccelChoice::Kvm, Some("no such device".to_owned()), false).unwrap_err().to_string();
        assert!(none.contains("no such device") && none.contains("--accel tcg"), "{none}");
    }

    #[test]
    fn only_a_machine_that_has_not_booted_and_may_live_on_is_tried_otherwise() {
        let why = || "why".to_owned();
        let lost = Ending::Lost(Course::Booting, why());
        assert_eq!(given_up(lost, false), Ok((why(), false)));
        assert_eq!(given_up(Ending::Hung(why()), false), Ok((why(), true)));
        for (ending, over) in [
            (Ending::Lost(Course::Booting, why()), true),
            (Ending::Hung(why()), true),
            (Ending::Lost(Course::Booted, why()), false),
            (Ending::Lost(Course::Running, why()), false),
            (Ending::Stopped(15), false),
        ] {
            assert!(given_up(ending, over).is_err());
        }
    }
}
