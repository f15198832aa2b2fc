//! How far a machine is: booting, booted, ready, running, done, and nothing in another order.

use std::time::Duration;

use super::message::{End, LINE_MOST, Nonce, ToHost, VERSION};

/// How far a machine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Course {
    /// The kernel is being started.
    Booting,
    /// It was told what it is to be.
    Booted,
    /// It could start the workload.
    Ready,
    /// The workload runs.
    Running,
    /// It is over, one way or the other.
    Over,
}

/// What a line of the guest's comes down to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// It is to be told what it is to be.
    Booted,
    /// It is ready.
    Ready,
    /// The workload runs.
    Running,
    /// The workload has ended.
    Done(End),
    /// The guest says that it cannot go on.
    Failed(String),
    /// Nothing, and why.
    Ignored(&'static str),
}

/// The host's side of it. Holds no clock: [`Handshake::within`] says how long the next step may take.
#[derive(Debug)]
pub struct Handshake {
    nonce: Nonce,
    course: Course,
}

impl Handshake {
    /// Of one run.
    #[must_use]
    pub fn new(nonce: Nonce) -> Self {
        Self { nonce, course: Course::Booting }
    }

    /// How far it is.
    #[must_use]
    pub fn course(&self) -> Course {
        self.course
    }

    /// How long the machine may stay where it is; none while the workload runs, which the life limit bounds, and when it
    /// is over.
    #[must_use]
    pub fn within(&self, boot: Duration, setup: Duration) -> Option<Duration> {
        match self.course {
            Course::Booting => Some(boot),
            Course::Booted | Course::Ready => Some(setup),
            Course::Running | Course::Over => None,
        }
    }

    /// Takes one line of the guest's.
    pub fn take(&mut self, line: &[u8]) -> Taken {
        if line.len() > LINE_MOST {
            return Taken::Ignored("longer than any message");
        }
        let Ok(message) = serde_json::from_slice::<ToHost>(line) else { return Taken::Ignored("no message") };
        let told = match &message {
            ToHost::Booted { .. } => None,
            ToHost::Ready { nonce } | ToHost::Running { nonce } | ToHost::Done { nonce, .. } => Some(nonce),
            ToHost::Failed { nonce, .. } => Some(nonce),
        };
        if told.is_some_and(|nonce| !self.nonce.matches(nonce)) {
            return Taken::Ignored("not with this run's nonce");
        }
        let (next, taken) = match (self.course, message) {
            (Course::Booting, ToHost::Booted { version: VERSION }) => (Course::Booted, Taken::Booted),
            (Course::Booting, ToHost::Booted { .. }) => {
                (Course::Over, Taken::Failed("the program in the guest is of another version".to_owned()))
            }
            (Course::Booted, ToHost::Ready { .. }) => (Course::Ready, Taken::Ready),
            (Course::Ready, ToHost::Running { .. }) => (Course::Running, Taken::Running),
            (Course::Running, ToHost::Done { end, .. }) => (Course::Over, Taken::Done(end)),
            (Course::Booted | Course::Ready | Course::Running, ToHost::Failed { why, .. }) => {
                (Course::Over, Taken::Failed(why))
            }
            _ => return Taken::Ignored("out of turn"),
        };
        self.course = next;
        taken
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NONCE: &str = "ab";

    fn machine() -> Handshake {
        Handshake::new(Nonce::new(NONCE))
    }

    fn say(machine: &mut Handshake, text: &str) -> Taken {
        machine.take(text.as_bytes())
    }

    const BOOTED: &str = r#"{"is":"booted","version":1}"#;
    const READY: &str = r#"{"is":"ready","nonce":"ab"}"#;
    const RUNNING: &str = r#"{"is":"running","nonce":"ab"}"#;
    const DONE: &str = r#"{"is":"done","nonce":"ab","end":{"code":3}}"#;

    #[test]
    fn a_run_goes_its_way_once() {
        let mut machine = machine();
        assert_eq!(say(&mut machine, BOOTED), Taken::Booted);
        assert_eq!(say(&mut machine, READY), Taken::Ready);
        assert_eq!(say(&mut machine, RUNNING), Taken::Running);
        assert_eq!(say(&mut machine, DONE), Taken::Done(End { code: 3, oom: false }));
        assert_eq!(say(&mut machine, DONE), Taken::Ignored("out of turn"));
        assert_eq!(machine.course(), Course::Over);
    }

    #[test]
    fn what_is_repeated_or_out_of_turn_changes_nothing() {
        let mut machine = machine();
        assert_eq!(say(&mut machine, DONE), Taken::Ignored("out of turn"));
        assert_eq!(say(&mut machine, BOOTED), Taken::Booted);
        assert_eq!(say(&mut machine, BOOTED), Taken::Ignored("out of turn"));
        assert_eq!(say(&mut machine, DONE), Taken::Ignored("out of turn"));
        assert_eq!(machine.course(), Course::Booted);
    }

    #[test]
    fn without_the_nonce_nothing_is_done() {
        let mut machine = machine();
        say(&mut machine, BOOTED);
        say(&mut machine, READY);
        say(&mut machine, RUNNING);
        let forged = DONE.replace("ab", "ba").replace('3', "0");
        assert_eq!(say(&mut machine, &forged), Taken::Ignored("not with this run's nonce"));
        assert_eq!(machine.course(), Course::Running);
    }

    #[test]
    fn a_program_of_another_version_is_told_and_ends_it() {
        let mut machine = machine();
        assert!(matches!(say(&mut machine, r#"{"is":"booted","version":2}"#), Taken::Failed(_)));
        assert_eq!(machine.course(), Course::Over);
    }

    proptest! {
        #[test]
        fn no_bytes_end_a_run(lines in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 0..20)) {
            let mut machine = machine();
            say(&mut machine, BOOTED);
            say(&mut machine, READY);
            say(&mut machine, RUNNING);
            for line in lines {
                prop_assert!(matches!(machine.take(&line), Taken::Ignored(_)));
            }
            prop_assert_eq!(machine.course(), Course::Running);
        }
    }
}
