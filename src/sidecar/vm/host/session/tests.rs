//! A host against guests that keep to their side, and against those that do anything else.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;

use super::super::console::Console;
use super::*;
use crate::domain::vm::Mount;
use crate::sidecar::pack::{Links, Selection};
use crate::sidecar::vm::link::LinkError;

const NONCE: &str = "abababababababababababababababababababababababababababababababab";
/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(120);

/// What is written into it can be read.
#[derive(Debug, Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()).unwrap()
    }
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A log that nobody reads.
struct Stuck;

impl Write for Stuck {
    fn write(&mut self, _bytes: &[u8]) -> std::io::Result<usize> {
        loop {
            std::thread::park();
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn plan(workspace: &Path, output: &Written) -> Plan {
    let mount = Mount { id: "workspace".to_owned(), at: "/alloc/workspace".to_owned(), writable: true };
    let setup = Setup {
        nonce: NONCE.to_owned(),
        now: 0,
        seed: String::new(),
        hostname: "albatros".to_owned(),
        uid: 1000,
        gid: 1000,
        env: BTreeMap::new(),
        token: None,
        api: false,
        workspace: mount,
        mounts: Vec::new(),
        network: None,
        grace: 1,
    };
    let folder = Folder::whole("workspace", workspace, true, Limits::default()).unwrap();
    Plan {
        setup,
        folders: vec![folder],
        limits: Limits { bytes: 1 << 20, entries: 100, depth: 10, links: Links::Anywhere },
        door: None,
        service: None,
        stdout: Some(Box::new(output.clone())),
        stderr: Some(Box::new(output.clone())),
    }
}

/// The other side.
struct Guest {
    link: Link,
    control: BufReader<Stream>,
}

impl Guest {
    fn start(io: UnixStream) -> Self {
        let (link, _incoming) = Link::start(io, Side::Guest);
        let control = BufReader::new(link.open(Purpose::Control).unwrap());
        Self { link, control }
    }

    async fn say(&mut self, word: Value) {
        let _ = self.control.write_all(format!("{word}\n").as_bytes()).await;
        let _ = self.control.flush().await;
    }

    async fn hear(&mut self) -> Value {
        let mut line = String::new();
        self.control.read_line(&mut line).await.unwrap();
        serde_json::from_str(&line).unwrap_or_default()
    }

    /// As far as the script.
    async fn runs(&mut self) {
        self.say(json!({"is": "booted", "version": 1})).await;
        assert_eq!(self.hear().await["setup"]["nonce"].as_str().or(Some(NONCE)), Some(NONCE));
        self.say(json!({"is": "ready", "nonce": NONCE})).await;
        self.say(json!({"is": "running", "nonce": NONCE})).await;
    }

    async fn done(&mut self, code: u8) {
        self.say(json!({"is": "done", "nonce": NONCE, "end": {"code": code}})).await;
    }

    /// Gives a folder back as the workspace.
    async fn give(&self, from: &Path) {
        let out = self.link.open(Purpose::Out("workspace".to_owned())).unwrap();
        let all = Selection::beneath(from, &[".".into()], Limits::default()).unwrap().into_archive();
        folders::send(&all, out).await.unwrap();
    }

    async fn print(&self, purpose: Purpose, bytes: &[u8]) {
        let mut stream = self.link.open(purpose).unwrap();
        stream.write_all(bytes).await.unwrap();
        stream.shutdown().await.unwrap();
    }

    /// Stays as it is until the host has gone.
    async fn stays(&self) -> LinkError {
        self.link.closed().await
    }
}

struct Room {
    dir: tempfile::TempDir,
    output: Written,
    within: Within,
    life: Duration,
}

impl Room {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("workspace")).unwrap();
        std::fs::create_dir(dir.path().join("inside")).unwrap();
        std::fs::write(dir.path().join("workspace/old"), "old").unwrap();
        std::fs::write(dir.path().join("inside/new"), "new").unwrap();
        let within = Within { boot: LONG, setup: LONG, grace: LONG };
        Self { dir, output: Written::default(), within, life: LONG }
    }

    fn workspace(&self) -> std::path::PathBuf {
        self.dir.path().join("workspace")
    }

    fn inside(&self) -> std::path::PathBuf {
        self.dir.path().join("inside")
    }

    async fn meets(&self, guest: impl AsyncFnOnce(Guest)) -> Ending {
        self.meets_with(plan(&self.workspace(), &self.output), Stops::by_hand().1, guest).await
    }

    async fn meets_with(&self, mut plan: Plan, mut stops: Stops, guest: impl AsyncFnOnce(Guest)) -> Ending {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let process = tokio::process::Command::new("sleep").arg("1000").stdin(Stdio::null()).kill_on_drop(true).spawn();
        let mut machine = Machine::new(process.unwrap(), ours, Console::default());
        let end = Instant::now() + self.life;
        let host = async {
            let ending = run(&mut machine, &mut plan, self.within, end, &mut stops).await;
            machine.end(Duration::ZERO).await;
            ending
        };
        tokio::join!(host, guest(Guest::start(theirs))).0
    }
}

fn why(ending: Ending) -> String {
    match ending {
        Ending::Lost(_, why) => why,
        other => format!("not lost: {other:?}"),
    }
}

#[tokio::test]
async fn a_script_runs_its_output_is_there_and_its_workspace_comes_back() {
    let room = Room::new();
    let ending = room
        .meets(async |mut guest: Guest| {
            guest.say(json!({"is": "booted", "version": 1})).await;
            guest.hear().await;
            let mut given = Vec::new();
            let mut files = guest.link.open(Purpose::In("workspace".to_owned())).unwrap();
            files.read_to_end(&mut given).await.unwrap();
            assert!(!given.is_empty());
            guest.say(json!({"is": "ready", "nonce": NONCE})).await;
            guest.say(json!({"is": "running", "nonce": NONCE})).await;
            guest.print(Purpose::Stdout, b"hello\n").await;
            guest.done(3).await;
            guest.give(&room.inside()).await;
            assert_eq!(guest.hear().await["is"], "off");
        })
        .await;
    assert_eq!(ending, Ending::Done(End { code: 3, oom: false }, None));
    assert_eq!(room.output.text(), "hello\n");
    assert!(!room.workspace().join("old").exists(), "what was removed in the machine is gone");
    assert_eq!(std::fs::read_to_string(room.workspace().join("new")).unwrap(), "new");
}

#[tokio::test]
async fn an_end_without_its_nonce_is_none_and_the_machine_is_lost() {
    let room = Room::new();
    let ending = room.meets(async |mut guest: Guest| {
        guest.runs().await;
        guest.say(json!({"is": "done", "nonce": "00", "end": {"code": 0}})).await;
        guest.say(json!({"is": "done", "end": {"code": 0}})).await;
        // The connection ends with it.
    });
    assert!(why(ending.await).contains("closed the stream of the handshake"));
    assert!(room.workspace().join("old").exists());
}

#[tokio::test]
async fn an_end_told_twice_is_told_once() {
    let room = Room::new();
    let ending = room.meets(async |mut guest: Guest| {
        guest.runs().await;
        guest.done(1).await;
        guest.done(0).await;
        guest.give(&room.inside()).await;
        guest.stays().await;
    });
    assert_eq!(ending.await, Ending::Done(End { code: 1, oom: false }, None));
}

#[tokio::test]
async fn words_without_sense_are_ignored_up_to_a_bound() {
    let room = Room::new();
    let ending = room.meets(async |mut guest: Guest| {
        guest.runs().await;
        for _ in 0..=IGNORED_MOST {
            guest.say(json!({"is": "nonsense"})).await;
        }
        guest.stays().await;
    });
    assert!(why(ending.await).contains("makes no sense"));
}

#[tokio::test]
async fn a_machine_that_is_not_up_in_time_hangs_and_one_that_ends_before_does_not() {
    let mut room = Room::new();
    room.within.boot = Duration::from_millis(20);
    let ending = room.meets(async |guest: Guest| {
        guest.stays().await;
    });
    assert!(matches!(ending.await, Ending::Hung(why) if why.contains("its kernel was not up")));
    room.life = Duration::ZERO;
    let ending = room.meets(async |guest: Guest| {
        guest.stays().await;
    });
    assert!(matches!(ending.await, Ending::Lost(Course::Booting, why) if why.contains("longer than its limit")));
}

#[tokio::test]
async fn bytes_that_are_no_link_end_it() {
    let room = Room::new();
    let ending = room.meets(async |guest: Guest| {
        drop(guest);
    });
    assert!(matches!(ending.await, Ending::Lost(Course::Booting, _)));
}

#[tokio::test]
async fn a_machine_that_says_nothing_is_lost_after_its_limit() {
    let mut room = Room::new();
    room.within.boot = Duration::from_millis(50);
    let silent = room.meets(async |guest: Guest| {
        guest.stays().await;
    });
    assert!(why(silent.await).contains("its kernel was not up"));
    room.within = Within { boot: LONG, setup: Duration::from_millis(50), grace: LONG };
    let slow = room.meets(async |mut guest: Guest| {
        guest.say(json!({"is": "booted", "version": 1})).await;
        guest.stays().await;
    });
    assert!(why(slow.await).contains("has not begun to run the script"));
}

#[tokio::test]
async fn a_machine_lives_no_longer_than_its_limit() {
    let mut room = Room::new();
    room.life = Duration::from_millis(200);
    let ending = room.meets(async |mut guest: Guest| {
        guest.runs().await;
        guest.stays().await;
    });
    assert!(why(ending.await).contains("longer than its limit"));
}

#[tokio::test]
async fn a_flood_that_nobody_reads_delays_nothing_else() {
    let mut room = Room::new();
    room.within.setup = Duration::from_secs(2);
    let plan = Plan { stdout: Some(Box::new(Stuck)), ..plan(&room.workspace(), &room.output) };
    let ending = room.meets_with(plan, Stops::by_hand().1, async |mut guest: Guest| {
        guest.runs().await;
        let mut flood = guest.link.open(Purpose::Stdout).unwrap();
        let flooding = tokio::spawn(async move { while flood.write_all(&[b'x'; 4096]).await.is_ok() {} });
        guest.print(Purpose::Stderr, b"heard\n").await;
        guest.done(0).await;
        guest.give(&room.inside()).await;
        guest.stays().await;
        flooding.await.unwrap();
    });
    assert_eq!(ending.await, Ending::Done(End { code: 0, oom: false }, None));
    assert_eq!(room.output.text(), "heard\n");
}

#[tokio::test]
async fn a_workspace_that_does_not_come_back_whole_changes_nothing_and_is_told() {
    let mut room = Room::new();
    room.within.setup = Duration::from_secs(1);
    for kind in ["none", "cut", "garbage", "too many"] {
        let ending = room.meets(async |mut guest: Guest| {
            guest.runs().await;
            guest.done(0).await;
            match kind {
                "cut" => {
                    let mut out = guest.link.open(Purpose::Out("workspace".to_owned())).unwrap();
                    out.write_all(b"\x28\xb5\x2f\xfd").await.unwrap();
                }
                "garbage" => guest.print(Purpose::Out("workspace".to_owned()), &[7; 5000]).await,
                "too many" => {
                    for number in 0..101 {
                        std::fs::write(room.inside().join(format!("n{number}")), "").unwrap();
                    }
                    let out = guest.link.open(Purpose::Out("workspace".to_owned())).unwrap();
                    let all = Selection::beneath(&room.inside(), &[".".into()], Limits::default()).unwrap();
                    let _ = folders::send(&all.into_archive(), out).await;
                }
                _ => {}
            }
            guest.stays().await;
        });
        let Ending::Done(End { code: 0, .. }, Some(trouble)) = ending.await else { panic!("{kind}") };
        assert!(trouble.starts_with("the workspace did not come back from the machine: "), "{kind}: {trouble}");
        assert_eq!(std::fs::read_to_string(room.workspace().join("old")).unwrap(), "old", "{kind}");
        let left = std::fs::read_dir(room.dir.path()).unwrap().count();
        assert_eq!(left, 2, "{kind}: nothing half-made is left");
    }
}

#[tokio::test]
async fn a_folder_that_was_not_asked_for_is_refused() {
    let room = Room::new();
    let ending = room.meets(async |mut guest: Guest| {
        guest.runs().await;
        for purpose in [Purpose::Out("etc".to_owned()), Purpose::In("etc".to_owned()), Purpose::Api] {
            let mut stream = guest.link.open(purpose).unwrap();
            let mut nothing = Vec::new();
            assert!(stream.read_to_end(&mut nothing).await.is_err() || nothing.is_empty());
        }
        guest.done(0).await;
        guest.give(&room.inside()).await;
        guest.stays().await;
    });
    assert_eq!(ending.await, Ending::Done(End { code: 0, oom: false }, None));
}

#[tokio::test]
async fn the_first_stop_is_the_scripts_and_another_signal_ends_the_machine() {
    let room = Room::new();
    let (hand, stops) = Stops::by_hand();
    let plan = plan(&room.workspace(), &room.output);
    let ending = room.meets_with(plan, stops, async |mut guest: Guest| {
        guest.runs().await;
        // The host has heard that it runs when it reads what comes after that.
        guest.print(Purpose::Stderr, b"x").await;
        while room.output.text().is_empty() {
            tokio::task::yield_now().await;
        }
        hand.send(15).await.unwrap();
        let stop = guest.hear().await;
        assert_eq!((&stop["is"], &stop["signal"]), (&json!("stop"), &json!(15)));
        hand.send(15).await.unwrap();
        hand.send(2).await.unwrap();
        guest.stays().await;
    });
    assert_eq!(ending.await, Ending::Stopped(15));
}

#[tokio::test]
async fn a_script_that_ends_when_it_is_told_to_has_ended_by_itself() {
    let room = Room::new();
    let (hand, stops) = Stops::by_hand();
    let plan = plan(&room.workspace(), &room.output);
    let ending = room.meets_with(plan, stops, async |mut guest: Guest| {
        guest.runs().await;
        guest.print(Purpose::Stderr, b"x").await;
        while room.output.text().is_empty() {
            tokio::task::yield_now().await;
        }
        hand.send(15).await.unwrap();
        guest.hear().await;
        guest.done(143).await;
        guest.give(&room.inside()).await;
        guest.stays().await;
    });
    assert_eq!(ending.await, Ending::Done(End { code: 143, oom: false }, None));
}

#[tokio::test]
async fn what_the_guests_init_says_is_told_and_harmless() {
    let room = Room::new();
    let ending = room.meets(async |mut guest: Guest| {
        guest.say(json!({"is": "booted", "version": 1})).await;
        guest.hear().await;
        guest.say(json!({"is": "failed", "nonce": NONCE, "why": "no \u{1b}[31mroot"})).await;
        guest.stays().await;
    });
    assert_eq!(why(ending.await), "its init says: no \\u{1b}[31mroot");
}
