//! A forge token is shown to its forge, and to nobody else.

use super::super::fake::repos::{Repos, basic};
use super::{Group, LONG, PASSWORD, end_of, files, stop};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The token as it stands, and as basic authentication writes it.
fn spellings() -> [String; 2] {
    [PASSWORD.to_owned(), STANDARD.encode(format!("albatros:{PASSWORD}"))]
}

fn holds_credential(bytes: &[u8]) -> bool {
    spellings().iter().any(|spelling| bytes.windows(spelling.len()).any(|part| part == spelling.as_bytes()))
}

/// Every argument of every process.
fn arguments() -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let processes = entries.filter(|entry| entry.file_name().to_str().is_some_and(|name| name.parse::<u32>().is_ok()));
    processes.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok()).collect()
}

#[tokio::test]
async fn a_private_repository_is_cloned_and_its_token_is_left_nowhere() {
    let mut group = Group::of("#!/bin/sh\nexit 0\n").await;
    group.credential(&group.url.clone());
    group.repos.hold(true);
    let _controller = group.controller();
    let _sidecar = group.task(&["sidecar"]).spawn().unwrap();
    let prepare = group.task(&["sidecar", "prepare"]).spawn().unwrap();
    group.repos.asked(1).await;
    let all = arguments();
    let asking = format!("{}\0", group.url);
    assert!(all.iter().any(|one| String::from_utf8_lossy(one).contains(&asking)), "git is there");
    assert!(!all.iter().any(|one| holds_credential(one)));
    group.repos.hold(false);
    let ended = end_of(prepare).await;
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(group.workspace().join(".albatros").exists());
    assert!(group.repos.shown().iter().all(|shown| *shown == basic(PASSWORD)) && !group.repos.shown().is_empty());
    for file in files(&group.workspace()) {
        assert!(!holds_credential(&std::fs::read(&file).unwrap()), "{}", file.display());
    }
    assert!(!holds_credential(ended.err.as_bytes()) && !holds_credential(ended.out.as_bytes()));
}

#[tokio::test]
async fn a_token_with_another_scope_is_not_shown() {
    let mut group = Group::of("#!/bin/sh\n").await;
    group.credential("http://127.0.0.1:1/");
    let (_controller, _sidecar, ended) = group.prepare().await;
    assert_eq!(ended.code, 66, "{}", ended.err);
    assert!(group.repos.shown().is_empty(), "{:?}", group.repos.shown());
}

#[tokio::test]
async fn where_the_forge_sends_us_elsewhere_the_token_stays() {
    let (old, new) = (Repos::start().await, Repos::start().await);
    let work = new.work("hello");
    work.script("#!/bin/sh\n");
    let commit = work.publish();
    old.moved(&new);
    let mut group = Group::new(old, "hello", &commit);
    group.credential(&group.url.clone());
    let (_controller, _sidecar) = group.prepared().await;
    assert!(group.workspace().join(".albatros").exists(), "what is everybody's is found at its new address");
    assert!(!group.repos.shown().is_empty());
    assert!(new.requests() > 0 && new.shown().is_empty(), "{:?}", new.shown());
}

#[tokio::test]
async fn a_private_repository_that_has_moved_is_a_sentence_of_its_own() {
    let (old, new) = (Repos::start().await, Repos::start().await);
    let work = new.work("hello");
    work.script("#!/bin/sh\n");
    let commit = work.publish();
    new.password(PASSWORD);
    old.moved(&new);
    let mut group = Group::new(old, "hello", &commit);
    group.credential(&group.url.clone());
    let (_controller, _sidecar, ended) = group.prepare().await;
    assert_eq!(ended.code, 66, "{}", ended.err);
    assert!(ended.err.contains("configure the repository's new address"), "{}", ended.err);
    assert!(new.shown().is_empty(), "{:?}", new.shown());
}

#[tokio::test]
async fn prepare_that_is_stopped_leaves_no_git_behind() {
    let mut group = Group::of("#!/bin/sh\n").await;
    group.credential(&group.url.clone());
    group.repos.hold(true);
    let _controller = group.controller();
    let prepare = group.task(&["sidecar", "prepare"]).spawn().unwrap();
    group.repos.asked(1).await;
    stop(&prepare);
    let ended = end_of(prepare).await;
    assert_eq!(ended.code, 143, "{}", ended.err);
    let gone = async {
        while arguments().iter().any(|one| String::from_utf8_lossy(one).contains(&group.url)) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, gone).await.expect("git and its helpers end");
}
