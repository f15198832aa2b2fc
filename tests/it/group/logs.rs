//! `albatros sidecar`: the script's log is archived, whole, with its secrets hidden.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;

use tokio::process::Child;

use super::{Group, end_of, stop};
use crate::fake::controller::FakeController;

/// A build whose log is archived.
struct Archived {
    group: Group,
    controller: FakeController,
    sidecar: Child,
}

impl Archived {
    async fn start(masks: &[&'static str]) -> Self {
        let mut group = Group::of("").await;
        std::fs::create_dir(group.alloc().join("logs")).unwrap();
        group.answers.masks = Some(masks.to_vec());
        let controller = group.controller();
        let sidecar = group.task(&["sidecar"]).spawn().unwrap();
        controller.called("GET /v1/masks").await;
        Self { group, controller, sidecar }
    }

    fn path(&self, number: u64) -> PathBuf {
        self.group.alloc().join(format!("logs/executor.stdout.{number}"))
    }

    fn print(&self, number: u64, text: &str) {
        let file = File::options().create(true).append(true).open(self.path(number));
        file.unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// The script ends; what has been archived when the sidecar has ended, and what it said.
    async fn end(self) -> (String, Option<u64>, String) {
        stop(&self.sidecar);
        let ended = end_of(self.sidecar).await;
        assert_eq!(ended.code, 0, "{}", ended.err);
        (self.controller.archived(), self.controller.archived_end(), ended.err)
    }
}

#[tokio::test]
async fn a_log_is_archived_while_it_is_written_and_its_rest_at_the_end() {
    let build = Archived::start(&["s3cr3t"]).await;
    build.print(0, "hello s3c");
    build.controller.called("PUT /v1/log/stdout/0").await;
    assert_eq!(build.controller.archived(), "hello ", "what may be the beginning of a secret is held back");
    build.print(0, "r3t\n");
    build.print(1, "next file\n");
    let (text, end, said) = build.end().await;
    assert_eq!(text, "hello ***\nnext file\n");
    assert_eq!((end, said.as_str()), (Some(text.len() as u64), ""));
}

#[tokio::test]
async fn what_comes_while_nobody_takes_it_is_archived_later() {
    let build = Archived::start(&[]).await;
    build.controller.busy(true);
    build.print(0, "one\n");
    build.controller.called("PUT /v1/log/stdout/0").await;
    let many: String = (0..300_000).map(|n| format!("line {n}\n")).collect();
    build.print(0, &many);
    build.controller.busy(false);
    let (text, end, _) = build.end().await;
    assert_eq!(text, format!("one\n{many}"));
    assert_eq!(end, Some(text.len() as u64));
}

#[tokio::test]
async fn a_file_that_went_unread_is_told_in_the_archive() {
    let build = Archived::start(&[]).await;
    build.print(0, "in a line");
    build.controller.called("PUT /v1/log/stdout/0").await;
    build.print(2, "later\n");
    std::fs::remove_file(build.path(0)).unwrap();
    let (text, _, _) = build.end().await;
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(lines[1].starts_with("albatros: the log is incomplete here: 1 of its files"), "{text}");
    assert_eq!((lines[0], lines[2]), ("in a line", "later"));
}

#[tokio::test]
async fn a_script_that_printed_nothing_has_a_whole_log() {
    let build = Archived::start(&[]).await;
    assert_eq!(build.end().await, (String::new(), Some(0), String::new()));
}

#[tokio::test]
async fn where_nobody_keeps_logs_the_task_says_so_and_the_build_goes_on() {
    let group = Group::of("").await;
    std::fs::create_dir(group.alloc().join("logs")).unwrap();
    let controller = group.controller();
    let sidecar = group.task(&["sidecar"]).spawn().unwrap();
    controller.called("GET /v1/masks").await;
    stop(&sidecar);
    let ended = end_of(sidecar).await;
    assert_eq!(ended.code, 0);
    assert!(ended.err.contains("the log is not archived: refused with 404"), "{}", ended.err);
}
