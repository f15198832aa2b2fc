//! `albatros artifact` and `albatros cache`, as a script types them.

use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::timeout;

use super::super::serve::FakeServe;
use super::super::{Running, start};
use super::store::{At, Trouble};
use crate::fake::serve::Printed;
use crate::fake::wire::PATIENCE;

fn command(running: &Running, here: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_albatros"));
    command.args(arguments).env_clear().current_dir(here).stdin(Stdio::null()).kill_on_drop(true);
    command.env("ALBATROS_API", format!("unix:{}", running.socket().display()));
    command.env("ALBATROS_TOKEN", &running.script).env("ALBATROS_WORKSPACE", here);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Exit code, standard output, standard error.
async fn say(running: &Running, here: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = timeout(PATIENCE, command(running, here, arguments).output()).await.expect("it ends").unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn files_go_out_and_come_back_checked() {
    let serve = FakeServe::start(&[]).await;
    let running = start(serve.source()).await;
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::create_dir(here.path().join("d")).unwrap();
    std::fs::write(here.path().join("d/a"), "hello").unwrap();
    for (arguments, out) in [
        (&["artifact", "put", "one", "d/a"][..], "artifact one: kept, 5 bytes\n"),
        (&["artifact", "get", "one", there.path().to_str().unwrap()], ": 1 file, 5 bytes, in "),
    ] {
        let (code, said, err) = say(&running, here.path(), arguments).await;
        assert!(code == 0 && said.contains(out) && err.is_empty(), "{said}{err}");
    }
    assert_eq!(std::fs::read_to_string(there.path().join("a")).unwrap(), "hello");
    assert_eq!(say(&running, here.path(), &["artifact", "put", "tree", "d"]).await.0, 0);
    assert_eq!(say(&running, there.path(), &["artifact", "get", "tree"]).await.0, 0);
    assert_eq!(std::fs::read_to_string(there.path().join("d/a")).unwrap(), "hello");
    let (_, listed, _) = say(&running, here.path(), &["artifact", "list"]).await;
    assert!(listed.contains("one\t5\t2cf24dba"), "{listed}");
    for (arguments, code, words) in [
        (&["artifact", "put", "one", "d"][..], 2, "there is another artifact one already"),
        (&["artifact", "get", "nothing"], 1, "there is no artifact nothing"),
        (&["artifact", "put", "x", "nothing"], 2, "nothing is not there"),
        (&["artifact", "put", "x", "../x"], 2, "`..`"),
        (&["artifact", "put", "../x", "d"], 2, "name"),
        (&["artifact", "put", "x", "d", "--always"], 2, "--at-end"),
        (&["artifact", "get", "one", "--branch", "b"], 2, "--from"),
    ] {
        let (ended, _, err) = say(&running, here.path(), arguments).await;
        assert!(ended == code && err.contains(words), "{arguments:?}: {ended} {err}");
    }
}

#[tokio::test]
async fn a_wrong_sum_leaves_no_file() {
    let serve = FakeServe::start(&[]).await;
    let running = start(serve.source()).await;
    let here = tempfile::tempdir().unwrap();
    std::fs::write(here.path().join("a"), "hello").unwrap();
    assert_eq!(say(&running, here.path(), &["artifact", "put", "a", "a"]).await.0, 0);
    serve.blobs.wrong_sums();
    let mut getting = command(&running, here.path(), &["artifact", "get", "a", "there"]).spawn().unwrap();
    let printed = Printed::new();
    printed.read(getting.stderr.take().unwrap());
    printed.wait("what arrived is not what was kept: its sum is another").await;
    getting.kill().await.unwrap();
    assert!(!here.path().join("there/a").exists());
}

#[tokio::test]
async fn an_upload_waits_for_a_serve_that_comes_back() {
    let mut serve = FakeServe::start(&[]).await;
    let running = start(serve.source()).await;
    let here = tempfile::tempdir().unwrap();
    std::fs::write(here.path().join("a"), "hello").unwrap();
    // The session is decided while serve is there.
    assert_eq!(say(&running, here.path(), &["artifact", "get", "a"]).await.0, 1);
    serve.down();
    let mut putting = command(&running, here.path(), &["artifact", "put", "a", "a"]).spawn().unwrap();
    let printed = Printed::new();
    printed.read(putting.stderr.take().unwrap());
    printed.wait("artifact a: serve does not answer: try again; it is tried again for").await;
    serve.blobs.trouble(Trouble { at: At::Send, status: 500, done: false });
    serve.up().await;
    let ended = timeout(PATIENCE, putting.wait()).await.expect("it ends").unwrap();
    assert_eq!(ended.code(), Some(0), "{}", printed.all());
    assert_eq!(serve.blobs.bytes("artifacts/a").unwrap(), b"hello");
}

#[tokio::test]
async fn caches_are_hit_missed_and_named_by_what_files_hold() {
    let serve = FakeServe::start(&[]).await;
    let running = start(serve.source()).await;
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for dir in [&here, &there] {
        std::fs::write(dir.path().join("lock"), "1").unwrap();
    }
    std::fs::create_dir(here.path().join("deps")).unwrap();
    std::fs::write(here.path().join("deps/a"), "dep").unwrap();
    let restore = ["cache", "restore", "k-{hash}", "--hash", "lock"];
    let (code, out, err) = say(&running, there.path(), &restore).await;
    assert!(code == 0 && out.ends_with(": miss\n"), "{out}{err}");
    let save = ["cache", "save", "k-{hash}", "deps", "--hash", "lock"];
    assert!(say(&running, here.path(), &save).await.1.contains("kept"));
    assert!(say(&running, here.path(), &save).await.1.contains("is there already"));
    let (_, out, _) = say(&running, there.path(), &restore).await;
    assert!(out.ends_with(": hit, 3 bytes\n"), "{out}");
    assert_eq!(std::fs::read_to_string(there.path().join("deps/a")).unwrap(), "dep");
    std::fs::write(there.path().join("lock"), "2").unwrap();
    assert!(say(&running, there.path(), &restore).await.1.ends_with(": miss\n"));
    for arguments in [
        &["cache", "restore", "k-{hash}"][..],
        &["cache", "restore", "k", "--hash", "lock"],
        &["cache", "save", "k", "no"],
    ] {
        assert_eq!(say(&running, here.path(), arguments).await.0, 2, "{arguments:?}");
    }
}

#[tokio::test]
async fn a_build_without_caches_goes_on() {
    let serve = FakeServe::start(&[]).await;
    serve.blobs.keep_nothing();
    let running = start(serve.source()).await;
    let here = tempfile::tempdir().unwrap();
    std::fs::write(here.path().join("a"), "x").unwrap();
    let (code, _, err) = say(&running, here.path(), &["cache", "save", "k", "a"]).await;
    assert!(code == 0 && err.contains("goes on without the cache"), "{err}");
    assert_eq!(say(&running, here.path(), &["artifact", "put", "a", "a"]).await.0, 3);
}

#[tokio::test]
async fn programs_get_one_json_object_a_verb() {
    let serve = FakeServe::start(&[]).await;
    let running = start(serve.source()).await;
    let here = tempfile::tempdir().unwrap();
    std::fs::write(here.path().join("a"), "hello").unwrap();
    let object = async |typed: &str| {
        let typed: Vec<&str> = typed.split(' ').chain(["--json"]).collect();
        let (code, out, err) = say(&running, here.path(), &typed).await;
        assert!(code == 0 && err.is_empty() && out.lines().count() == 1, "{typed:?}: {out}{err}");
        serde_json::from_str::<Value>(&out).unwrap()
    };
    let sum = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    let kept = json!({"id": "one", "size": 5, "sha256": sum, "packing": "file"});
    assert_eq!(object("artifact put one a").await, kept);
    assert_eq!(object("artifact list").await[0]["sha256"], sum);
    let got = json!({"id": "one", "entries": 1, "bytes": 5, "directory": "d"});
    assert_eq!(object("artifact get one d").await, got);
    assert_eq!(object("artifact put late a --at-end --always").await, json!({"id": "late", "when": "always"}));
    let missed = json!({"key": "k-1", "hit": false, "restored": null, "bytes": null});
    assert_eq!(object("cache restore k-1").await, missed);
    let saved = object("cache save k-1 a").await;
    assert_eq!((&saved["key"], &saved["kept"]), (&json!("k-1"), &json!(true)), "{saved}");
    assert_eq!(object("cache save k-1 a").await, json!({"key": "k-1", "kept": false}));
    let hit = json!({"key": "k-1", "hit": true, "restored": "k-1", "bytes": 5});
    assert_eq!(object("cache restore k-1").await, hit);
}
