//! One machine from its first word to its last: the handshake, the streams, and the limits of all of it.

mod back;
#[cfg(test)]
mod tests;
mod words;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until};

use super::super::link::{Incoming, Link, Purpose, Side, Stream};
use super::console::harmless;
use super::door::Door;
use super::folders::{self, Folder};
use super::machine::Machine;
use super::output::{self, Sink};
use super::setup;
use crate::domain::report::{TEXT_LIMIT, clipped};
use crate::domain::vm::{Course, End, Handshake, Nonce, Setup, Taken, ToGuest};
use crate::sidecar::pack::Limits;
use crate::sidecar::reasons;
use crate::sidecar::stops::Stops;

/// Words of the guest's that are ignored; one that says more of them is no guest of ours.
const IGNORED_MOST: usize = 1000;
/// Messages on their way.
const AHEAD: usize = 16;
/// No deadline: longer than any.
const NEVER: Duration = Duration::from_secs(400 * 86_400);

/// How long each step may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Within {
    /// Until `booted`.
    pub(super) boot: Duration,
    /// From there until `running`, and from `done` until the folders are back: large ones take their time.
    pub(super) setup: Duration,
    /// From a stop until its end.
    pub(super) grace: Duration,
}

/// What a machine is to be, and what belongs to it here.
pub(super) struct Plan {
    pub(super) setup: Setup,
    pub(super) folders: Vec<Folder>,
    pub(super) limits: Limits,
    pub(super) door: Option<Arc<Door>>,
    /// Connections to the build's service come in here.
    pub(super) service: Option<UnixListener>,
    pub(super) stdout: Option<Sink>,
    pub(super) stderr: Option<Sink>,
}

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
        carried: JoinSet::new(),
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
    /// The first stop, and when it is enough.
    stopped: Option<(i32, Instant)>,
    link: Link,
    incoming: Incoming,
    lines: Option<mpsc::Sender<Option<Vec<u8>>>>,
    heard: mpsc::Receiver<Option<Vec<u8>>>,
    words: Option<mpsc::Sender<ToGuest>>,
    speaking: Option<JoinHandle<()>>,
    failures: mpsc::Sender<String>,
    failed: mpsc::Receiver<String>,
    /// Connections of the guest's; they end with this.
    carried: JoinSet<()>,
    outputs: Vec<JoinHandle<()>>,
    /// Folders that want to come back.
    outs: HashMap<String, Stream>,
    ignored: usize,
}

impl Session<'_> {
    fn deadline(&self) -> Instant {
        let stop = self.stopped.map_or(self.end, |(_, until)| until);
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
            Some((signal, _)) => Ending::Stopped(signal),
            None => Ending::Lost(self.handshake.course(), why),
        }
    }

    fn too_late(&self) -> String {
        let now = Instant::now();
        if self.end <= now {
            return "it has lived for longer than its limit".to_owned();
        }
        match self.handshake.course() {
            Course::Booting => format!("its kernel was not up within {} s", self.within.boot.as_secs()),
            Course::Booted | Course::Ready => {
                format!("it has not begun to run the script within {} s", self.within.setup.as_secs())
            }
            Course::Running | Course::Over => "it did not end in time".to_owned(),
        }
    }

    /// The first stop is the script's, and whoever sends it again means the same. Another signal, or one before there is a
    /// script, ends the machine.
    fn stop(&mut self, signal: i32) -> Option<Ending> {
        if self.stopped.is_some_and(|(first, _)| first == signal) {
            return None;
        }
        let runs = self.handshake.course() == Course::Running;
        if let (true, None, Some(words)) = (runs, self.stopped, &self.words)
            && words.try_send(ToGuest::Stop { signal }).is_ok()
        {
            self.stopped = Some((signal, Instant::now() + self.within.grace));
            return None;
        }
        Some(Ending::Stopped(self.stopped.map_or(signal, |(first, _)| first)))
    }

    /// One word of the guest's; none: its first stream has ended.
    fn listen(&mut self, line: Option<Vec<u8>>) -> Option<Ending> {
        let Some(line) = line else { return Some(self.over("it has closed the stream of the handshake".to_owned())) };
        match self.handshake.take(&line) {
            Taken::Booted => {
                // An engine that was given up has taken its time.
                let setup = Setup { now: setup::now(), ..self.plan.setup.clone() };
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

    /// A stream that the guest has opened. One that is not wanted is dropped, and so refused.
    fn admit(&mut self, purpose: Purpose, stream: Stream) {
        match purpose {
            Purpose::Control => {
                let Some(lines) = self.lines.take() else { return };
                let (from, to) = tokio::io::split(stream);
                let (sender, said) = mpsc::channel(AHEAD);
                self.words = Some(sender);
                self.carried.spawn(words::hear(from, lines));
                self.speaking = Some(tokio::spawn(words::speak(to, said)));
            }
            Purpose::Api => {
                if let Some(door) = self.plan.door.clone() {
                    self.carried.spawn(async move {
                        // Who leaves early is none of our business.
                        let _ = door.carry(stream).await;
                    });
                }
            }
            Purpose::Stdout => self.outputs.extend(self.plan.stdout.take().map(|sink| output::copy(stream, sink))),
            Purpose::Stderr => self.outputs.extend(self.plan.stderr.take().map(|sink| output::copy(stream, sink))),
            Purpose::In(id) => self.send(&id, stream),
            Purpose::Out(id) => {
                if self.plan.folders.iter().any(|folder| folder.id == id && folder.back.is_some()) {
                    self.outs.insert(id, stream);
                }
            }
            Purpose::Service => {}
        }
        // What has ended is forgotten.
        while self.carried.try_join_next().is_some() {}
    }

    fn send(&mut self, id: &str, stream: Stream) {
        // Before it is told, a guest has no folders to ask for.
        if self.handshake.course() == Course::Booting {
            return;
        }
        let Some(folder) = self.plan.folders.iter().find(|folder| folder.id == id) else { return };
        let (files, failures, id) = (folder.files.clone(), self.failures.clone(), id.to_owned());
        self.carried.spawn(async move {
            if let Err(error) = folders::send(&files, stream).await {
                let _ = failures.send(format!("{id} could not be brought into it: {}", reasons(&error))).await;
            }
        });
    }

    fn call(&mut self, mut caller: tokio::net::UnixStream) {
        // Too many at once, or the link is gone: the caller sees its connection end.
        let Ok(mut stream) = self.link.open(Purpose::Service) else { return };
        self.carried.spawn(async move {
            let _ = tokio::io::copy_bidirectional(&mut caller, &mut stream).await;
        });
    }
}
