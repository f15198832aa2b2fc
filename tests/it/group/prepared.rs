//! What `sidecar prepare` leaves, and when it ends.

use std::os::unix::fs::PermissionsExt as _;

use super::super::fake::repos::Repos;
use super::{Group, end_of};

fn mode(path: &std::path::Path) -> u32 {
    path.symlink_metadata().unwrap().permissions().mode() & 0o7777
}

#[tokio::test]
async fn any_user_of_any_image_may_work_in_the_workspace() {
    let repos = Repos::start().await;
    let work = repos.work("hello");
    work.file("a/b/c", "x");
    work.script("#!/bin/sh\n");
    let commit = work.publish();
    let group = Group::new(repos, "hello", &commit);
    let (_controller, _sidecar) = group.prepared().await;
    let workspace = group.workspace();
    for (path, wanted) in [
        ("", 0o777),
        ("a", 0o777),
        ("a/b", 0o777),
        ("a/b/c", 0o666),
        (".albatros", 0o777),
        (".git", 0o777),
        (".git/index", 0o666),
    ] {
        assert_eq!(mode(&workspace.join(path)), wanted, "{path}");
    }
    assert_eq!(mode(&group.alloc().join("bin/albatros")), 0o755);
}

#[tokio::test]
async fn prepare_ends_only_when_the_sidecar_has_attached() {
    let group = Group::of("#!/bin/sh\n").await;
    let controller = group.controller();
    let mut prepare = group.task(&["sidecar", "prepare"]).spawn().unwrap();
    controller.called("POST /v1/prepared").await;
    assert!(prepare.try_wait().unwrap().is_none());
    let _sidecar = group.task(&["sidecar"]).spawn().unwrap();
    let ended = end_of(prepare).await;
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(ended.err.contains("no session: a test"), "{}", ended.err);
    assert!(!group.alloc().join("albatros-trusted.sock").exists());
}

#[tokio::test]
async fn links_and_odd_names_in_a_tree_are_only_files() {
    let repos = Repos::start().await;
    let outside = tempfile::tempdir().unwrap();
    let work = repos.work("hello");
    std::os::unix::fs::symlink(outside.path(), work.dir.join("out")).unwrap();
    std::os::unix::fs::symlink("ci/build", work.dir.join(".albatros")).unwrap();
    work.file(&format!("long/{}", "n".repeat(255)), "x");
    work.file("ci/build", "#!/bin/sh\necho built\n");
    work.git(&["update-index", "--chmod=+x", "ci/build"]);
    let commit = work.publish();
    let group = Group::new(repos, "hello", &commit);
    let (_controller, _sidecar) = group.prepared().await;
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
    let ended = group.exec(&[]).await;
    assert_eq!((ended.code, ended.out.as_str()), (0, "built\n"), "{}", ended.err);
}

#[tokio::test]
async fn a_script_that_is_no_file_is_the_repositorys_fault() {
    for target in ["/dev/zero", "."] {
        let repos = Repos::start().await;
        let work = repos.work("hello");
        std::os::unix::fs::symlink(target, work.dir.join(".albatros")).unwrap();
        work.git(&["add", "-A"]);
        let commit = work.publish();
        let group = Group::new(repos, "hello", &commit);
        let (_controller, _sidecar) = group.prepared().await;
        let ended = group.exec(&[]).await;
        assert_eq!(ended.code, 1, "{}", ended.err);
        assert!(ended.err.contains("is not a file"), "{}", ended.err);
    }
}
