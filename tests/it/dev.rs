//! `albatros dev`: working copies served on one machine, by the real binary over real HTTP.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::local::{git, is_gone, pid};

/// Longer than anything here takes; a test that needs it has failed.
const LONG: Duration = Duration::from_secs(60);

/// A data directory and working copies beside it.
struct Desk {
    room: tempfile::TempDir,
}

/// A running `albatros dev`.
struct Dev {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    said: String,
}

impl Desk {
    fn new() -> Self {
        Self { room: tempfile::tempdir().unwrap() }
    }

    fn data(&self) -> PathBuf {
        self.room.path().join("data")
    }

    /// A repository with this script.
    fn repository(&self, name: &str, script: &str) -> PathBuf {
        let dir = self.directory(name, script);
        git(&dir, &["init", "-q", "-b", "main", "."]);
        commit(&dir);
        dir
    }

    /// A plain directory with this script.
    fn directory(&self, name: &str, script: &str) -> PathBuf {
        let dir = self.room.path().join(name);
        std::fs::create_dir_all(&dir).unwrap();
        write(&dir, script);
        dir
    }

    fn start(&self, dirs: &[&Path], more: &[&str]) -> Dev {
        let mut command = Command::new(env!("CARGO_BIN_EXE_albatros"));
        command.arg("dev").args(dirs).args(["--listen", "127.0.0.1:0", "--data"]).arg(self.data()).args(more);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("LEAK", "leaked");
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Dev { child, lines, said: String::new() }
    }

    /// With `--exit`, to its end.
    async fn once(&self, dirs: &[&Path]) -> (i32, String) {
        self.start(dirs, &["--exit"]).end().await
    }

    /// What must never be printed.
    fn secrets(&self) -> Vec<String> {
        let kept: serde_json::Value =
            serde_json::from_slice(&std::fs::read(self.data().join("dev.json")).unwrap()).unwrap();
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let repositories = kept["repositories"].as_object().unwrap().values();
        repositories.map(|known| text(&known["secret"])).chain([text(&kept["token"])]).collect()
    }
}

impl Dev {
    /// Reads on until a line holds `what`, and gives that line.
    async fn until(&mut self, what: &str) -> String {
        let found = async {
            loop {
                let line = self.lines.next_line().await.unwrap();
                let line = line.unwrap_or_else(|| panic!("no {what:?} in {}", self.said));
                self.said.push_str(&line);
                self.said.push('\n');
                if line.contains(what) {
                    return line;
                }
            }
        };
        tokio::time::timeout(LONG, found).await.unwrap_or_else(|_| panic!("no {what:?} in time"))
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id().unwrap()).unwrap();
        rustix::process::kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    }

    /// Exit code and all that was printed.
    async fn end(mut self) -> (i32, String) {
        let rest = async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                self.said.push_str(&line);
                self.said.push('\n');
            }
            self.child.wait_with_output().await.unwrap()
        };
        let done = tokio::time::timeout(LONG, rest).await.expect("dev ends");
        self.said.push_str(&String::from_utf8_lossy(&done.stderr));
        (done.status.code().unwrap_or(-1), self.said)
    }
}

fn write(dir: &Path, script: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    let path = dir.join(".albatros");
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn commit(dir: &Path) {
    git(dir, &["add", "-A"]);
    git(dir, &["commit", "-q", "-m", "change"]);
}

#[tokio::test]
async fn a_working_copy_is_built_and_its_code_is_handed_on() {
    let desk = Desk::new();
    let good = desk.repository("good", "#!/bin/sh\necho hello $BRANCH; echo oops >&2; echo ${LEAK-clean}\n");
    let (code, said) = desk.once(&[&good]).await;
    assert_eq!(code, 0, "{said}");
    for part in
        ["\nhello main\n", "\nclean\n", "oops\n", "albatros: success", "curl -H @", "/hook\n", "/build?job=builder/"]
    {
        assert!(said.contains(part), "{part:?} in {said}");
    }
    let bad = desk.repository("bad", "#!/bin/sh\nexit 7\n");
    let (code, said) = desk.once(&[&bad]).await;
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("albatros: failure: Failed with exit 7"), "{said}");
    for secret in desk.secrets() {
        assert!(!said.contains(&secret), "a secret was printed");
    }
}

#[tokio::test]
async fn the_same_commit_is_not_built_twice_and_its_log_and_verdict_are_kept() {
    let desk = Desk::new();
    let dir = desk.repository("kept", "#!/bin/sh\ndate +%s%N\nexit 2\n");
    let (first_code, first) = desk.once(&[&dir]).await;
    let (second_code, second) = desk.once(&[&dir]).await;
    assert_eq!((first_code, second_code), (1, 1), "{first}{second}");
    let time = |said: &str| said.lines().find(|line| line.bytes().all(|b| b.is_ascii_digit())).unwrap().to_owned();
    assert_eq!(time(&first), time(&second));
    assert!(second.contains("is built already"), "{second}");
}

#[tokio::test]
async fn a_plain_directory_is_built_at_each_change_until_it_is_interrupted() {
    let desk = Desk::new();
    let dir = desk.directory("plain", "#!/bin/sh\necho one\n");
    let mut dev = desk.start(&[&dir], &[]);
    dev.until("albatros: success").await;
    write(&dir, "#!/bin/sh\necho two\ngit log --oneline | wc -l\n");
    dev.until("albatros: success").await;
    dev.signal(Signal::INT);
    let (code, said) = dev.end().await;
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("\none\n") && said.contains("\ntwo\n"), "{said}");
    assert!(!dir.join(".git").exists());
}

#[tokio::test]
async fn a_new_commit_of_a_repository_is_built_and_an_uncommitted_change_is_not() {
    let desk = Desk::new();
    let dir = desk.repository("repo", "#!/bin/sh\necho one\n");
    let mut dev = desk.start(&[&dir], &[]);
    dev.until("albatros: success").await;
    write(&dir, "#!/bin/sh\necho two; exit 1\n");
    git(&dir, &["checkout", "-q", "-b", "next"]);
    commit(&dir);
    assert!(dev.until(" is builder/").await.contains("next "));
    dev.until("albatros: failure").await;
}

#[tokio::test]
async fn several_directories_have_their_names_before_their_lines_and_the_highest_code_counts() {
    let desk = Desk::new();
    let one = desk.repository("one", "#!/bin/sh\nprintf 'no end'\n");
    let two = desk.directory("two", "#!/bin/sh\necho hi\nexit 1\n");
    let (code, said) = desk.once(&[&one, &two]).await;
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("one | no end\n") && said.contains("two | hi\n"), "{said}");
}

#[tokio::test]
async fn the_printed_lines_work_as_they_stand() {
    let desk = Desk::new();
    let dir = desk.repository("lines", "#!/bin/sh\necho hello\n");
    let mut dev = desk.start(&[&dir], &[]);
    let hook = dev.until(" hook: ").await.split_once(" hook: ").unwrap().1.to_owned();
    let log = dev.until(" log:  ").await.split_once(" log:  ").unwrap().1.to_owned();
    dev.until("albatros: success").await;
    let typed = |line: &str| {
        let line = line.replacen("curl", "curl -s", 1);
        let done = std::process::Command::new("sh").args(["-c", &line]).output().unwrap();
        String::from_utf8(done.stdout).unwrap()
    };
    let answer = typed(&hook);
    assert!(answer.starts_with("builder/dispatch-"), "{answer}");
    assert!(answer.lines().count() == 1 || answer.contains("already built: success"), "{answer}");
    let log = typed(&log);
    assert!(log.starts_with("hello\nalbatros: success"), "{log}");
}

#[tokio::test]
async fn after_a_kill_the_next_start_finds_the_build_lost_and_nothing_of_it_alive() {
    let desk = Desk::new();
    let flag = desk.room.path().join("flag");
    let script = format!(
        "#!/bin/sh\n[ -e {0} ] && exit 0\ntouch {0}\ntrap '' TERM\n\
         setsid sh -c 'trap \"\" TERM; echo daemon $$; while :; do sleep 1; done' &\nsleep 0.3; echo script $$\n\
         while :; do sleep 1; done\n",
        flag.display()
    );
    let dir = desk.repository("killed", &script);
    let mut dev = desk.start(&[&dir], &[]);
    dev.until("script ").await;
    dev.signal(Signal::KILL);
    let (_, before) = dev.end().await;

    // The end of its standard error was waited for, and so was the end of what it had started.
    for name in ["daemon ", "script "] {
        assert!(is_gone(pid(&before, name)), "{name} is alive");
    }
    let (code, said) = desk.once(&[&dir]).await;
    assert!(said.contains("ended as lost; building"), "{said}");
    assert_eq!(code, 0, "{said}");
}

#[tokio::test]
async fn wrong_use_is_said_with_code_2() {
    let desk = Desk::new();
    let (code, said) = desk.once(&[Path::new("/nowhere/at/all")]).await;
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("/nowhere/at/all is not a directory"), "{said}");
}

#[tokio::test]
async fn why_there_is_no_workspace_is_shown() {
    let desk = Desk::new();
    let dir = desk.repository("broken", "#!/bin/sh\necho started\n");
    let blob = git(&dir, &["rev-parse", "HEAD:.albatros"]);
    let (folder, file) = blob.split_at(2);
    std::fs::remove_file(dir.join(".git/objects").join(folder).join(file)).unwrap();
    let (code, said) = desk.once(&[&dir]).await;
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("could not be checked out") && said.contains("albatros: infra: "), "{said}");
    assert!(!said.contains("\nstarted"), "{said}");
}

#[tokio::test]
async fn a_first_verdict_says_how_long_it_took_and_a_failed_one_where_its_workspace_is() {
    let desk = Desk::new();
    let (good, bad) =
        (desk.repository("good", "#!/bin/sh\n"), desk.repository("bad", "#!/bin/sh\ntouch left\nexit 2\n"));
    let (_, said) = desk.once(&[&good]).await;
    assert!(said.contains("success: Successful in "), "{said}");
    assert!(!said.contains("the workspace is kept"), "{said}");
    let (_, said) = desk.once(&[&bad]).await;
    assert!(said.contains("failure: Failed with exit 2 after "), "{said}");
    let kept = desk.data().canonicalize().unwrap().join("kept/bad");
    assert!(said.contains(&format!("the workspace is kept in {}", kept.display())), "{said}");
    assert!(kept.join("left").exists());
}

#[tokio::test]
async fn what_a_build_reports_stands_in_its_verdict_and_on_its_page() {
    let desk = Desk::new();
    let script = "#!/bin/sh\nset -e\n\
        echo '<testsuite><testcase name=\"a\"/><testcase name=\"b\"><failure/></testcase></testsuite>' > t.xml\n\
        ../bin/albatros report --junit t.xml\necho all is said | ../bin/albatros report --summary -\nexit 1\n";
    let dir = desk.repository("reporting", script);
    let mut dev = desk.start(&[&dir], &[]);
    let address = dev.until("listening on ").await.split_whitespace().last().unwrap().to_owned();
    let build = dev.until("failure: ").await;
    assert!(build.contains(", 1 of 2 tests failed ("), "{build}");
    let build = build.split_once('(').unwrap().1.trim_end_matches(')').to_owned();
    let token = std::fs::read_to_string(desk.data().join("token")).unwrap();
    let client = albatros::api::http::forge_client(None).unwrap();
    let asked = client.get(format!("{address}/builds/{build}")).bearer_auth(token);
    let page = asked.send().await.unwrap().text().await.unwrap();
    for (task, status) in [("prepare", 200), ("sidecar", 200), ("controller", 404)] {
        let log = reqwest::get(format!("{address}/build?job={build}&task={task}&log=stderr&raw=1")).await.unwrap();
        assert_eq!(log.status(), status, "{task}");
    }
    assert!(page.contains("all is said") && page.contains("1 of 2 tests failed"), "{page}");
    dev.signal(Signal::INT);
    dev.end().await;
}

#[tokio::test]
async fn an_artifact_of_the_last_green_commit_is_found_by_the_next_one_and_can_be_downloaded() {
    let desk = Desk::new();
    let script = "#!/bin/sh\nset -e\nalbatros artifact get note --from latest-green && cat note || echo none\n\
        echo left by $COMMIT > note; albatros artifact put note note\n";
    let dir = desk.repository("leaving", script);
    let (code, said) = desk.once(&[&dir]).await;
    assert!(code == 0 && said.contains("\nnone\n"), "{said}");
    assert!(said.contains("albatros: artifact note: curl -OJ 'http://127.0.0.1:"), "{said}");
    let first = git(&dir, &["rev-parse", "HEAD"]);
    git(&dir, &["commit", "-q", "--allow-empty", "-m", "more"]);
    let (code, said) = desk.once(&[&dir]).await;
    assert!(code == 0 && said.contains(&format!("\nleft by {first}\n")), "{said}");
}
