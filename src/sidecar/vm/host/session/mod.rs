//! One machine from its first word to its last: the handshake, the streams, and the limits of all of it.

mod back;
mod plan;
mod stop;
mod streams;
#[cfg(test)]
mod tests;
mod words;

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::super::link::{Incoming, Link, Purpose, Side, Stream};
use super::console::harmless;
use super::machine::Machine;
use super::setup;
use crate::domain::report::{TEXT_LIMIT, clipped};
use crate::domain::vm::{Course, End, Handshake, Nonce, Setup, Taken, ToGuest};
use crate::sidecar::stops::Stops;
use stop::Stop;
use streams::Carried;

pub(super) use plan::{Plan, Within};

/// Words of the guest's that are ignored; one that says more of them is no guest of ours.
const IGNORED_MOST: usize = 1000;
/// Messages on their way.
const AHEAD: usize = 16;
/// Said of a machine whose life is over.
pub(super) const LIVED: &str = "it has lived for longer than its limit";
/// No deadline: longer than any.
const NEVER: Duration = Duration::from_secs(400 * 86_400);

/// How it came out.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The script has ended; and why not all came back, where not all did.
    Done(End, Option<String>),
    /// It was told to stop, and has ended before its word.
    Stopped(i32),
    /// The machine was lost, and how far it was.
    Lost(Course, String),
    /// Its kernel was not up in time, and it would be waiting still.
    Hung(String),
}

enum Event {
    Stream(Purpose, Stream),
    Line(Option<Vec<u8>>),
    Lost(String),
    Late,
    Stop(i32),
    Folder(String),
    Caller(tokio::net::UnixStream),
}

/// Drives a machine until it is over. It still runs then, unless it was lost.
pub(super) async fn run(
    machine: &mut Machine,
    plan: &mut Plan,
    within: Within,
    end: Instant,
    stops: &mut Stops,
) -> Ending {
    let Some(connection) = machine.connection() else {
        return Ending::Lost(Course::Booting, "there is no way into it".to_owned());
    };
    let (link, incoming) = Link::start(connection, Side::Host);
    let (lines, heard) = mpsc::channel(AHEAD);
    let (failures, failed) = mpsc::channel(AHEAD);
    let mut session = Session {
        handshake: Handshake::new(Nonce::new(plan.setup.nonce.clone())),
        plan,
        within,
        end,
        step: Instant::now() + within.boot,
        stopped: None,
        link,
        incoming,
        lines: Some(lines),
        heard,
        words: None,
        speaking: None,
        failures,
        failed,
        carried: Carried::default(),
        outputs: Vec::new(),
        outs: HashMap::new(),
        ignored: 0,
    };
    loop {
        let event = session.next(machine, stops).await;
        if let Some(ending) = session.take(event) {
            return match ending {
                Ending::Done(done, _) => Ending::Done(done, session.bring_back(machine, stops).await),
                other => other,
            };
        }
    }
}

/// A machine that runs.
struct Session<'a> {
    handshake: Handshake,
    plan: &'a mut Plan,
    within: Within,
    /// Its life.
    end: Instant,
    /// Until the next step.
    step: Instant,
    stopped: Option<Stop>,
    link: Link,
    incoming: Incoming,
    lines: Option<mpsc::Sender<Option<Vec<u8>>>>,
    heard: mpsc::Receiver<Option<Vec<u8>>>,
    words: Option<mpsc::Sender<ToGuest>>,
    speaking: Option<JoinHandle<()>>,
    failures: mpsc::Sender<String>,
    failed: mpsc::Receiver<String>,
    /// Connections of the guest's; they end with this.
    carried: Carried,
    outputs: Vec<JoinHandle<()>>,
    /// Folders that want to come back.
    outs: HashMap<String, Stream>,
    ignored: usize,
}

impl Session<'_> {
    fn deadline(&self) -> Instant {
        let stop = self.stopped.map_or(self.end, |stop| stop.until);
        self.end.min(self.step).min(stop)
    }

    async fn next(&mut self, machine: &mut Machine, stops: &mut Stops) -> Event {
        let deadline = self.deadline();
        let caller = async {
            match &self.plan.service {
                Some(listener) => listener.accept().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            stop = stops.next() => Event::Stop(stop),
            () = sleep_until(deadline) => Event::Late,
            Some(line) = self.heard.recv() => Event::Line(line),
            Some(why) = self.failed.recv() => Event::Folder(why),
            stream = self.incoming.next() => match stream {
                Some((purpose, stream)) => Event::Stream(purpose, stream),
                None => Event::Lost(harmless(&self.link.closed().await.to_string())),
            },
            how = machine.ended() => Event::Lost(how),
            Ok((caller, _)) = caller => Event::Caller(caller),
        }
    }

    /// What an event comes to: an ending, or nothing yet. Folders come back after [`Ending::Done`].
    fn take(&mut self, event: Event) -> Option<Ending> {
        match event {
            Event::Stream(purpose, stream) => self.admit(purpose, stream),
            Event::Caller(caller) => self.call(caller),
            Event::Line(line) => return self.listen(line),
            Event::Lost(how) => return Some(self.over(how)),
            Event::Folder(why) => return Some(self.over(why)),
            Event::Stop(signal) => return self.stop(signal),
            Event::Late => {
                let why = self.too_late();
                let hangs = self.handshake.course() == Course::Booting && self.end > Instant::now();
                return Some(match self.over(why) {
                    Ending::Lost(_, why) if hangs => Ending::Hung(why),
                    ending => ending,
                });
            }
        }
        None
    }

    fn over(&self, why: String) -> Ending {
        match self.stopped {
            Some(stop) => Ending::Stopped(stop.signal),
            None => Ending::Lost(self.handshake.course(), why),
        }
    }

    fn too_late(&self) -> String {
        let now = Instant::now();
        if self.end <= now {
            return LIVED.to_owned();
        }
        match self.handshake.course() {
            Course::Booting => format!("its kernel was not up within {} s", self.within.boot.as_secs()),
            Course::Booted | Course::Ready => {
                format!("it has not begun to run the script within {} s", self.within.setup.as_secs())
            }
            Course::Running | Course::Over => "it did not end in time".to_owned(),
        }
    }

    /// One word of the guest's; none: its first stream has ended.
    fn listen(&mut self, line: Option<Vec<u8>>) -> Option<Ending> {
        let Some(line) = line else { return Some(self.over("it has closed the stream of the handshake".to_owned())) };
        match self.handshake.take(&line) {
            Taken::Booted => {
                // An engine that was given up has taken its time.
                let setup = Setup { now_ms: setup::now_ms(), ..self.plan.setup.clone() };
                let setup = ToGuest::Setup(Box::new(setup));
                let told = self.words.as_ref().is_some_and(|words| words.try_send(setup).is_ok());
                if !told {
                    return Some(self.over("it does not listen".to_owned()));
                }
            }
            Taken::Ready | Taken::Running => {}
            Taken::Done(end) => return Some(Ending::Done(end, None)),
            Taken::Failed(why) => {
                let why = harmless(clipped(&why, TEXT_LIMIT));
                return Some(self.over(format!("its init says: {why}")));
            }
            Taken::Ignored(_) => {
                self.ignored += 1;
                if self.ignored > IGNORED_MOST {
                    return Some(self.over("it says what makes no sense, again and again".to_owned()));
                }
                return None;
            }
        }
        self.step = Instant::now() + self.handshake.within(self.within.boot, self.within.setup).unwrap_or(NEVER);
        None
    }
}
