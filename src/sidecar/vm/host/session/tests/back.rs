//! What comes out of the machine at its end.

use super::*;

#[tokio::test]
async fn a_script_runs_its_output_is_there_and_its_workspace_comes_back() {
    let room = Room::new();
    let ending = room
        .meets(async |mut guest: Guest| {
            guest.say(json!({"is": "booted", "version": 1})).await;
            guest.hear().await;
            let mut given = Vec::new();
            let mut files = guest.link.open(Purpose::In("workspace".to_owned())).unwrap();
            files.read_to_end(&mut given).await.unwrap();
            assert!(!given.is_empty());
            guest.say(json!({"is": "ready", "nonce": NONCE})).await;
            guest.say(json!({"is": "running", "nonce": NONCE})).await;
            guest.print(Purpose::Stdout, b"hello\n").await;
            guest.done(3).await;
            guest.give(&room.inside()).await;
            assert_eq!(guest.hear().await["is"], "off");
        })
        .await;
    assert_eq!(ending, Ending::Done(End { code: 3, oom: false }, None));
    assert_eq!(room.output.text(), "hello\n");
    assert!(!room.workspace().join("old").exists(), "what was removed in the machine is gone");
    assert_eq!(std::fs::read_to_string(room.workspace().join("new")).unwrap(), "new");
}

#[tokio::test]
async fn a_workspace_that_does_not_come_back_whole_changes_nothing_and_is_told() {
    let mut room = Room::new();
    room.within.setup = Duration::from_secs(1);
    for kind in ["none", "cut", "garbage", "too many"] {
        let ending = room.meets(async |mut guest: Guest| {
            guest.runs().await;
            guest.done(0).await;
            match kind {
                "cut" => {
                    let mut out = guest.link.open(Purpose::Out("workspace".to_owned())).unwrap();
                    out.write_all(b"\x28\xb5\x2f\xfd").await.unwrap();
                }
                "garbage" => guest.print(Purpose::Out("workspace".to_owned()), &[7; 5000]).await,
                "too many" => {
                    for number in 0..101 {
                        std::fs::write(room.inside().join(format!("n{number}")), "").unwrap();
                    }
                    let out = guest.link.open(Purpose::Out("workspace".to_owned())).unwrap();
                    let all = Selection::beneath(&room.inside(), &[".".into()], Limits::default()).unwrap();
                    let _ = folders::send(&all.into_archive(), out).await;
                }
                _ => {}
            }
            guest.stays().await;
        });
        let Ending::Done(End { code: 0, .. }, Some(trouble)) = ending.await else { panic!("{kind}") };
        assert!(trouble.starts_with("the workspace did not come back from the machine: "), "{kind}: {trouble}");
        assert_eq!(std::fs::read_to_string(room.workspace().join("old")).unwrap(), "old", "{kind}");
        let left = std::fs::read_dir(room.dir.path()).unwrap().count();
        assert_eq!(left, 2, "{kind}: nothing half-made is left");
    }
}
