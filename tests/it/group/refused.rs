//! Why there is no workspace: each reason its own sentence and exit code.

use super::super::fake::repos::Repos;
use super::{Ended, Group, end_of, ended};

const SCRIPT: &str = "#!/bin/sh\n";

async fn refused(group: &Group) -> Ended {
    let (_controller, _sidecar, ended) = group.prepare().await;
    assert!(!ended.err.contains("terminal prompts disabled\n") || ended.err.contains(": the forge"), "{}", ended.err);
    ended
}

fn assert_says(ended: &Ended, code: i32, words: &str) {
    assert_eq!(ended.code, code, "{}", ended.err);
    assert!(ended.err.contains(words), "{}", ended.err);
}

#[tokio::test]
async fn a_wrong_token_is_told_from_none() {
    let mut group = Group::of(SCRIPT).await;
    group.credential(&group.url.clone());
    group.repos.password("another");
    assert_says(&refused(&group).await, 66, "refuses the forge token of the repository's configuration");

    let group = Group::of(SCRIPT).await;
    group.repos.password("another");
    assert_says(&refused(&group).await, 66, "the repository is private, or is not there");
}

#[tokio::test]
async fn a_repository_that_is_gone_a_forge_that_forbids_and_one_in_trouble_are_told_apart() {
    let group = Group::of(SCRIPT).await;
    group.repos.work("hello").unpublish();
    assert_says(&refused(&group).await, 66, "there is no such repository, or it is private");
    for (status, words) in [(403, "the forge forbids it"), (503, "the forge cannot be reached")] {
        let group = Group::of(SCRIPT).await;
        group.repos.trouble(Some(status));
        assert_says(&refused(&group).await, 66, words);
    }
    let mut group = Group::of(SCRIPT).await;
    group.url = "http://127.0.0.1:1/hello".to_owned();
    assert_says(&refused(&group).await, 66, "the forge cannot be reached");
}

#[tokio::test]
async fn a_commit_that_is_gone_is_no_trouble_of_the_forge() {
    let mut group = Group::of(SCRIPT).await;
    group.commit = "0123456789012345678901234567890123456789".to_owned();
    let commit = group.commit.clone();
    assert_says(&refused(&group).await, 65, &format!("commit {commit} is not on refs/heads/main"));

    let mut group = Group::of(SCRIPT).await;
    let work = group.repos.work("hello");
    work.git(&["branch", "-m", "main", "other"]);
    work.publish();
    group.commit = commit;
    assert_says(&refused(&group).await, 65, "refs/heads/main is not there (any more)");
}

#[tokio::test]
async fn a_forge_that_is_down_for_a_moment_is_asked_again() {
    let group = Group::of(SCRIPT).await;
    group.repos.trouble(Some(502));
    let _controller = group.controller();
    let _sidecar = group.task(&["sidecar"]).spawn().unwrap();
    let mut prepare = group.task(&["sidecar", "prepare"]);
    let prepare = prepare.env("ALBATROS_FETCH_LIMIT", "1m").spawn().unwrap();
    group.repos.asked(1).await;
    group.repos.trouble(None);
    let ended = end_of(prepare).await;
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(ended.err.contains("; trying again in 1 s"), "{}", ended.err);
}

#[tokio::test]
async fn what_the_controller_refuses_is_told_by_its_kind() {
    for (status, kind, code) in
        [(422, "urn:albatros:commit-gone", 65), (422, "urn:albatros:no-answer", 69), (403, "about:blank", 69)]
    {
        let mut group = Group::of(SCRIPT).await;
        group.answers.refusal = Some((status, kind));
        let ended = refused(&group).await;
        assert_says(&ended, code, &format!("albatros: refused with {status}"));
        assert!(!group.workspace().exists());
    }
}

#[tokio::test]
async fn a_task_that_is_set_up_wrongly_says_what_is_missing() {
    let group = Group::of(SCRIPT).await;
    for (args, name, value, words) in [
        (&["sidecar", "prepare"][..], "NOMAD_ALLOC_DIR", "", "NOMAD_ALLOC_DIR is not set"),
        (&["sidecar", "prepare"], "ALBATROS_FETCH_LIMIT", "soon", "ALBATROS_FETCH_LIMIT is no duration"),
        (&["sidecar"], "ALBATROS_DISK_LIMIT", "lots", "ALBATROS_DISK_LIMIT is no size"),
        (&["sidecar"], "NOMAD_ALLOC_DIR", "/nonexistent", "NOMAD_ALLOC_DIR cannot be looked at"),
    ] {
        let mut task = group.task(args);
        task.env(name, value);
        assert_says(&ended(task).await, 78, words);
    }
}

#[tokio::test]
async fn nothing_that_a_machine_or_a_repository_configures_is_run() {
    let repos = Repos::start().await;
    let trap = tempfile::tempdir().unwrap();
    let sprung = trap.path().join("sprung");
    let touch = format!("touch {}", sprung.display());
    let work = repos.work("hello");
    work.file(".gitattributes", "* filter=trap diff=trap merge=trap\n*.c ident\n");
    work.file(
        ".gitconfig",
        &format!("[filter \"trap\"]\n\tsmudge = {touch}\n\tprocess = {touch}\n\trequired = true\n"),
    );
    work.file("hooks/post-checkout", &format!("#!/bin/sh\n{touch}\n"));
    work.script(SCRIPT);
    let commit = work.publish();
    let group = Group::new(repos, "hello", &commit);
    let home = trap.path().join("home");
    std::fs::create_dir_all(home.join("templates/hooks")).unwrap();
    let hook = home.join("templates/hooks/post-checkout");
    std::fs::write(&hook, format!("#!/bin/sh\n{touch}\n")).unwrap();
    std::fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let configuration = format!(
        "[filter \"trap\"]\n\tsmudge = {touch}\n[init]\n\ttemplateDir = {home}/templates\n\
         [core]\n\thooksPath = {home}/templates/hooks\n\tfsmonitor = {touch}\n[credential]\n\thelper = !{touch}\n",
        home = home.display()
    );
    std::fs::write(home.join(".gitconfig"), configuration).unwrap();
    let _controller = group.controller();
    let _sidecar = group.task(&["sidecar"]).spawn().unwrap();
    let mut prepare = group.task(&["sidecar", "prepare"]);
    prepare
        .env("HOME", &home)
        .env("GIT_CONFIG_GLOBAL", home.join(".gitconfig"))
        .env("GIT_TEMPLATE_DIR", home.join("templates"));
    prepare.env("GIT_SSH_COMMAND", &touch).env("GIT_ASKPASS", &hook).env("GIT_EXTERNAL_DIFF", &hook);
    let prepared = ended(prepare).await;
    assert_eq!(prepared.code, 0, "{}", prepared.err);
    assert!(!sprung.exists());
    assert!(!group.workspace().join(".git/hooks").exists());
}
