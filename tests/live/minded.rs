//! Servers that never outlive this process, however it ends.

use std::io::Write as _;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};

/// Runs a server until its own standard input ends, which it does with the process that holds the other end; then ends
/// the server and removes its folder.
const MINDER: &str = r#"
"$@" </dev/null >>"$ROOM/log" 2>&1 & server=$!
cat >/dev/null
kill -TERM $server
{ sleep 30 && kill -KILL $server; } 2>/dev/null & last_resort=$!
wait $server
kill $last_resort
rm -rf "$ROOM"
"#;

/// A running server in a folder of its own; ended when this is dropped or this process ends.
#[derive(Debug)]
pub(crate) struct Minded {
    minder: Child,
    room: PathBuf,
}

impl Drop for Minded {
    fn drop(&mut self) {
        drop(self.minder.stdin.take());
        let _ = self.minder.wait();
    }
}

impl Minded {
    /// Starts a command line, with nothing in its environment but PATH, HOME and TMPDIR.
    pub(crate) fn start(room: Room, command: &[String]) -> Self {
        let room = room.0;
        let minder = Command::new("sh")
            .args(["-c", MINDER, "minder"])
            .args(command)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", &room)
            .env("TMPDIR", &room)
            .env("ROOM", &room)
            .current_dir(&room)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // What a terminal sends to the tests is not for the servers: the minder ends them in order.
            .process_group(0)
            .spawn()
            .unwrap();
        Self { minder, room }
    }

    /// The last lines that it printed.
    pub(crate) fn last_words(&self) -> String {
        let log = std::fs::read(self.room.join("log")).unwrap_or_default();
        let text = String::from_utf8_lossy(&log).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// Its folder.
    pub(crate) fn room(&self) -> &Path {
        &self.room
    }
}

/// A folder that any user may look into, for a server that is about to be started.
#[derive(Debug)]
pub(crate) struct Room(PathBuf);

impl Room {
    pub(crate) fn new(server: &str) -> Self {
        let room = tempfile::Builder::new().prefix(&format!("albatros-live-{server}-")).tempdir().unwrap().keep();
        std::fs::set_permissions(&room, std::fs::Permissions::from_mode(0o755)).unwrap();
        Self(room)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file into it that only this user may read.
    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

/// The next port to be looked at; far apart in processes that run at the same time.
static NEXT_PORT: LazyLock<AtomicU16> =
    LazyLock::new(|| AtomicU16::new(u16::try_from(std::process::id() % 1_000).unwrap() * 17));

/// Ports that are free now, and that nobody is given by chance before the server has them: not of the range that the
/// system takes ports from for those who ask for any. (Seen: a connection of another test had taken Nomad's.)
pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let range: Vec<u16> = range.split_whitespace().filter_map(|bound| bound.parse().ok()).collect();
    let (from, to) = (range.first().copied().unwrap_or(32_768), range.last().copied().unwrap_or(60_999));
    let is_free = |port: &u16| {
        // Consul's and Nomad's gossip is over UDP as well.
        let address = ("127.0.0.1", *port);
        TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok()
    };
    let mut ports = std::iter::repeat_with(|| 10_000 + NEXT_PORT.fetch_add(1, Ordering::Relaxed) % 55_000)
        .take(55_000)
        .filter(|port| !(from..=to).contains(port))
        .filter(is_free);
    [(); N].map(|()| {
        ports.next().unwrap_or_else(|| panic!("no port of this machine is free outside of ip_local_port_range"))
    })
}

/// A line that is seen whatever the test harness captures.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Whether the live tests are asked for and these programs are on PATH; where not, says so.
pub(crate) fn may_run(story: &str, programs: &[&str]) -> bool {
    if std::env::var_os("ALBATROS_LIVE").is_none_or(|it| it != "1") {
        say(&format!("SKIPPED {story}: it needs real servers; run it with `ALBATROS_LIVE=1 cargo test --test live`"));
        return false;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let there = |program: &str| std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    let Some(missing) = programs.iter().find(|program| !there(program)) else { return true };
    say(&format!("SKIPPED {story}: there is no `{missing}` on PATH"));
    false
}
