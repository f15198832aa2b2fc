//! `ALBATROS_NETWORK=none`: nothing but a loopback, or no script at all.

use super::{Ended, Group, ended, is_root};

const SCRIPT: &str = "#!/bin/sh\n\
    tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '\n\
    id -u\n\
    [ -s \"$SECRET_PATH\" ] && echo secrets\n\
    [ -S \"${ALBATROS_API#unix:}\" ] && echo socket\n\
    grep -c ' 00000000:0016 ' /proc/net/tcp\n\
    echo hello >file && cat file\n";

async fn isolated(uid: Option<u32>) -> Ended {
    let mut group = Group::of(SCRIPT).await;
    group.answers.params = Some("A=1\n".to_owned());
    let (_controller, _sidecar) = group.prepared().await;
    let mut exec = group.task_of(&group.alloc().join("bin/albatros"), &["exec"]);
    exec.env("ALBATROS_NETWORK", "none");
    if let Some(uid) = uid {
        exec.uid(uid).gid(uid);
    }
    ended(exec).await
}

/// Where the system forbids such namespaces, the script must not have run.
fn assert_alone(ended: &Ended, uid: u32) {
    if ended.err.contains("lets no user make a network namespace") {
        assert_eq!((ended.code, ended.out.as_str()), (125, ""));
        return;
    }
    assert_eq!(
        (ended.code, ended.out.clone()),
        (0, format!("lo\n{uid}\nsecrets\nsocket\n0\nhello\n")),
        "{}",
        ended.err
    );
}

#[tokio::test]
async fn a_script_is_alone_with_its_loopback_and_its_controller() {
    assert_alone(&isolated(None).await, rustix::process::geteuid().as_raw());
}

#[tokio::test]
async fn the_same_as_any_user() {
    if !is_root() {
        eprintln!("skipped: needs root to take another user");
        return;
    }
    assert_alone(&isolated(Some(65_534)).await, 65_534);
}

#[tokio::test]
async fn its_loopback_works() {
    // A loopback that is down says that the network is unreachable.
    let script = "#!/bin/bash\nexec 2>&1\n(exec 3<>/dev/tcp/127.0.0.1/9)\n:\n";
    let group = Group::of(script).await;
    let (_controller, _sidecar) = group.prepared().await;
    let ended = group.exec(&[("ALBATROS_NETWORK", "none")]).await;
    if ended.code != 125 {
        assert!(ended.out.contains("Connection refused"), "{} {}", ended.out, ended.err);
    }
}

#[tokio::test]
async fn without_a_network_nothing_is_fetched_and_words_that_are_none_are_refused() {
    let group = Group::of("#!/bin/sh\n").await;
    for (word, said) in [("none", "ALBATROS_NETWORK=none"), ("off", "ALBATROS_NETWORK: expected none or host")] {
        let mut exec = group.task(&["exec"]);
        exec.env("ALBATROS_NETWORK", word);
        let ended = ended(exec).await;
        assert_eq!(ended.code, 125);
        assert!(ended.err.contains(said), "{}", ended.err);
    }
    assert_eq!(group.repos.requests(), 0);
}
