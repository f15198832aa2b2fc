//! What the tasks of a build say in their logs: lines for people, on standard error.

use std::io::{self, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

/// What waits for a log that is not read, bytes: more than a machine's console is long.
const WAITING_MOST: usize = 2 << 20;
/// What a line takes beside its text.
const LINE: usize = 64;
/// What was said last is in the log by then, or the log stands still.
const WRITTEN_WITHIN: Duration = Duration::from_secs(2);

/// Where lines go once [`apart`] was called.
static APART: OnceLock<Lines> = OnceLock::new();

/// One line in the task's log.
pub(super) fn say(line: &str) {
    match APART.get() {
        Some(lines) => lines.say(line),
        None => write(&mut io::stderr(), line),
    }
}

/// From now on nobody waits for the log: a thread of its own writes it. For who has more to do than to say something, and
/// shares its log with a script: the reader of that may stand still.
pub(super) fn apart() {
    // Without a thread it stays as it is.
    if let Ok(lines) = Lines::start(io::stderr()) {
        let _ = APART.set(lines);
    }
}

/// Waits until what was said [`apart`] is in the log, within a bound.
pub(super) async fn written() {
    if let Some(lines) = APART.get() {
        let _ = timeout(WRITTEN_WITHIN, lines.written()).await;
    }
}

fn write(to: &mut impl Write, line: &str) {
    // Nobody is left to be told when the log itself cannot be written.
    let _ = to.write_all(format!("albatros: {line}\n").as_bytes());
}

/// Lines that a thread writes.
#[derive(Debug)]
struct Lines {
    said: Sender<Word>,
    /// Bytes of lines that are not written yet.
    waiting: Arc<AtomicUsize>,
}

#[derive(Debug)]
enum Word {
    Line(String),
    /// All before it is written.
    Written(oneshot::Sender<()>),
}

impl Lines {
    fn start(mut to: impl Write + Send + 'static) -> io::Result<Self> {
        let (said, words) = channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let left = Arc::clone(&waiting);
        std::thread::Builder::new().name("said".to_owned()).spawn(move || {
            for word in words {
                match word {
                    Word::Line(line) => {
                        write(&mut to, &line);
                        left.fetch_sub(line.len() + LINE, Ordering::Relaxed);
                    }
                    Word::Written(done) => drop(done.send(())),
                }
            }
        })?;
        Ok(Self { said, waiting })
    }

    /// A line for which there is no room is dropped.
    fn say(&self, line: &str) {
        if self.waiting.load(Ordering::Relaxed).saturating_add(line.len() + LINE) > WAITING_MOST {
            return;
        }
        self.waiting.fetch_add(line.len() + LINE, Ordering::Relaxed);
        // The thread is there as long as this is.
        let _ = self.said.send(Word::Line(line.to_owned()));
    }

    async fn written(&self) {
        let (done, written) = oneshot::channel();
        if self.said.send(Word::Written(done)).is_ok() {
            let _ = written.await;
        }
    }
}

/// An error and its causes, on one line.
pub(super) fn reasons(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    use super::*;

    /// A log whose reader takes a piece at a time.
    struct Read(SyncSender<Vec<u8>>);

    impl Write for Read {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_vec()).map_err(|_gone| io::ErrorKind::BrokenPipe)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn log() -> (Lines, Receiver<Vec<u8>>) {
        let (to, reader) = sync_channel(0);
        (Lines::start(Read(to)).unwrap(), reader)
    }

    #[test]
    fn what_is_said_to_a_log_that_nobody_reads_is_not_waited_for_and_bounded() {
        let (lines, reader) = log();
        let long = "x".repeat(1 << 20);
        for _ in 0..5 {
            lines.say(&long);
        }
        lines.say("one more");
        drop(lines);
        let read: Vec<u8> = reader.iter().flatten().collect();
        let read = String::from_utf8(read).unwrap();
        assert_eq!((read.matches(&long).count(), read.ends_with("albatros: one more\n")), (1, true));
    }

    #[tokio::test]
    async fn what_was_said_is_written_in_its_order() {
        let (lines, reader) = log();
        let reading = std::thread::spawn(move || reader.iter().flatten().collect::<Vec<u8>>());
        for number in 0..100 {
            lines.say(&number.to_string());
        }
        lines.written().await;
        drop(lines);
        let expected: String = (0..100).map(|number| format!("albatros: {number}\n")).collect();
        assert_eq!(String::from_utf8(reading.join().unwrap()).unwrap(), expected);
    }
}
