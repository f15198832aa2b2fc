//! `albatros exec` in a runner group: what the script is given, and that nothing but its exit code counts.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use super::super::fake::controller::TOKEN;
use super::{Group, end_of, ended, is_root, stop};

#[tokio::test]
async fn a_script_is_given_its_parameters_and_its_api() {
    let script = "#!/bin/sh\necho \"$ALBATROS_API|$ALBATROS_TOKEN|$PATH|$SECRET_PATH\"\n\
                  stat -c %a \"$SECRET_PATH\"; cat \"$SECRET_PATH\"; git rev-parse HEAD; env | grep -c NOMAD\nexit 7\n";
    let mut group = Group::of(script).await;
    group.answers.params = Some("# secrets\nA='x y'\n".to_owned());
    let (controller, _sidecar) = group.prepared().await;
    let ended = group.exec(&[]).await;
    let (alloc, secrets) = (group.alloc(), group.room.path().join("secrets"));
    let (alloc, path) = (alloc.display(), secrets.join("albatros.params"));
    let default = albatros::sidecar::exec::DEFAULT_PATH;
    let wanted = format!(
        "unix:{alloc}/albatros.sock|{TOKEN}|{alloc}/bin:{default}|{}\n600\n# secrets\nA='x y'\n{}\n0\n",
        path.display(),
        group.commit
    );
    assert_eq!((ended.code, ended.out), (7, wanted), "{}", ended.err);
    assert!(controller.calls().iter().any(|call| call == "POST /v1/finish"), "{:?}", controller.calls());
    assert!(!path.exists());
}

#[tokio::test]
async fn a_build_that_may_have_no_parameters_has_no_secret_path() {
    let group = Group::of("#!/bin/sh\necho \"${SECRET_PATH-none}\"\n").await;
    let (_controller, _sidecar) = group.prepared().await;
    let ended = group.exec(&[("SECRET_PATH", "/etc/passwd")]).await;
    assert_eq!((ended.code, ended.out.as_str()), (0, "none\n"), "{}", ended.err);
}

#[tokio::test]
async fn a_controller_that_refuses_or_is_gone_keeps_the_script_from_starting() {
    let mut group = Group::of("#!/bin/sh\necho ran\n").await;
    group.answers.params_status = Some(410);
    let (_controller, _sidecar) = group.prepared().await;
    let refused = group.exec(&[]).await;
    assert_eq!((refused.code, refused.out.as_str()), (125, ""));
    assert!(refused.err.contains("the build's controller gives no parameters: refused with 410"), "{}", refused.err);

    std::fs::remove_file(group.alloc().join("albatros.sock")).unwrap();
    drop(std::os::unix::net::UnixListener::bind(group.alloc().join("albatros.sock")).unwrap());
    let gone = group.exec(&[]).await;
    assert_eq!((gone.code, gone.out.as_str()), (125, ""));
    assert!(gone.err.contains("the build's controller"), "{}", gone.err);
}

#[tokio::test]
async fn a_controller_in_trouble_does_not_change_how_the_script_ended() {
    let mut group = Group::of("#!/bin/sh\nexit 3\n").await;
    group.answers.finish_fails = true;
    let (_controller, _sidecar) = group.prepared().await;
    let ended = group.exec(&[]).await;
    assert_eq!(ended.code, 3, "{}", ended.err);
    assert!(ended.err.contains("report may not have been delivered"), "{}", ended.err);
}

#[tokio::test]
async fn a_script_that_replaces_the_socket_does_not_get_the_word_that_it_has_ended() {
    let mut group =
        Group::of("#!/bin/sh\nrm \"${ALBATROS_API#unix:}\"\necho x >\"${ALBATROS_API#unix:}\"\nexit 3\n").await;
    group.answers.params = Some("A=1\n".to_owned());
    let (controller, _sidecar) = group.prepared().await;
    let ended = group.exec(&[]).await;
    assert_eq!((ended.code, ended.err.as_str()), (3, ""));
    assert!(controller.calls().iter().any(|call| call == "POST /v1/finish"), "{:?}", controller.calls());
}

#[tokio::test]
async fn what_a_script_leaves_running_or_closes_does_not_hold_its_end_up() {
    let group = Group::of("#!/bin/sh\nsleep 1000 & echo $!\n(setsid sleep 1000 &)\nexec >&- 2>&-\nexit 5\n").await;
    let (_controller, _sidecar) = group.prepared().await;
    let log = group.room.path().join("log");
    let mut exec = group.task(&["exec"]);
    exec.stdout(std::fs::File::create(&log).unwrap()).stderr(Stdio::null());
    let status = tokio::time::timeout(super::LONG, exec.status()).await.expect("exec ends").unwrap();
    assert_eq!(status.code(), Some(5));
    for pid in processes_in(&group) {
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

/// What works in the build's workspace.
fn processes_in(group: &Group) -> Vec<i32> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == group.workspace()))
        .collect()
}

#[tokio::test]
async fn a_signal_reaches_the_script_whose_answer_counts() {
    let group = Group::of("#!/bin/sh\ntrap 'exit 9' TERM\necho ready\nwhile :; do sleep 0.05; done\n").await;
    let (controller, _sidecar) = group.prepared().await;
    let mut exec = group.task(&["exec"]).spawn().unwrap();
    let mut ready = [0; 6];
    tokio::io::AsyncReadExt::read_exact(exec.stdout.as_mut().unwrap(), &mut ready).await.unwrap();
    stop(&exec);
    assert_eq!(end_of(exec).await.code, 9);
    assert!(controller.calls().iter().any(|call| call == "POST /v1/finish"), "{:?}", controller.calls());
}

#[tokio::test]
async fn a_script_that_kills_exec_has_failed() {
    let group = Group::of("#!/bin/sh\nkill -9 $PPID\n").await;
    let (_controller, _sidecar) = group.prepared().await;
    assert_eq!(group.exec(&[]).await.code, -9);
}

#[tokio::test]
async fn any_user_of_an_image_may_run_the_script() {
    if !is_root() {
        eprintln!("skipped: needs root to take another user");
        return;
    }
    let script =
        "#!/bin/sh\nid -u; git log --oneline | wc -l; echo x >new; echo y >.git/new; mkdir d; cat \"$SECRET_PATH\"\n";
    let mut group = Group::of(script).await;
    group.answers.params = Some("A=1\n".to_owned());
    let (_controller, _sidecar) = group.prepared().await;
    let mut exec = group.task_of(&group.alloc().join("bin/albatros"), &["exec"]);
    exec.uid(12_345).gid(12_345);
    let ended = ended(exec).await;
    assert_eq!((ended.code, ended.out.as_str()), (0, "12345\n1\nA=1\n"), "{}", ended.err);
}

#[tokio::test]
async fn as_the_first_process_of_a_container_it_buries_every_orphan() {
    let can =
        std::process::Command::new("unshare").args(["-pf", "--mount-proc", "true"]).stderr(Stdio::null()).status();
    if !can.is_ok_and(|status| status.success()) {
        eprintln!("skipped: no process namespace can be made here");
        return;
    }
    let script = "#!/bin/sh\nfor i in 1 2 3 4 5 6 7 8; do (true & exec true); (sh -c 'exit 3' &); done\n\
                  n=0; while grep -l '^State:.Z' /proc/[0-9]*/status >/dev/null 2>&1; do n=$((n+1)); [ $n -lt 200 ] || exit 1; sleep 0.05; done\n\
                  kill -9 1; kill -STOP 1; echo \"pid $PPID\"; sleep 1000 & exit 4\n";
    let group = Group::of(script).await;
    let (_controller, _sidecar) = group.prepared().await;
    let mut exec = group.task_of("/usr/bin/unshare".as_ref(), &["-pf", "--mount-proc", "--kill-child"]);
    exec.arg(env!("CARGO_BIN_EXE_albatros")).arg("exec");
    let ended = ended(exec).await;
    assert_eq!((ended.code, ended.out.as_str()), (4, "pid 1\n"), "{}", ended.err);
}

#[tokio::test]
async fn the_executor_of_another_kind_of_builder_is_not_in_a_group() {
    let group = Group::of("#!/bin/sh\necho \"${ALBATROS_TOKEN-none}\"\n").await;
    let ended = ended(group.task(&["exec"])).await;
    assert_eq!((ended.code, ended.out.as_str()), (0, "none\n"), "{}", ended.err);
    let mode = group.workspace().symlink_metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode & 0o700, 0o700);
}
