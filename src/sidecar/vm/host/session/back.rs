//! After the script's end: what it has written and made comes out of the machine.

use tokio::time::{Duration, Instant, sleep_until, timeout};

use super::super::super::link::Stream;
use super::super::console::harmless;
use super::super::folders;
use super::super::machine::Machine;
use super::super::setup::WORKSPACE;
use super::{Event, Session};
use crate::domain::vm::ToGuest;
use crate::sidecar::stops::Stops;
use crate::sidecar::{reasons, say};

/// The rest of the script's output is written by then.
const OUTPUT_WITHIN: Duration = Duration::from_secs(30);
/// A guest that listens has heard its last word by then.
const SAID_WITHIN: Duration = Duration::from_millis(500);

impl Session<'_> {
    /// After the script's end: its last output, and the folders. Gives why not all of them came back.
    pub(super) async fn bring_back(&mut self, machine: &mut Machine, stops: &mut Stops) -> Option<String> {
        let now = Instant::now();
        self.step = now + self.within.setup;
        self.stopped = self.stopped.map(|stop| stop.coming_back(now, &self.within));
        let wanted = self.plan.folders.iter().map(|folder| (folder.id.clone(), folder.back.clone()));
        let wanted: Vec<_> = wanted.filter_map(|(id, back)| Some((id, back?))).collect();
        let mut troubles = Vec::new();
        for (id, place) in wanted {
            let name = if id == WORKSPACE { "the workspace".to_owned() } else { format!("folder {id}") };
            let trouble = match self.out(&id, machine, stops).await {
                Ok(stream) => {
                    let deadline = self.deadline();
                    tokio::select! {
                        taken = folders::take(stream, &place, self.plan.limits) => taken.err().map(|it| reasons(&it)),
                        () = sleep_until(deadline) => Some("it took too long".to_owned()),
                        _ = stops.next() => Some("it was stopped".to_owned()),
                    }
                }
                Err(why) => Some(why),
            };
            troubles
                .extend(trouble.map(|why| format!("{name} did not come back from the machine: {}", harmless(&why))));
        }
        let until = self.deadline().min(Instant::now() + OUTPUT_WITHIN);
        for output in std::mem::take(&mut self.outputs) {
            let writing = output.abort_handle();
            if tokio::time::timeout_at(until, output).await.is_err() {
                writing.abort();
                say("the end of the script's output could not be written in time");
            }
        }
        self.switch_off().await;
        troubles.into_iter().next()
    }

    /// The last word.
    async fn switch_off(&mut self) {
        let (Some(words), Some(speaking)) = (self.words.take(), self.speaking.take()) else { return };
        let _ = words.try_send(ToGuest::Off);
        drop(words);
        // One that does not listen is ended anyway.
        let _ = timeout(SAID_WITHIN, speaking).await;
    }

    /// The stream of a folder that comes back.
    async fn out(&mut self, id: &str, machine: &mut Machine, stops: &mut Stops) -> Result<Stream, String> {
        loop {
            if let Some(stream) = self.outs.remove(id) {
                return Ok(stream);
            }
            match self.next(machine, stops).await {
                Event::Stream(purpose, stream) => self.admit(purpose, stream),
                Event::Caller(caller) => self.call(caller),
                Event::Line(Some(_)) => {}
                Event::Line(None) => return Err("the machine has closed the stream of the handshake".to_owned()),
                Event::Lost(how) => return Err(how),
                Event::Late => return Err("it took too long".to_owned()),
                Event::Stop(_) => return Err("it was stopped".to_owned()),
                Event::Folder(_) => {}
            }
        }
    }
}
