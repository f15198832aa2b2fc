//! What is carried between a machine and those who are not in it.

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::super::super::link::{Purpose, Stream};
use super::super::{folders, output};
use super::{AHEAD, Session, words};
use crate::domain::vm::Course;
use crate::sidecar::reasons;

/// Connections, each for itself; they end with this.
#[derive(Debug, Default)]
pub(super) struct Carried(JoinSet<()>);

impl Carried {
    /// One more; what has ended is forgotten.
    fn add(&mut self, one: impl Future<Output = ()> + Send + 'static) {
        while self.0.try_join_next().is_some() {}
        self.0.spawn(one);
    }
}

impl Session<'_> {
    /// A stream that the guest has opened. One that is not wanted is dropped, and so refused.
    pub(super) fn admit(&mut self, purpose: Purpose, stream: Stream) {
        match purpose {
            Purpose::Control => {
                let Some(lines) = self.lines.take() else { return };
                let (from, to) = tokio::io::split(stream);
                let (sender, said) = mpsc::channel(AHEAD);
                self.words = Some(sender);
                self.carried.add(words::hear(from, lines));
                self.speaking = Some(tokio::spawn(words::speak(to, said)));
            }
            Purpose::Api => {
                if let Some(door) = self.plan.door.clone() {
                    self.carried.add(async move {
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
    }

    fn send(&mut self, id: &str, stream: Stream) {
        // Before it is told, a guest has no folders to ask for.
        if self.handshake.course() == Course::Booting {
            return;
        }
        let Some(folder) = self.plan.folders.iter().find(|folder| folder.id == id) else { return };
        let (files, failures, id) = (folder.files.clone(), self.failures.clone(), id.to_owned());
        self.carried.add(async move {
            if let Err(error) = folders::send(&files, stream).await {
                let _ = failures.send(format!("{id} could not be brought into it: {}", reasons(&error))).await;
            }
        });
    }

    pub(super) fn call(&mut self, mut caller: tokio::net::UnixStream) {
        // Too many at once, or the link is gone: the caller sees its connection end.
        let Ok(mut stream) = self.link.open(Purpose::Service) else { return };
        self.carried.add(async move {
            let _ = tokio::io::copy_bidirectional(&mut caller, &mut stream).await;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn connections_that_have_ended_take_no_memory() {
        let mut carried = Carried::default();
        for _ in 0..1000 {
            carried.add(async {});
            // It runs, and ends, before the next one comes.
            tokio::task::yield_now().await;
        }
        assert!(carried.0.len() < 10, "{}", carried.0.len());
    }
}
