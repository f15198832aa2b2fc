//! `albatros run`: a working copy as it stands.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use super::local::{git, is_gone, pid};

const LONG: Duration = Duration::from_secs(60);

struct Copy {
    room: tempfile::TempDir,
}

impl Copy {
    fn new(script: &str) -> Self {
        let this = Self { room: tempfile::tempdir().unwrap() };
        for sub in ["copy", "temp"] {
            std::fs::create_dir(this.room.path().join(sub)).unwrap();
        }
        this.write(".albatros", script);
        std::fs::set_permissions(this.dir().join(".albatros"), std::fs::Permissions::from_mode(0o755)).unwrap();
        this
    }

    fn dir(&self) -> PathBuf {
        self.room.path().join("copy")
    }

    fn temp(&self) -> PathBuf {
        self.room.path().join("temp")
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.dir().join(name), text).unwrap();
    }

    fn commit(&self) {
        git(&self.dir(), &["init", "-q", "-b", "main", "."]);
        git(&self.dir(), &["add", "-A"]);
        git(&self.dir(), &["commit", "-q", "-m", "first"]);
    }

    fn command(&self, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_albatros"));
        command.arg("run").arg(self.dir()).args(more).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap()).env("TMPDIR", self.temp());
        command.env("XDG_CACHE_HOME", self.room.path().join("cache"));
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    async fn run(&self, more: &[&str]) -> (i32, String, String) {
        let done = tokio::time::timeout(LONG, self.command(more).output()).await.expect("run ends").unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (done.status.code().unwrap_or(-1), text(done.stdout), text(done.stderr))
    }

    fn leaves_nothing(&self) -> bool {
        std::fs::read_dir(self.temp()).unwrap().next().is_none()
    }
}

#[tokio::test]
async fn what_is_tracked_or_unignored_is_built_as_it_stands() {
    let copy =
        Copy::new("#!/bin/sh\nls -A; cat tracked; git status --porcelain; git rev-parse HEAD; echo $COMMIT $BRANCH\n");
    for (name, text) in [("tracked", "old\n"), ("deleted", ""), (".gitignore", "ignored\n")] {
        copy.write(name, text);
    }
    copy.commit();
    copy.write("tracked", "new\n");
    copy.write("untracked", "");
    copy.write("ignored", "");
    std::fs::remove_file(copy.dir().join("deleted")).unwrap();
    let head = git(&copy.dir(), &["rev-parse", "HEAD"]);

    let (code, said, errors) = copy.run(&[]).await;

    let lines: Vec<_> = said.lines().collect();
    let built = [
        ".albatros",
        ".git",
        ".gitignore",
        "tracked",
        "untracked",
        "new",
        " D deleted",
        " M tracked",
        "?? untracked",
        &head,
        &format!("{head} main"),
    ];
    assert_eq!(lines[..built.len()], built, "{errors}");
    assert!(lines[built.len()].starts_with("albatros: success"), "{said}");
    assert_eq!((code, lines.len()), (0, built.len() + 1), "{said}");
    assert!(copy.leaves_nothing());
}

#[tokio::test]
async fn without_git_all_files_are_built() {
    let copy = Copy::new("#!/bin/sh\nls -A; echo $FLAVOR; cat $SECRET_PATH; exit 9\n");
    std::fs::create_dir(copy.dir().join("sub")).unwrap();
    copy.write("sub/file", "");
    copy.write("secrets", "A=b\n");
    let file = copy.dir().join("secrets");
    let (code, said, _) = copy.run(&["--flavor", "big", "--secrets", file.to_str().unwrap()]).await;
    assert_eq!(code, 1);
    assert!(said.starts_with(".albatros\nsecrets\nsub\nbig\nA=b\nalbatros: failure: Failed with exit 9"), "{said}");
}

#[tokio::test]
async fn the_working_copy_itself_is_never_touched() {
    let copy = Copy::new(
        "#!/bin/sh\nset -e\nmkdir -p deep/er; touch deep/er/x; chmod 500 deep/er deep; rm .albatros; rm -rf .git\n",
    );
    copy.commit();
    let (code, said, errors) = copy.run(&[]).await;
    assert_eq!(code, 0, "{said}{errors}");
    assert_eq!(git(&copy.dir(), &["status", "--porcelain"]), "");
    assert!(copy.leaves_nothing());
}

#[tokio::test]
async fn over_its_limit_it_ends_with_5() {
    let copy = Copy::new("#!/bin/sh\nexec sleep 1000\n");
    let (code, said, _) = copy.run(&["--timeout", "1s"]).await;
    assert_eq!(code, 5, "{said}");
    assert!(said.contains("albatros: timeout"), "{said}");
}

#[tokio::test]
async fn an_interrupt_cancels_all_of_it_and_ends_with_4() {
    let copy = Copy::new(
        "#!/bin/sh\ntrap '' INT\nsetsid sh -c 'echo daemon $$; exec sleep 1000' &\nsleep 0.3; echo script $$\nexec sleep 1000\n",
    );
    let mut child = copy.command(&[]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut said = String::new();
    while !said.contains("script ") {
        let line = tokio::time::timeout(LONG, lines.next_line()).await.expect("it prints").unwrap().unwrap();
        said.push_str(&format!("{line}\n"));
    }
    let number = i32::try_from(child.id().unwrap()).unwrap();
    rustix::process::kill_process(Pid::from_raw(number).unwrap(), Signal::INT).unwrap();
    let status = tokio::time::timeout(LONG, child.wait()).await.expect("it ends").unwrap();
    assert_eq!(status.code(), Some(4));
    for name in ["daemon ", "script "] {
        assert!(is_gone(pid(&said, name)), "{name} is alive");
    }
    assert!(copy.leaves_nothing());
}

#[tokio::test]
async fn a_directory_that_is_not_there_is_wrong_use() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_albatros"));
    let done = command.args(["run", "/nowhere/at/all"]).output().await.unwrap();
    assert_eq!(done.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&done.stderr).contains("/nowhere/at/all is not a directory"));
}

#[tokio::test]
async fn the_hello_of_the_readme_builds() {
    let hello = Path::new(env!("CARGO_MANIFEST_DIR")).join("example/hello");
    let cache = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_albatros"));
    let done = command.arg("run").arg(hello).env("XDG_CACHE_HOME", cache.path()).output().await.unwrap();
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success() && said.starts_with("Hello from main"), "{said}");
}

#[tokio::test]
async fn parameters_come_from_the_command_line_and_from_a_file() {
    let copy = Copy::new(
        "#!/bin/sh\nfor name in FILED ODD EMPTY; do ../bin/albatros param $name; echo; done\n. \"$SECRET_PATH\"; printf '%s\\n' \"$ODD\"\n",
    );
    copy.write("params", "# a comment\nFILED=\"from a file\"");
    let file = copy.dir().join("params");
    let odd = r#"ODD=it's "$HOME" \n `id` # = no"#;
    let (code, said, errors) =
        copy.run(&["--param-file", file.to_str().unwrap(), "--param", odd, "--param", "EMPTY="]).await;
    let odd = odd.strip_prefix("ODD=").unwrap();
    assert!(said.starts_with(&format!("from a file\n{odd}\n\n{odd}\nalbatros: success")), "{said}{errors}");
    assert_eq!(code, 0);
}

#[tokio::test]
async fn a_parameter_that_would_change_a_loader_or_is_none_is_wrong_use() {
    let copy = Copy::new("#!/bin/sh\necho started\n");
    for (param, word) in [("LD_PRELOAD=/x", "LD_PRELOAD"), ("PATH=/x", "PATH"), ("A", "KEY=VALUE"), ("=x", "KEY=VALUE")]
    {
        let (code, said, errors) = copy.run(&["--param", param]).await;
        assert_eq!(code, 2, "{said}{errors}");
        assert!(errors.contains(word) && said.is_empty(), "{said}{errors}");
    }
    copy.write("params", "BASH_ENV=/x\n");
    let (code, _, errors) = copy.run(&["--param-file", copy.dir().join("params").to_str().unwrap()]).await;
    assert!(code == 2 && errors.contains("BASH_ENV"), "{errors}");
}

#[tokio::test]
async fn the_workspace_of_a_failed_run_is_kept_until_the_next_one_is() {
    let copy = Copy::new("#!/bin/sh\ntouch here-$FLAVOR; echo \"$HOME\" > home\n[ $FLAVOR = good ]\n");
    let other = Copy::new("#!/bin/sh\nexit 1\n");
    let mut elsewhere = other.command(&[]);
    elsewhere.env("TMPDIR", copy.temp());
    elsewhere.output().await.unwrap();

    let (code, said, _) = copy.run(&["--flavor", "first"]).await;
    assert_eq!(code, 1);
    let first = kept(&said);
    assert!(first.join("here-first").exists());
    let home = std::fs::read_to_string(first.join("home")).unwrap();
    assert!(!Path::new(home.trim()).exists(), "only the workspace is kept");

    assert_eq!(copy.run(&["--flavor", "good"]).await.0, 0);
    assert!(first.join("here-first").exists());
    let second = kept(&copy.run(&["--flavor", "second"]).await.1);
    assert!(second.join("here-second").exists() && !first.exists());
    let third = kept(&copy.run(&["--flavor", "good", "--keep"]).await.1);
    assert!(third.join("here-good").exists() && !second.exists());
    // One of each directory.
    assert_eq!(std::fs::read_dir(copy.temp()).unwrap().count(), 2);
}

fn kept(said: &str) -> PathBuf {
    let line = said.lines().find_map(|line| line.strip_prefix("albatros: the workspace is kept in "));
    PathBuf::from(line.and_then(|line| line.split_once(" until ")).unwrap_or_else(|| panic!("{said}")).0)
}

#[tokio::test]
async fn nothing_of_a_killed_run_stays_alive_or_keeps_its_secrets() {
    let copy = Copy::new(
        "#!/bin/sh\ntrap '' TERM\ntr ',' '\\n' < ../../tasks.json | sed -n 's/.*\"pid\":\\([0-9]*\\).*/task\\1/p'\nls -d \"$SECRET_PATH\"\nwhile :; do sleep 1; done\n",
    );
    let mut child = copy.command(&["--param", "A=secret"]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut said = Vec::new();
    while !said.last().is_some_and(|line: &String| line.starts_with('/')) {
        said.push(tokio::time::timeout(LONG, lines.next_line()).await.expect("it prints").unwrap().unwrap());
    }
    let secrets = PathBuf::from(said.pop().unwrap());
    assert!(secrets.exists() && said.len() == 4, "{said:?}");
    child.start_kill().unwrap();
    // Its standard error is everybody's below it: that it ends means that they have.
    let mut rest = Vec::new();
    let mut errors = child.stderr.take().unwrap();
    let ended = tokio::io::AsyncReadExt::read_to_end(&mut errors, &mut rest);
    tokio::time::timeout(LONG, ended).await.expect("all of it ends").unwrap();
    for task in said {
        assert!(is_gone(pid(&task, "task")), "{task} is alive");
    }
    assert!(!secrets.exists());
}

#[tokio::test]
async fn reported_tests_are_counted_in_the_verdict() {
    let copy = Copy::new(
        "#!/bin/sh\necho '<testsuite><testcase name=\"a\"/></testsuite>' > t.xml\n../bin/albatros report --junit t.xml\n",
    );
    let (code, said, errors) = copy.run(&[]).await;
    assert!(code == 0 && said.trim_end().ends_with(", 1 test passed"), "{said}{errors}");
}

#[tokio::test]
async fn the_pipeline_of_the_readme_builds_and_finds_its_cache_the_second_time() {
    let room = tempfile::tempdir().unwrap();
    let pipeline = Path::new(env!("CARGO_MANIFEST_DIR")).join("example/pipeline");
    let artifacts = room.path().join("left");
    let run = || async {
        let mut command = Command::new(env!("CARGO_BIN_EXE_albatros"));
        command.arg("run").arg(&pipeline).arg("--artifacts").arg(&artifacts);
        let done = command.env("XDG_CACHE_HOME", room.path()).output().await.unwrap();
        (done.status.success(), format!("{}{}", text(&done.stdout), text(&done.stderr)))
    };
    let (first, said) = run().await;
    assert!(first && said.contains("sorting the words"), "{said}");
    let report = artifacts.join("report/report.txt");
    assert!(said.contains(&format!("albatros: artifact: {}", report.display())), "{said}");
    assert_eq!(std::fs::read_to_string(&report).unwrap(), "Hello albatros, the first of 4 words\n");
    let (second, said) = run().await;
    assert!(second && said.contains("the words were sorted before"), "{said}");
}

#[tokio::test]
async fn what_an_earlier_green_run_has_left_is_found_and_what_a_failed_one_has_left_is_not() {
    let copy = Copy::new(
        "#!/bin/sh\nalbatros artifact get note --from latest-green >&2 && cat note || echo none\n\
         echo $FLAVOR-$1 > note; date +%N >> note; albatros artifact put note note >&2\n[ ! -e fail ]\n",
    );
    let (code, said, errors) = copy.run(&[]).await;
    assert!(code == 0 && said.starts_with("none\n"), "{said}{errors}");
    let left = |said: &str| {
        let path = said.lines().find_map(|line| line.strip_prefix("albatros: artifact: ")).unwrap().to_owned();
        std::fs::read_to_string(path).unwrap()
    };
    let first = left(&said);
    copy.write("fail", "");
    let (code, said, errors) = copy.run(&[]).await;
    assert!(code == 1 && said.starts_with(&first), "{said}{errors}");
    assert_ne!(left(&said), first, "a failed run's artifacts are shown all the same");
    std::fs::remove_file(copy.dir().join("fail")).unwrap();
    let (code, said, errors) = copy.run(&[]).await;
    assert!(code == 0 && said.starts_with(&first), "{said}{errors}");
}

#[tokio::test]
async fn a_plan_with_a_failing_job_makes_the_run_red_and_its_workspace_is_kept() {
    let copy = Copy::new("#!/bin/sh\nalbatros job plan plan.yaml\n");
    copy.write(
        "plan.yaml",
        "jobs:\n  - name: good\n    command: [\"true\"]\n  - name: bad\n    script: |\n      touch here\n      exit 6\n\
         \x20 - name: after\n    needs: [bad]\n    command: [\"true\"]\n",
    );
    let (code, said, errors) = copy.run(&[]).await;
    assert!(code == 1 && said.contains("albatros: failure"), "{said}{errors}");
    let line = said.lines().find(|line| line.contains("that of job bad in ")).unwrap_or_else(|| panic!("{said}"));
    let path = line.split("that of job bad in ").nth(1).unwrap().split(' ').next().unwrap();
    assert!(Path::new(path).join("here").exists(), "{said}");
}

#[tokio::test]
async fn an_interrupt_ends_jobs_and_services_too() {
    let copy = Copy::new(
        "#!/bin/sh\nset -e\n\
         albatros job start slow -- sh -c 'trap \"\" TERM; echo job $$; while :; do sleep 1; done' >&2\n\
         until albatros job logs slow 2>/dev/null | grep job; do sleep 0.1; done\n\
         echo script $$; exec sleep 1000\n",
    );
    let mut child = copy.command(&[]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut said = String::new();
    while !said.contains("script ") {
        let line = tokio::time::timeout(LONG, lines.next_line()).await.expect("it prints").unwrap();
        said.push_str(&format!("{}\n", line.unwrap_or_else(|| panic!("{said}"))));
    }
    let number = i32::try_from(child.id().unwrap()).unwrap();
    rustix::process::kill_process(Pid::from_raw(number).unwrap(), Signal::INT).unwrap();
    let status = tokio::time::timeout(LONG, child.wait()).await.expect("it ends").unwrap();
    assert_eq!(status.code(), Some(4));
    for name in ["job ", "script "] {
        assert!(is_gone(pid(&said, name)), "{name} is alive");
    }
    assert!(copy.leaves_nothing());
}

#[tokio::test]
async fn a_service_whose_port_another_has_is_refused() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let copy = Copy::new(&format!(
        "#!/bin/sh\nalbatros job start web --service --port {port} -- sleep 1000; echo $?\nalbatros job logs web 2>&1\n"
    ));
    let (_, said, errors) = copy.run(&[]).await;
    assert!(!said.starts_with("0\n"), "{said}{errors}");
    assert!(format!("{said}{errors}").contains(&format!("port {port} of this machine is taken")), "{said}{errors}");
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
