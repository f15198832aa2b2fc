//! qemu's monitor: JSON, a line each (<https://www.qemu.org/docs/master/interop/qmp-spec.html>). It is ours alone, and asks
//! for one thing: that the machine's state is written to a file.

use std::fs::File;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::AsFd as _;
use std::time::Duration;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, Interest};
use tokio::net::UnixStream;
use tokio::time::{sleep, timeout};

/// A state of some GiB takes its time on a slow disk.
const SAVED_WITHIN: Duration = Duration::from_secs(120);
/// Between two looks whether all is written.
const LOOK: Duration = Duration::from_millis(5);
/// The longest line.
const LINE_MOST: u64 = 1 << 20;
/// Events before an answer at most.
const EVENTS_MOST: usize = 1000;
/// As fast as the disk takes it, bytes a second.
const FAST: u64 = 1 << 40;
/// What qemu calls the file.
const NAME: &str = "snapshot";

/// Why a state was not written.
#[derive(Debug, thiserror::Error)]
pub(in super::super) enum MonitorError {
    #[error("qemu's monitor cannot be spoken with")]
    Speak(#[from] io::Error),
    #[error("qemu's monitor says what is no JSON")]
    Words(#[from] serde_json::Error),
    #[error("qemu refuses {command}: {why}")]
    Refused { command: &'static str, why: String },
    #[error("qemu's monitor does not answer")]
    Silent,
    #[error("the machine's state was not written within {} s", SAVED_WITHIN.as_secs())]
    Slow,
}

/// A way to it.
#[derive(Debug)]
pub(in super::super) struct Monitor(BufReader<UnixStream>);

impl Monitor {
    pub(in super::super) fn new(stream: UnixStream) -> Self {
        Self(BufReader::new(stream))
    }

    /// Writes the machine's state to `file`. It stands still afterwards.
    pub(in super::super) async fn save(mut self, file: &File) -> Result<(), MonitorError> {
        timeout(SAVED_WITHIN, self.steps(file)).await.map_err(|_elapsed| MonitorError::Slow)?
    }

    async fn steps(&mut self, file: &File) -> Result<(), MonitorError> {
        // Its greeting.
        self.line().await?;
        self.ask("qmp_capabilities", json!({}), None).await?;
        self.ask("migrate-set-parameters", json!({"max-bandwidth": FAST}), None).await?;
        self.ask("getfd", json!({"fdname": NAME}), Some(file)).await?;
        self.ask("migrate", json!({"uri": format!("fd:{NAME}")}), None).await?;
        loop {
            let how = self.ask("query-migrate", json!({}), None).await?;
            let told = |name: &str| how.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            match told("status").as_str() {
                "completed" => return Ok(()),
                "failed" | "cancelled" => {
                    return Err(MonitorError::Refused { command: "migrate", why: told("error-desc") });
                }
                _ => sleep(LOOK).await,
            }
        }
    }

    async fn ask(
        &mut self,
        command: &'static str,
        arguments: Value,
        file: Option<&File>,
    ) -> Result<Value, MonitorError> {
        let mut line = serde_json::to_vec(&json!({"execute": command, "arguments": arguments}))?;
        line.push(b'\n');
        self.send(&line, file).await?;
        for _ in 0..EVENTS_MOST {
            let mut answer = self.line().await?;
            if let Some(error) = answer.get("error") {
                let why = error.get("desc").and_then(Value::as_str).unwrap_or_default().to_owned();
                return Err(MonitorError::Refused { command, why });
            }
            if let Some(answer) = answer.get_mut("return") {
                return Ok(answer.take());
            }
        }
        Err(MonitorError::Silent)
    }

    /// A line is short: it goes at once, with the file beside it.
    async fn send(&self, line: &[u8], file: Option<&File>) -> io::Result<()> {
        let stream = self.0.get_ref();
        let sent = stream.async_io(Interest::WRITABLE, || {
            let files = [file.map_or(stream.as_fd(), File::as_fd)];
            let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut beside = SendAncillaryBuffer::new(&mut room);
            if file.is_some() && !beside.push(SendAncillaryMessage::ScmRights(&files)) {
                return Err(io::ErrorKind::OutOfMemory.into());
            }
            Ok(sendmsg(stream, &[IoSlice::new(line)], &mut beside, SendFlags::NOSIGNAL)?)
        });
        if sent.await? == line.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
    }

    async fn line(&mut self) -> Result<Value, MonitorError> {
        let mut line = Vec::new();
        let read = (&mut self.0).take(LINE_MOST).read_until(b'\n', &mut line).await?;
        if read == 0 {
            return Err(MonitorError::Silent);
        }
        Ok(serde_json::from_slice(&line)?)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

    use super::*;

    /// Answers as qemu does: what it was asked, and what it was handed, which it writes to.
    fn qemu(ours: std::os::unix::net::UnixStream, answers: Vec<&'static str>) -> std::thread::JoinHandle<Vec<String>> {
        std::thread::spawn(move || {
            let mut asked = Vec::new();
            (&ours).write_all(b"{\"QMP\": {}}\r\n").unwrap();
            for answer in answers {
                let mut bytes = [0; 4096];
                let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
                let mut beside = RecvAncillaryBuffer::new(&mut room);
                let mut into = [std::io::IoSliceMut::new(&mut bytes)];
                let got = recvmsg(&ours, &mut into, &mut beside, RecvFlags::empty()).unwrap();
                for message in beside.drain() {
                    if let RecvAncillaryMessage::ScmRights(files) = message {
                        files.for_each(|file| File::from(file).write_all(b"state").unwrap());
                    }
                }
                let question: Value = serde_json::from_slice(&bytes[..got.bytes]).unwrap();
                asked.push(question["execute"].as_str().unwrap().to_owned());
                (&ours).write_all(format!("{{\"event\": \"STOP\"}}\r\n{answer}\r\n").as_bytes()).unwrap();
            }
            asked
        })
    }

    fn pair() -> (std::os::unix::net::UnixStream, Monitor) {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        theirs.set_nonblocking(true).unwrap();
        (ours, Monitor::new(UnixStream::from_std(theirs).unwrap()))
    }

    #[tokio::test]
    async fn a_state_is_written_to_the_file_that_was_handed_over() {
        let (ours, monitor) = pair();
        let done = "{\"return\": {\"status\": \"completed\"}}";
        let empty = "{\"return\": {}}";
        let busy = "{\"return\": {\"status\": \"active\"}}";
        let qemu = qemu(ours, vec![empty, empty, empty, empty, busy, done]);
        let mut file = tempfile::tempfile().unwrap();
        monitor.save(&file).await.unwrap();
        let asked = qemu.join().unwrap();
        assert_eq!(asked[..4], ["qmp_capabilities", "migrate-set-parameters", "getfd", "migrate"]);
        std::io::Seek::rewind(&mut file).unwrap();
        let mut written = String::new();
        file.read_to_string(&mut written).unwrap();
        assert_eq!(written, "state");
    }

    #[tokio::test]
    async fn what_qemu_refuses_and_its_end_are_told() {
        let (ours, monitor) = pair();
        let qemu = qemu(ours, vec!["{\"error\": {\"class\": \"GenericError\", \"desc\": \"no such thing\"}}"]);
        let error = monitor.save(&tempfile::tempfile().unwrap()).await.unwrap_err();
        assert_eq!(error.to_string(), "qemu refuses qmp_capabilities: no such thing");
        qemu.join().unwrap();
        let (ours, monitor) = pair();
        drop(ours);
        assert!(matches!(
            monitor.save(&tempfile::tempfile().unwrap()).await,
            Err(MonitorError::Silent | MonitorError::Speak(_))
        ));
    }
}
