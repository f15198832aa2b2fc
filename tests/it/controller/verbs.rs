//! `albatros param` and `albatros report`, as a script types them.

use std::process::Stdio;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::time::timeout;

use super::{Running, given, start};
use crate::fake::wire::PATIENCE;

/// What a verb printed and ended with.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) code: Option<i32>,
    pub(super) out: String,
    pub(super) err: String,
}

pub(super) async fn say(environment: &[(&str, String)], arguments: &[&str], input: &str) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_albatros"));
    command.args(arguments).env_clear().envs(environment.iter().map(|(name, value)| (*name, value.as_str())));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // It need not read.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    let output = timeout(PATIENCE, child.wait_with_output()).await.expect("it ends").unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

fn build(running: &Running) -> [(&'static str, String); 2] {
    [("ALBATROS_API", format!("unix:{}", running.socket().display())), ("ALBATROS_TOKEN", running.script.clone())]
}

pub(super) async fn in_build(running: &Running, arguments: &[&str], input: &str) -> Said {
    say(&build(running), arguments, input).await
}

#[tokio::test]
async fn a_parameter_is_printed_byte_for_byte() {
    let running = start(given(true)).await;
    for (arguments, out) in [
        (&["param", "SECRET2"][..], "y y"),
        (&["param", "SECRET2", "--json"], "\"y y\"\n"),
        (&["param"], "SECRET1\nSECRET2\n"),
        (&["param", "--json"], "{\"SECRET1\":\"xx\",\"SECRET2\":\"y y\"}\n"),
    ] {
        let said = in_build(&running, arguments, "").await;
        assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (Some(0), out, ""), "{arguments:?}");
    }
}

#[tokio::test]
async fn a_parameter_that_is_not_there_or_not_given_ends_with_one() {
    let running = start(given(true)).await;
    let said = in_build(&running, &["param", "SECRET3"], "").await;
    assert!(said.code == Some(1) && said.out.is_empty() && said.err.contains("SECRET3"), "{said:?}");
    let untrusted = start(given(false)).await;
    let said = in_build(&untrusted, &["param", "SECRET1"], "").await;
    assert!(said.code == Some(1) && said.out.is_empty() && said.err.contains("not trusted"), "{said:?}");
}

#[tokio::test]
async fn a_report_is_sent_from_files_and_from_standard_input() {
    let running = start(given(true)).await;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).unwrap();
        folder.path().join(name).to_str().unwrap().to_owned()
    };
    let summary = file("summary.md", "# one\n");
    let first = file("first.xml", "<testsuite><testcase name='a'/></testsuite>");
    let second = file("second.xml", "<testsuite><testcase name='b'><failure/></testcase></testsuite>");
    let said = in_build(&running, &["report", "--summary", &summary, "--junit", &first, &second], "").await;
    assert_eq!((said.code, said.out.as_str()), (Some(0), "2 tests, 1 failed, 0 skipped\n"), "{said:?}");
    assert_eq!(in_build(&running, &["report", "--append", "--summary", "-"], "two").await.code, Some(0));
    let reported = running.as_script().summary("", true).await.unwrap();
    assert_eq!(reported.summary, "# one\ntwo".len());
}

#[tokio::test]
async fn a_report_that_cannot_be_sent_names_its_file() {
    let running = start(given(true)).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("page.xml");
    std::fs::write(&path, "<html/>").unwrap();
    for (arguments, words) in [
        (vec!["report", "--junit", path.to_str().unwrap()], "not JUnit"),
        (vec!["report", "--junit", "/nowhere.xml"], "/nowhere.xml"),
        (vec!["report", "--summary", "/dev/zero"], "larger"),
        (vec!["report"], "--summary"),
        (vec!["report", "--append"], "--summary"),
    ] {
        let said = in_build(&running, &arguments, "").await;
        assert!(said.code == Some(2) && said.err.contains(words), "{arguments:?}: {said:?}");
    }
}

#[tokio::test]
async fn outside_of_a_build_each_verb_says_what_is_missing() {
    for arguments in [&["param"][..], &["report", "--summary", "-"]] {
        let said = say(&[], arguments, "").await;
        assert!(said.code == Some(2) && said.err.contains("ALBATROS_API: is not set"), "{said:?}");
    }
}

#[tokio::test]
async fn a_controller_that_is_gone_ends_with_three() {
    let mut running = start(given(true)).await;
    let environment = build(&running);
    running.as_script().finish(0).await.unwrap();
    assert_eq!(say(&environment, &["param"], "").await.code, Some(3));
    running.end().await;
    let said = say(&environment, &["param"], "").await;
    assert!(said.code == Some(3) && said.err.contains("does not answer"), "{said:?}");
}
