//! Submodules and LFS: where the configuration asks for them, and as carefully as the repository itself.

use serde_json::json;

use super::super::fake::repos::{Repos, basic};
use super::{Group, PASSWORD};

/// A repository with one submodule at `lib`; gives the group that builds it.
fn with_submodule(repos: Repos, url: &str, commit: &str) -> Group {
    let work = repos.work("hello");
    work.script("#!/bin/sh\ncat lib/file\ngit submodule status\n");
    work.submodule("lib", url, commit);
    let commit = work.publish();
    let mut group = Group::new(repos, "hello", &commit);
    group.checkout["submodules"] = json!(true);
    group
}

fn library(repos: &Repos, text: &str) -> String {
    let work = repos.work("lib");
    work.file("file", text);
    work.publish()
}

#[tokio::test]
async fn a_submodule_of_the_same_forge_is_fetched_with_the_token_of_a_trusted_build() {
    let repos = Repos::start().await;
    let commit = library(&repos, "from the library\n");
    let mut group = with_submodule(repos, "../lib", &commit);
    group.credential(&group.repos.url(""));
    let (_controller, _sidecar) = group.prepared().await;
    let ended = group.exec(&[]).await;
    assert_eq!(ended.code, 0, "{}", ended.err);
    // Neither missing (-) nor another commit (+).
    assert!(ended.out.starts_with(&format!("from the library\n {commit} lib")), "{}", ended.out);
}

#[tokio::test]
async fn submodules_are_left_out_unless_asked_for() {
    let repos = Repos::start().await;
    let commit = library(&repos, "x");
    let mut group = with_submodule(repos, "../lib", &commit);
    group.checkout["submodules"] = json!(false);
    let (_controller, _sidecar) = group.prepared().await;
    assert!(!group.workspace().join("lib/file").exists());
}

#[tokio::test]
async fn a_submodule_of_another_host_does_not_get_the_token() {
    let (repos, other) = (Repos::start().await, Repos::start().await);
    let commit = library(&other, "x");
    let mut group = with_submodule(repos, &other.url("lib"), &commit);
    group.credential(&group.repos.url(""));
    let (_controller, _sidecar) = group.prepared().await;
    assert!(group.workspace().join("lib/file").exists());
    assert!(group.repos.shown().contains(&basic(PASSWORD)));
    assert!(other.requests() > 0 && other.shown().is_empty(), "{:?}", other.shown());
}

#[tokio::test]
async fn a_submodule_in_a_submodule_is_fetched_too() {
    let repos = Repos::start().await;
    let inner = library(&repos, "innermost");
    let middle = repos.work("middle");
    middle.submodule("deep/er", "../lib", &inner);
    let commit = middle.publish();
    let group = with_submodule(repos, "../middle", &commit);
    let (_controller, _sidecar) = group.prepared().await;
    assert_eq!(std::fs::read_to_string(group.workspace().join("lib/deep/er/file")).unwrap(), "innermost");
}

#[tokio::test]
async fn submodules_that_could_read_or_run_something_are_refused() {
    let trap = tempfile::tempdir().unwrap();
    let file = trap.path().join("sprung");
    for url in [
        "file:///etc".to_owned(),
        trap.path().display().to_string(),
        format!("ext::touch {}", file.display()),
        "ssh://-oProxyCommand=touch/x".to_owned(),
        "git@git.example:o/r".to_owned(),
        "-u./x".to_owned(),
        "../../../x".to_owned(),
        "http://user:pass@127.0.0.1:1/x".to_owned(),
    ] {
        let repos = Repos::start().await;
        let commit = library(&repos, "x");
        let group = with_submodule(repos, &url, &commit);
        let (_controller, _sidecar, ended) = group.prepare().await;
        assert_eq!(ended.code, 66, "{url}: {}", ended.err);
        assert!(ended.err.contains("submodule \"lib\""), "{url}: {}", ended.err);
        assert!(!ended.err.contains("user:pass"), "{}", ended.err);
        assert!(!file.exists(), "{url}");
    }
}

#[tokio::test]
async fn a_name_that_is_a_path_is_only_a_name() {
    let repos = Repos::start().await;
    let commit = library(&repos, "x");
    let work = repos.work("hello");
    work.script("#!/bin/sh\n");
    work.named_submodule("../../../../escaped", "lib", "../lib", &commit);
    let commit = work.publish();
    let mut group = Group::new(repos, "hello", &commit);
    group.checkout["submodules"] = json!(true);
    let (_controller, _sidecar) = group.prepared().await;
    assert!(group.workspace().join("lib/.git").is_dir());
    let found = super::files(group.room.path()).into_iter().find(|file| file.to_string_lossy().contains("escaped"));
    assert_eq!(found, None);
}

#[tokio::test]
async fn what_another_host_says_to_a_submodules_fetch_is_not_repeated() {
    for repeated in [false, true] {
        let (repos, other) = (Repos::start().await, Repos::start().await);
        let commit = library(&repos, "x");
        let url = if repeated { "../lib".to_owned() } else { other.url("lib") };
        let host = if repeated { &repos } else { &other };
        host.says_for("/lib", "internal-only");
        let group = with_submodule(repos, &url, &commit);
        let (_controller, _sidecar, prepared) = group.prepare().await;
        assert_eq!(prepared.code, 66, "{}", prepared.err);
        assert_eq!(prepared.err.contains("internal-only"), repeated, "{}", prepared.err);
    }
}

/// Whether `git lfs` is here; where not, its absence is a sentence, which is tested then.
fn lfs_is_here() -> bool {
    std::process::Command::new("git").args(["lfs", "version"]).output().unwrap().status.success()
}

fn with_lfs(repos: &Repos, more: &[(&str, &str)]) -> String {
    let work = repos.work("hello");
    work.file(".gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n");
    work.file("big.bin", &repos.lfs("all of the large file\n"));
    for (name, text) in more {
        work.file(name, text);
    }
    work.script("#!/bin/sh\ncat big.bin\ngit status --short\n");
    work.publish()
}

#[tokio::test]
async fn files_of_lfs_are_pointers_unless_asked_for() {
    let repos = Repos::start().await;
    let commit = with_lfs(&repos, &[]);
    let mut group = Group::new(repos, "hello", &commit);
    group.credential(&group.url.clone());
    let (_controller, _sidecar) = group.prepared().await;
    let pointer = std::fs::read_to_string(group.workspace().join("big.bin")).unwrap();
    assert!(pointer.starts_with("version https://git-lfs"), "{pointer}");
}

#[tokio::test]
async fn files_of_lfs_come_with_the_token_and_leave_it_nowhere() {
    let repos = Repos::start().await;
    let commit = with_lfs(&repos, &[]);
    let mut group = Group::new(repos, "hello", &commit);
    group.credential(&group.repos.url(""));
    group.checkout["lfs"] = json!(true);
    let (_controller, _sidecar, prepared) = group.prepare().await;
    if !lfs_is_here() {
        assert_eq!(prepared.code, 66);
        assert!(prepared.err.contains("git-lfs is not installed"), "{}", prepared.err);
        return;
    }
    assert_eq!(prepared.code, 0, "{}", prepared.err);
    let ended = group.exec(&[]).await;
    assert_eq!((ended.code, ended.out.as_str()), (0, "all of the large file\n"), "{}", ended.err);
    for file in super::files(&group.workspace()) {
        let text = String::from_utf8_lossy(&std::fs::read(&file).unwrap()).into_owned();
        assert!(!text.contains(PASSWORD) && !text.contains(&basic(PASSWORD)), "{}", file.display());
    }
}

#[tokio::test]
async fn an_lfs_server_that_the_repository_names_does_not_get_the_token() {
    let (repos, other) = (Repos::start().await, Repos::start().await);
    other.lfs("all of the large file\n");
    let config = format!("[lfs]\n\turl = {}\n", other.url("files"));
    let commit = with_lfs(&repos, &[(".lfsconfig", &config)]);
    let mut group = Group::new(repos, "hello", &commit);
    group.credential(&group.repos.url(""));
    group.checkout["lfs"] = json!(true);
    let (_controller, _sidecar, prepared) = group.prepare().await;
    assert!(!lfs_is_here() || prepared.code == 0, "{}", prepared.err);
    assert!(other.shown().is_empty() && (!lfs_is_here() || other.requests() > 0), "{:?}", other.shown());
}

#[tokio::test]
async fn an_lfs_server_that_is_a_file_or_a_program_is_refused() {
    for url in ["file:///etc", "ssh://-oProxyCommand=x/y", "/etc"] {
        let repos = Repos::start().await;
        let commit = with_lfs(&repos, &[(".lfsconfig", &format!("[lfs]\n\turl = {url}\n"))]);
        let mut group = Group::new(repos, "hello", &commit);
        group.checkout["lfs"] = json!(true);
        let (_controller, _sidecar, prepared) = group.prepare().await;
        assert_eq!(prepared.code, 66, "{url}: {}", prepared.err);
        assert!(prepared.err.contains(".lfsconfig cannot be fetched from"), "{}", prepared.err);
    }
}
