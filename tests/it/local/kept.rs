//! Workspaces of failed builds.

use albatros::domain::outcome::Outcome;

use super::{Machine, REPO_URL, failed_with};

#[tokio::test]
async fn the_workspace_of_a_failed_build_is_kept_until_the_next_one_is() {
    let machine = Machine::new();
    let kept = machine.keep().workspace(REPO_URL);
    assert_eq!(
        machine.build("#!/bin/sh\ntouch first; mkdir -p a/b; chmod 500 a/b a\nexit 1\n").await.outcome,
        failed_with(1)
    );
    assert!(kept.join("first").exists() && kept.join(".albatros").exists());
    assert_eq!(machine.build("#!/bin/sh\ntouch second\n").await.outcome, Outcome::Success);
    assert!(kept.join("first").exists() && !kept.join("second").exists());
    assert_eq!(machine.build("#!/bin/sh\ntouch third\nkill -KILL $$\n").await.outcome, failed_with(137));
    assert!(kept.join("third").exists() && !kept.join("first").exists());
    assert_eq!(std::fs::read_dir(machine.keep().dir).unwrap().count(), 1);
}
