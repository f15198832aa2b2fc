//! The checkout a script works in, and the scripts that cannot be run.

use albatros::domain::outcome::Outcome;

use super::{Machine, failed_with};

#[tokio::test]
async fn the_workspace_is_a_clean_checkout_of_exactly_the_commit_in_which_git_works() {
    let machine = Machine::new();
    let commit = machine
        .script("#!/bin/sh\nset -e\npwd -P\ngit status --porcelain\ngit rev-parse HEAD\ngit log --oneline | wc -l\n");
    machine.script("#!/bin/sh\necho newer\n");
    std::fs::write(machine.source().join("untracked"), "").unwrap();
    let said = machine.build_order(&machine.order(&commit)).await;
    let lines: Vec<_> = said.stdout.lines().collect();
    assert!(lines[0].ends_with("/workspace"), "{} {}", said.stdout, said.stderr);
    assert_eq!(lines[1..], [commit.as_str(), "1"], "{}", said.stderr);
}

#[tokio::test]
async fn nothing_done_in_the_workspace_reaches_the_repository_it_came_from() {
    let machine = Machine::new();
    let commit = machine.script(
        "#!/bin/sh\nset -e\ngit config user.name x; git config user.email x@example.com\n\
         git commit -q --allow-empty -m x; git branch -f main HEAD; git tag t; git gc -q --prune=now; git remote -v\n\
         find .git/objects -type f -links +1\n",
    );
    let before = machine.git(&["for-each-ref"]);
    let said = machine.build_order(&machine.order(&commit)).await;
    assert_eq!((said.outcome, said.stdout.as_str()), (Outcome::Success, ""), "{}", said.stderr);
    assert_eq!(machine.git(&["for-each-ref"]), before);
    machine.git(&["fsck", "--strict"]);
    assert_eq!(machine.git(&["rev-parse", "HEAD"]), commit);
}

#[tokio::test]
async fn hooks_and_filters_of_the_repository_are_not_run() {
    let machine = Machine::new();
    let trap = machine.room.path().join("trap");
    std::fs::write(machine.source().join(".git/hooks/post-checkout"), format!("#!/bin/sh\ntouch {}\n", trap.display()))
        .unwrap();
    std::fs::write(machine.source().join(".gitattributes"), "* filter=evil\n").unwrap();
    let said = machine.build("#!/bin/sh\necho ok\n").await;
    assert_eq!(said.stdout, "ok\n", "{}", said.stderr);
    assert!(!trap.exists());
}

#[tokio::test]
async fn a_repository_without_script_says_so_and_fails() {
    let machine = Machine::new();
    let commit = machine.file("README", "hello\n", 0o644);
    let said = machine.build_order(&machine.order(&commit)).await;
    assert_eq!(said.outcome, failed_with(1));
    assert_eq!(said.stderr, format!("albatros: no .albatros in {commit}\n"));
}

#[tokio::test]
async fn without_the_executable_bit_the_first_line_decides_and_the_log_says_so() {
    let machine = Machine::new();
    let commit = machine.file(".albatros", "#!/bin/sh -e\necho \"$0\"; false; echo not reached\n", 0o644);
    let said = machine.build_order(&machine.order(&commit)).await;
    assert_eq!(said.outcome, failed_with(1));
    assert!(said.stdout.ends_with("/.albatros\n"), "{}", said.stdout);
    assert_eq!(said.stderr, "albatros: .albatros has no executable bit; running it with /bin/sh\n");
}

#[tokio::test]
async fn neither_bit_nor_first_line_is_a_failure_with_a_sentence() {
    let machine = Machine::new();
    let commit = machine.file(".albatros", "echo hello\n", 0o644);
    let said = machine.build_order(&machine.order(&commit)).await;
    assert_eq!((said.outcome, said.stdout.as_str()), (failed_with(1), ""));
    assert!(
        said.stderr.starts_with("albatros: .albatros has neither the executable bit nor a #! line"),
        "{}",
        said.stderr
    );
}

#[tokio::test]
async fn an_interpreter_that_is_not_there_is_named() {
    let machine = Machine::new();
    let said = machine.build("#!/bin/sh\r\necho hello\r\n").await;
    assert_eq!(said.outcome, failed_with(127));
    assert!(said.stderr.contains("\"/bin/sh\\r\""), "{}", said.stderr);
}
