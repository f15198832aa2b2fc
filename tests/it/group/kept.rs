//! What is kept when the script has ended: by the sidecar, from the workspace and nowhere else.

use serde_json::{Value, json};

use super::Group;

fn artifact(id: &str, path: &str, dir: &str) -> Value {
    json!({"kind": "artifact", "id": id, "paths": [path], "when": "success", "dir": dir})
}

#[tokio::test]
async fn what_the_script_leaves_is_kept_and_what_is_not_is_told_with_its_name() {
    let script = "#!/bin/sh\nmkdir -p d/out && echo hello > d/out/a && ln -s /etc/passwd d/evil && mkfifo d/pipe\n";
    let mut group = Group::of(script).await;
    group.answers.saves = vec![
        artifact("file", "out/a", "d"),
        artifact("link", "d/evil", ""),
        artifact("pipe", "pipe", "d"),
        artifact("none", "nothing", ""),
        artifact("up", "../albatros.token", ""),
        json!({"kind": "cache", "id": "deps", "paths": ["d/out"], "when": "success"}),
    ];
    let (controller, _sidecar) = group.prepared().await;
    assert_eq!(group.exec(&[]).await.code, 0);
    let unsaved = controller.unsaved().await;
    let reasons: Vec<_> = unsaved.as_array().unwrap().iter().map(|one| one["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons.len(), 4, "{unsaved}");
    for (reason, words) in reasons.iter().zip([
        "d/evil is a link that may lead outward",
        "pipe is a named pipe",
        "nothing is not there",
        "`..`",
    ]) {
        assert!(reason.contains(words), "{reason}");
    }
    let puts = controller.puts();
    let names: Vec<_> = puts.iter().map(|(call, _)| call.as_str()).collect();
    assert_eq!(names, ["PUT /v1/artifacts/file", "PUT /v1/caches/deps"]);
    assert_eq!(puts[0].1, b"hello\n");
}

#[tokio::test]
async fn a_workspace_that_the_script_has_replaced_by_a_link_is_not_followed() {
    let mut group = Group::of("#!/bin/sh\ncd .. && mv workspace w && ln -s /etc workspace\n").await;
    group.answers.saves = vec![artifact("passwd", "passwd", "")];
    let (controller, _sidecar) = group.prepared().await;
    assert_eq!(group.exec(&[]).await.code, 0);
    let unsaved = controller.unsaved().await;
    assert!(unsaved[0]["reason"].as_str().unwrap().contains("workspace lies behind"), "{unsaved}");
    assert!(controller.puts().is_empty());
}

#[tokio::test]
async fn a_success_is_none_when_what_was_to_be_kept_is_not() {
    for (exit, ended) in [(0, 74), (3, 3)] {
        let mut group = Group::of(&format!("#!/bin/sh\nexit {exit}\n")).await;
        group.answers.trouble = Some("artifact app could not be kept: it is gone");
        let (_controller, _sidecar) = group.prepared().await;
        let said = group.exec(&[]).await;
        assert_eq!(said.code, ended, "{}", said.err);
        assert!(said.err.contains("albatros: artifact app could not be kept: it is gone"), "{}", said.err);
    }
}

#[tokio::test]
async fn nor_is_it_one_when_nobody_can_say_what_is_kept() {
    let mut group = Group::of("#!/bin/sh\nexit 0\n").await;
    group.answers.finish_fails = true;
    let (_controller, _sidecar) = group.prepared().await;
    assert_eq!(group.exec(&[]).await.code, 74);
}
