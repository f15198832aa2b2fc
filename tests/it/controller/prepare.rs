//! Before the script starts: files, sockets and the two trusted tasks.

use std::os::unix::fs::PermissionsExt as _;

use albatros::api::controller::Controller;
use albatros::controller::Source;
use albatros::domain::secret::Secret;
use rustix::fs::{Mode, OFlags, open};

use super::{given, start, start_in};

#[tokio::test]
async fn sockets_and_tokens_can_be_used_by_whom_they_are_for() {
    let running = start(given(true)).await;
    for (name, mode) in [
        ("albatros.sock", 0o666),
        ("albatros.token", 0o644),
        ("albatros-trusted.sock", 0o600),
        ("albatros-trusted.token", 0o600),
    ] {
        let found = std::fs::metadata(running.dir.join(name)).unwrap().permissions().mode();
        assert_eq!(found & 0o777, mode, "{name}");
    }
    assert_eq!((running.script.len(), running.trusted.len()), (64, 64));
    assert_ne!(running.script, running.trusted);
    assert_eq!(std::fs::read_dir(&running.dir).unwrap().count(), 4, "nothing else is left");
}

#[tokio::test]
async fn what_an_earlier_controller_left_is_replaced() {
    let first = start(given(true)).await;
    let folder = tempfile::tempdir_in(&first.dir).unwrap();
    for name in ["albatros.sock", "albatros-trusted.sock", "albatros.token"] {
        std::fs::write(folder.path().join(name), "old").unwrap();
    }
    let dir = folder.path().to_owned();
    let second = start_in(folder, dir, given(true)).await;
    assert_eq!(second.as_script().build().await.unwrap().id, "builder/dispatch-1-a");
    assert_ne!(second.script, first.script);
}

#[tokio::test]
async fn the_sidecar_keeps_its_way_in_when_the_files_are_gone() {
    let running = start(given(true)).await;
    let socket = open(running.trusted_socket(), OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap();
    let sidecar = Controller::through(socket, Secret::new(running.trusted.as_str())).unwrap();
    sidecar.attach().await.unwrap();
    running.as_trusted().prepared().await.unwrap();
    // Whatever the script now puts there, the sidecar asks the one it opened.
    std::fs::write(running.trusted_socket(), "").unwrap();
    assert_eq!(sidecar.build().await.unwrap().id, "builder/dispatch-1-a");
    assert!(running.as_trusted().build().await.is_err());
}

#[tokio::test]
async fn paths_may_be_longer_than_a_sockets_address() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("a".repeat(100)).join("b".repeat(100));
    std::fs::create_dir_all(&dir).unwrap();
    let running = start_in(folder, dir, given(true)).await;
    assert!(running.socket().as_os_str().len() > 200);
    assert_eq!(running.as_script().param("SECRET1").await.unwrap().unwrap().expose(), "xx");
    assert_eq!(running.as_trusted().build().await.unwrap().id, "builder/dispatch-1-a");
}

#[tokio::test]
async fn a_workspace_is_made_as_the_grant_says() {
    let running = start(given(true)).await;
    let workspace = running.as_trusted().workspace().await.unwrap();
    assert_eq!(workspace.build.facts, super::facts(true));
    assert!(workspace.checkout.submodules && !workspace.checkout.lfs && workspace.notice.is_none());
    assert_eq!(workspace.checkout.credential.unwrap().password.expose(), "c0ffee");
}

#[tokio::test]
async fn without_a_session_the_workspace_says_why_and_has_no_credential() {
    let running = start(Source::Nowhere("it was dispatched by hand".to_owned())).await;
    let workspace = running.as_trusted().workspace().await.unwrap();
    assert_eq!(workspace.notice.as_deref(), Some("it was dispatched by hand"));
    assert!(workspace.checkout.credential.is_none() && !workspace.build.facts.trusted);
}
